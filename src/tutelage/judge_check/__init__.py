"""How far a judge can be trusted: its verdicts against those of people, its own, and texts that talk to it."""

from tutelage.judge_check.injecting import Injected, inject
from tutelage.judge_check.items import Axis, Claim, Item, LabelledSet, Pair, Passage, read_items
from tutelage.judge_check.known import KNOWN, half_of, load_known
from tutelage.judge_check.measuring import Examined, Measured, VerdictPrompts, measure, measure_each, question_about
from tutelage.judge_check.training_sets import TRAINING_SETS, prompt_rows

__all__ = [
    "KNOWN",
    "TRAINING_SETS",
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
    "half_of",
    "inject",
    "load_known",
    "measure",
    "measure_each",
    "prompt_rows",
    "question_about",
    "read_items",
]
