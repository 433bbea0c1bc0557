"""The world of signed sums: solving needs a search, checking is easy, and the base model corrects itself poorly.

It is the proving ground of self-correction. Read ``world``, then ``documents``, ``verifier`` and ``task``;
``docs/signed-sums.md`` tells the story.
"""

from tutelage.worlds.signed_sum.documents import Habits
from tutelage.worlds.signed_sum.evaluation import SignedSumEvaluation, diagnosis
from tutelage.worlds.signed_sum.language import REVISE
from tutelage.worlds.signed_sum.problems import SignedSumProblems
from tutelage.worlds.signed_sum.stream import SignedSumStream
from tutelage.worlds.signed_sum.task import sums_task
from tutelage.worlds.signed_sum.verifier import SignedSums
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split

__all__ = [
    "REVISE",
    "Habits",
    "SignedSumEvaluation",
    "SignedSumProblems",
    "SignedSumStream",
    "SignedSumWorld",
    "SignedSums",
    "Split",
    "diagnosis",
    "sums_task",
]
