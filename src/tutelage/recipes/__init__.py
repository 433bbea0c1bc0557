"""Runs to start from: functions that return a ``Run`` or a ``Study``, every number marked with its source.

``tutelage recipes`` lists them; ``tutelage train NAME --path.to.field value`` runs one with changes.
"""

from tutelage.recipes.evidence import evidence, evidence_recipes, evidence_tuning, judge_calls
from tutelage.recipes.learned import learned
from tutelage.recipes.maths_rlvr import maths_rlvr
from tutelage.recipes.paper import paper_1b4_factuality, paper_1b4_quality, paper_1b4_safety, paper_1b4_scratch
from tutelage.recipes.proving_ground import proving_ground
from tutelage.recipes.real_safety import real_safety
from tutelage.recipes.real_text import real_text
from tutelage.recipes.score_real import score_baselines, score_code, score_math
from tutelage.recipes.score_world import score_evidence, score_world
from tutelage.recipes.signed_sums import signed_sum_base
from tutelage.recipes.teachers import train_classifier_judge, train_judge, train_rewriter
from tutelage.recipes.thinking import thinking

__all__ = [
    "evidence",
    "evidence_recipes",
    "evidence_tuning",
    "judge_calls",
    "learned",
    "maths_rlvr",
    "paper_1b4_factuality",
    "paper_1b4_quality",
    "paper_1b4_safety",
    "paper_1b4_scratch",
    "proving_ground",
    "real_safety",
    "real_text",
    "score_baselines",
    "score_code",
    "score_evidence",
    "score_math",
    "score_world",
    "signed_sum_base",
    "thinking",
    "train_classifier_judge",
    "train_judge",
    "train_rewriter",
]
