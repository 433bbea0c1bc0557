"""The world of signed sums: solving needs a search, checking is easy, and the base model corrects itself poorly.

It is the proving ground of self-correction. Read ``world``, then ``documents``, ``verifier`` and ``playing``;
``docs/signed-sums.md`` tells the story.
"""

from tutelage.worlds.signed_sum.documents import Habits
from tutelage.worlds.signed_sum.evaluation import Corrections, SignedSumEvaluation, corrections, evaluate
from tutelage.worlds.signed_sum.language import REVISE
from tutelage.worlds.signed_sum.playing import play
from tutelage.worlds.signed_sum.problems import SignedSumProblems
from tutelage.worlds.signed_sum.stream import SignedSumStream
from tutelage.worlds.signed_sum.verifier import SignedSums
from tutelage.worlds.signed_sum.voting import Scaling, scaling
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split

__all__ = [
    "REVISE",
    "Corrections",
    "Habits",
    "Scaling",
    "SignedSumEvaluation",
    "SignedSumProblems",
    "SignedSumStream",
    "SignedSumWorld",
    "SignedSums",
    "Split",
    "corrections",
    "evaluate",
    "play",
    "scaling",
]
