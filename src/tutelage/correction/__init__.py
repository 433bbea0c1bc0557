"""The correction task: problems in, attempts and second attempts out, checked by a verifier.

    Problem → Episode(Turn, Turn[, Turn]) → EpisodeGroup

Nothing is tokenised twice: what the policy wrote stands in its next prompt as it was sampled.
"""

from tutelage.correction.asked import Asked, prompt_of, question_of
from tutelage.correction.asking import Exam, Subject
from tutelage.correction.collecting import Collect
from tutelage.correction.evaluating import HeldOutCorrections
from tutelage.correction.experience import CorrectionExperience
from tutelage.correction.formats import Chat, FormatError, Plain, PromptFormat
from tutelage.correction.offline import FirstAttempts
from tutelage.correction.outcomes import Outcomes
from tutelage.correction.problems import ProblemReader
from tutelage.correction.task import Correction

__all__ = [
    "Asked",
    "Chat",
    "Collect",
    "Correction",
    "CorrectionExperience",
    "Exam",
    "FirstAttempts",
    "FormatError",
    "HeldOutCorrections",
    "Outcomes",
    "Plain",
    "ProblemReader",
    "PromptFormat",
    "Subject",
    "prompt_of",
    "question_of",
]
