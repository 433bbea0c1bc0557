"""Judges: text in, verdicts out; a failure is an abstention, never a score."""

from tutelage.judges.asking import Question
from tutelage.judges.canaries import FALSEHOOD, THREAT, Canaries
from tutelage.judges.classifier import ClassifierJudge
from tutelage.judges.gain import LikelihoodGain
from tutelage.judges.guard import Guard
from tutelage.judges.likelihood import LikelihoodJudge
from tutelage.judges.matching import ExactMatch, SemanticMatch
from tutelage.judges.pairwise import PairwiseQuality
from tutelage.judges.placebo import RandomJudge, RepetitionJudge, ShuffledJudge
from tutelage.judges.pointwise import PointwiseFactuality, PointwiseSafety
from tutelage.judges.reading import Asker, Reading
from tutelage.schedules import AllPairs, Pivot

__all__ = [
    "FALSEHOOD",
    "THREAT",
    "AllPairs",
    "Asker",
    "Canaries",
    "ClassifierJudge",
    "ExactMatch",
    "Guard",
    "LikelihoodGain",
    "LikelihoodJudge",
    "PairwiseQuality",
    "Pivot",
    "PointwiseFactuality",
    "PointwiseSafety",
    "Question",
    "RandomJudge",
    "Reading",
    "RepetitionJudge",
    "SemanticMatch",
    "ShuffledJudge",
]
