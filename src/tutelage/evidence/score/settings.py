"""What all arms of the study share, and the trials that every arm gets."""

from dataclasses import dataclass, field

from tutelage.worlds.signed_sum import SignedSumWorld

KLS = (0.01, 0.05, 0.1)
"""Trials of every arm of RL: the weight of its leash; of arms with Stage I that of Stage II, for theirs is fixed."""
RATES = (0.006, 0.002, 0.0006)
"""Trials of every supervised arm, which has no leash: as many learning rates."""
STAR_ROUNDS = 3
"""[P]"""
STAR_EPOCHS = 3.0
"""How often a round of STaR learns a trace; not stated in the paper [I]. Pair-SFT learns each once [P]."""
SEEDS = (21, 22, 23, 24, 25)
"""Of the evidence; no setting was chosen on them but each arm's trial, on the first ``TUNED``."""
TUNED = 2
"""Seeds that all trials are trained on. The others have of every arm the one trial that was chosen on these; of SCoRe
and naive multi-turn RL, whose curve over the leash is a claim of its own, all of ``KLS``."""
DEMO_SEEDS = (1, 2, 3)
BUDGETS = (2, 4, 8, 16)
"""Attempts of a vote."""
TRUE_VOTES = tuple(budget for budget in BUDGETS if budget >= 4)
"""Those in which corrected attempts vote too: at 2 there is one of them, and the difference is Δ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One world, one base, one budget: every arm samples ``steps × problems × episodes`` episodes of training."""

    world: SignedSumWorld = field(default_factory=SignedSumWorld)
    base_steps: int = 1000
    steps: int = 210
    """Updates of an arm, Stage I included; of every round of STaR, each from the base."""
    problems: int = 64
    """Of an update."""
    episodes: int = 8
    """Of a problem."""
    rate: float = 0.006
    """Of Muon, for RL; AdamW's, for what is no matrix, is a sixth of it."""
    stage_one: float = 0.65
    """Share of the updates after which Stage I ends at the latest."""
    delta: float = 0.15
    """Stage I ends when corrections gain so much over 20 steps."""
    beta2: float = 1.0
    """Leash of Stage I on first attempts."""
    stage_one_kl: float = 0.05
    """Leash of Stage I on second attempts: with less they become copies before checking is learnt."""
    alpha: float = 5.0
    star_rounds: int = STAR_ROUNDS
    star_epochs: float = STAR_EPOCHS
    test_episodes: int = 4
    """Of a problem in an exam at temperature 1."""
    test_problems: int = 100_000
    """Asked in an exam; there are some 870 in the default world."""
    vote_problems: int = 300
    """Asked ``max(BUDGETS)`` times for the votes."""


DEMO = Setting(steps=150)
"""That of ``make demo-score``, which is to end within a quarter of an hour."""
