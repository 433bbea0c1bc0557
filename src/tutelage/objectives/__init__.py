"""What is trained, and with which loss.

An objective does two things. ``lesson`` assigns credit: one judged pool in, one item to train on out, pure. ``loss``
turns the scores of a micro-batch into weighted sums that the loop divides by counts over the whole step. The loop does
not know which objective it runs.
"""

from tutelage.objectives.dpo import JudgeFreeDPO, OnlineDPO
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.lesson import Lesson, Loss, Objective
from tutelage.objectives.nll import NTP, RFNLL, SFT

__all__ = ["GRPO", "NTP", "RFNLL", "SFT", "JudgeFreeDPO", "Lesson", "Loss", "Objective", "OnlineDPO"]
