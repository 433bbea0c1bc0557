"""Runs to start from: functions that return a ``Run`` or a ``Study``, every number marked with its source.

``tutelage recipes`` lists them; ``tutelage train NAME --path.to.field value`` runs one with changes.
"""

from tutelage.recipes.evidence import evidence, evidence_recipes, evidence_tuning, judge_calls
from tutelage.recipes.paper import paper_1b4_factuality, paper_1b4_quality, paper_1b4_safety, paper_1b4_scratch
from tutelage.recipes.proving_ground import proving_ground
from tutelage.recipes.real_text import real_text
from tutelage.recipes.signed_sums import signed_sum_base

__all__ = [
    "evidence",
    "evidence_recipes",
    "evidence_tuning",
    "judge_calls",
    "paper_1b4_factuality",
    "paper_1b4_quality",
    "paper_1b4_safety",
    "paper_1b4_scratch",
    "proving_ground",
    "real_text",
    "signed_sum_base",
]
