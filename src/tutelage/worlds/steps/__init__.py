"""The world of steps: a text whose end follows from its beginning by steps that the text leaves out.

It is the proving ground of thinking. Read ``language``, then ``teacher``, ``stream`` and ``verifier``;
``docs/thinking.md`` tells the story.
"""

from tutelage.worlds.steps.evaluation import Answers, StepsEvaluation, answer
from tutelage.worlds.steps.language import TAGS, Chain, Language
from tutelage.worlds.steps.stream import StepsStream
from tutelage.worlds.steps.teacher import StepsTeacher
from tutelage.worlds.steps.verifier import Results
from tutelage.worlds.steps.world import StepsProblems, StepsWorld

__all__ = [
    "TAGS",
    "Answers",
    "Chain",
    "Language",
    "Results",
    "StepsEvaluation",
    "StepsProblems",
    "StepsStream",
    "StepsTeacher",
    "StepsWorld",
    "answer",
]
