"""Judges: text in, verdicts out; a failure is an abstention, never a score."""

from tutelage.judges.classifier import ClassifierJudge
from tutelage.judges.guard import Guard
from tutelage.judges.likelihood import LikelihoodJudge
from tutelage.judges.pairwise import PairwiseQuality
from tutelage.judges.placebo import RandomJudge, RepetitionJudge, ShuffledJudge
from tutelage.judges.pointwise import PointwiseFactuality, PointwiseSafety
from tutelage.schedules import AllPairs, Pivot

__all__ = [
    "AllPairs",
    "ClassifierJudge",
    "Guard",
    "LikelihoodJudge",
    "PairwiseQuality",
    "Pivot",
    "PointwiseFactuality",
    "PointwiseSafety",
    "RandomJudge",
    "RepetitionJudge",
    "ShuffledJudge",
]
