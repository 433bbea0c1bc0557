"""What is trained, and with which loss.

An objective does two things. ``lesson`` assigns credit: one judged pool or one problem's episodes in, one item to
train on out, pure. ``loss`` turns the scores of a micro-batch into weighted sums that the loop divides by counts over
the whole step. The loop does not know which objective it runs.
"""

from tutelage.objectives.dpo import JudgeFreeDPO, OnlineDPO
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.lesson import FollowsMetrics, Lesson, Loss, Objective, learns_from
from tutelage.objectives.multi_turn import MultiTurn, SingleTurn
from tutelage.objectives.nll import NTP, RFNLL, SFT
from tutelage.objectives.score import StageOne, StageTwo
from tutelage.objectives.traces import PairSFT, STaR

__all__ = [
    "GRPO",
    "NTP",
    "RFNLL",
    "SFT",
    "FollowsMetrics",
    "JudgeFreeDPO",
    "Lesson",
    "Loss",
    "MultiTurn",
    "Objective",
    "OnlineDPO",
    "PairSFT",
    "STaR",
    "SingleTurn",
    "StageOne",
    "StageTwo",
    "learns_from",
]
