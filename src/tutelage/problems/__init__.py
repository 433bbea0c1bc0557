"""Problems with answer keys: GSM8K, MATH, MBPP, HumanEval, and files of one's own."""

from tutelage.problems.code import HumanEval, Mbpp
from tutelage.problems.contract import ProblemError, ProblemSet, ProblemSource, Unusable
from tutelage.problems.joined import Joined
from tutelage.problems.keys import unverifiable, verifiable
from tutelage.problems.lines import JsonLines
from tutelage.problems.maths import Gsm8k, Math

__all__ = [
    "Gsm8k",
    "HumanEval",
    "Joined",
    "JsonLines",
    "Math",
    "Mbpp",
    "ProblemError",
    "ProblemSet",
    "ProblemSource",
    "Unusable",
    "unverifiable",
    "verifiable",
]
