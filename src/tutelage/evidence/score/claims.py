"""What is asked of the paper's statements, and when the answer is yes. Written before the runs; none need hold.

``R8`` is ours: of what was tried on a seed that is in no row, it alone was above naive RL (docs/log.md).

Figures are in points, at temperature 1 on test problems. An arm's bare name is its trial that was chosen on the
validation split; ``ARM_kl_0.01`` is a trial itself. A contrast holds if its whole 95 % interval lies on its side.
``sequential_gain`` is a mean over votes of four attempts and more: of two, one is corrected, and the vote is Δ.
"""

from tutelage.evidence.claims import Claim, Contrast, level, more
from tutelage.evidence.score.settings import BUDGETS, KLS

SCORE, NAIVE = "score", "naive_multi_turn"
SUPERVISED = ("star", "star_plus", "pair_sft", "pair_sft_plus")
BOTH = "naive_multi_turn_both"
"""Naive multi-turn RL that trains the first attempt too; that of the paper trains the last alone (§5) [P]."""
RIVALS = ("base", "self_refine", *SUPERVISED, "single_turn", NAIVE, BOTH)


def kl(arm: str, weight: float) -> str:
    """The name of a trial of RL."""
    return f"{arm}_kl_{weight:g}"


def _half(arm: str) -> Contrast:
    """An arm gains less than half of what SCoRe gains."""
    return Contrast(f"delta: {arm} − ½ {SCORE}", "delta", ((arm, 1.0), (SCORE, -0.5)), "below")


CLAIMS = (
    Claim(
        "R1",
        "A base model does not gain by correcting itself",
        "Δ −11.2 (Table 1)",
        (
            level("delta", "base", 0.0, expect="not_above"),
            level("delta", "base", 3.0, expect="below"),
            level("delta", "base", -3.0, also=True),
            level("delta", "self_refine", 0.0, expect="not_above", also=True),
        ),
    ),
    Claim(
        "R2",
        "STaR and Pair-SFT gain little by corrections: less than half of what SCoRe gains",
        "Δ +0.4 (STaR⁺), +1.8 (Pair-SFT), against +4.4 (Table 2)",
        (*(_half(arm) for arm in SUPERVISED), *(more("t2", SCORE, arm, also=True) for arm in SUPERVISED)),
    ),
    Claim(
        "R3",
        "Pair-SFT learns to mend fixed attempts of the base, and not its own",
        "on fixed attempts 3.8 → 5.2, on its own 4.7 → 2.0 (Fig. 5)",
        (
            level("shift", "pair_sft", 0.0),
            more("mended_fixed", "pair_sft", "base"),
            more("mended", "pair_sft", "base", expect="not_above", also=True),
            level("shift", "star", 0.0, also=True),
            level("shift", SCORE, 0.0, expect="not_above", also=True),
        ),
    ),
    Claim(
        "R4",
        "Naive multi-turn RL, the last attempt alone trained, collapses: it copies its first attempt",
        "answers that change fall from 38 to 16 of a hundred (Fig. 6, read off)",
        (
            level("change_rate", kl(NAIVE, KLS[0]), 10.0, expect="below"),
            level("delta", kl(NAIVE, KLS[0]), 2.0, expect="below"),
            more("t2", kl(SCORE, KLS[0]), kl(NAIVE, KLS[0])),
            *(level("change_rate", kl(NAIVE, weight), 10.0, expect="below", also=True) for weight in KLS[1:]),
            *(more("t2", kl(SCORE, weight), kl(NAIVE, weight), also=True) for weight in KLS[1:]),
            # What else a collapse may be: nothing holds the first attempt where the last alone is trained and leashed.
            more("t1", "base", kl(NAIVE, KLS[0]), also=True),
            more("t2", kl(SCORE, KLS[0]), kl(BOTH, KLS[0]), also=True),
        ),
    ),
    Claim(
        "R5",
        "SCoRe gains by correcting itself, and ends above every other method at its best",
        "60.0 → 64.4; the best of the others 54.2 (Table 2)",
        (
            *(more("t2", SCORE, arm) for arm in RIVALS),
            level("delta", SCORE, 0.0),
            level("delta", SCORE, 8.0, also=True),
            *(more("delta", SCORE, arm, also=True) for arm in (NAIVE, BOTH)),
            *(more("t2_greedy", SCORE, arm, also=True) for arm in ("base", "single_turn", NAIVE, BOTH)),
        ),
    ),
    Claim(
        "R6",
        "Stage I and shaping are each needed",
        "t2 64.4; without Stage I 61.4, without shaping 62.6, offline attempts only 60.6 (Table 4)",
        (
            more("t2", SCORE, "no_stage_1"),
            more("t2", SCORE, "no_shaping"),
            *(more("delta", SCORE, arm, also=True) for arm in ("no_stage_1", "no_shaping")),
            more("t2", SCORE, "offline_only", also=True),
        ),
    ),
    Claim(
        "R7",
        "At an equal number of samples, corrected attempts outvote parallel ones",
        "at 32 samples +10.5 against +7.4 (Fig. 1)",
        (
            level("sequential_gain", SCORE, 0.0),
            *(level(f"sequential_gain_{budget}", SCORE, 0.0, also=True) for budget in BUDGETS),
            level("sequential_gain", "base", 0.0, expect="not_above", also=True),
        ),
    ),
    Claim(
        "R8",
        "Shaping from the first update on, without Stage I, ends above tuned naive RL on both attempts",
        "–",
        (
            more("t2", "no_stage_1", BOTH),
            more("delta", "no_stage_1", BOTH, also=True),
            more("t2_greedy", "no_stage_1", BOTH, also=True),
            more("t1", "no_stage_1", BOTH, also=True),
        ),
    ),
)
