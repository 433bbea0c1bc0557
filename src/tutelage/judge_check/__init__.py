"""How far a judge can be trusted: its verdicts against those of people, its own, and texts that talk to it."""

from tutelage.judge_check.injecting import Injected, inject
from tutelage.judge_check.items import Axis, Claim, Item, LabelledSet, Pair, Passage, read_items
from tutelage.judge_check.known import KNOWN, load_known
from tutelage.judge_check.measuring import Examined, Measured, VerdictPrompts, measure, measure_each, question_about

__all__ = [
    "KNOWN",
    "Axis",
    "Claim",
    "Examined",
    "Injected",
    "Item",
    "LabelledSet",
    "Measured",
    "Pair",
    "Passage",
    "VerdictPrompts",
    "inject",
    "load_known",
    "measure",
    "measure_each",
    "question_about",
    "read_items",
]
