"""What all arms share, and what was tuned of each: equal trials on validation seeds (``docs/results/tuning.json``)."""

from dataclasses import dataclass, field

from tutelage.objectives import GRPO, NTP, RFNLL, SFT, JudgeFreeDPO, Objective, OnlineDPO
from tutelage.worlds.facts import FactsWorld

SEEDS = (11, 12, 13, 14, 15)
"""Of the evidence; no setting was ever chosen on them."""
FEWER_SEEDS = SEEDS[:3]
"""Of the map, and of arms that take several times as long as others."""
VALIDATION_SEEDS = (101, 102)
"""Of the tuning."""


@dataclass(frozen=True, slots=True)
class Method:
    """An objective with its tuned settings."""

    objective: Objective
    learning_rate: float
    """Peak; 20 steps of warm-up, then a cosine to a tenth."""
    documents_per_step: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One world, one base, one budget."""

    world: FactsWorld = field(default_factory=FactsWorld)
    base_steps: int = 1600
    tokens: int = 300_000
    """Trained by every arm that continues the base."""
    scratch_steps: int = 1200
    rewriter_error: float = 0.3
    judge_noise: float = 0.0
    num_rollouts: int = 8
    ntp: Method = Method(NTP(), 1e-3)
    sft: Method = Method(SFT("rewrite", ntp_weight=0.3), 2e-3)
    rf_nll: Method = Method(RFNLL(ntp_weight=0.3), 4e-3)
    online_dpo: Method = Method(OnlineDPO(beta=0.1, nll_weight=1.0, ntp_weight=0.5), 2e-3)
    judge_free: Method = Method(JudgeFreeDPO(beta=0.1, nll_weight=1.0, ntp_weight=0.5), 1e-3)
    grpo: Method = Method(GRPO(kl_weight=0.01, ntp_weight=0.3, baseline="leave_one_out"), 2e-3, 8)
