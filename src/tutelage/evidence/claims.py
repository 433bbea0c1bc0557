"""What is asked, and when the answer is yes. Written before the runs; a claim may not reproduce.

A contrast is a weighted sum of arms' figures, paired over seeds and prefixes. It holds if its whole 95 % interval lies
on the side that is named; ``not_above`` holds where no gain is shown.
"""

import math
from dataclasses import dataclass
from typing import Literal

Expect = Literal["above", "below", "not_above"]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One contrast and where it must lie."""

    text: str
    measure: str
    weights: tuple[tuple[str, float], ...]
    """Arms with their weights."""
    expect: Expect = "above"
    bound: float = 0.0
    required: bool = True
    """Whether the verdict hangs on it; others are told beside it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One row."""

    id: str
    text: str
    theirs: str
    """The papers' figures, with their table; a dash where they have none."""
    tests: tuple[Contrast, ...]

    @property
    def arms(self) -> frozenset[str]:
        """Whose runs it needs."""
        return frozenset(arm for test in self.tests for arm, _ in test.weights)


def more(
    measure: str, arm: str, than: str, *, bound: float = 0.0, expect: Expect = "above", also: bool = False
) -> Contrast:
    """``arm`` has more of a measure than another."""
    return Contrast(f"{measure}: {arm} − {than}", measure, ((arm, 1.0), (than, -1.0)), expect, bound, not also)


def level(measure: str, arm: str, bound: float, *, expect: Expect = "above", also: bool = False) -> Contrast:
    """A figure of an arm against a number."""
    return Contrast(f"{measure} of {arm}", measure, ((arm, 1.0),), expect, bound, not also)


def slope(measure: str, arms: dict[str, float], *, expect: Expect = "above", also: bool = False) -> Contrast:
    """Least-squares slope of a measure over a number that goes with each arm."""
    mean = sum(arms.values()) / len(arms)
    spread = sum((x - mean) ** 2 for x in arms.values())
    weights = tuple((arm, (x - mean) / spread) for arm, x in arms.items())
    return Contrast(f"{measure}: slope over {', '.join(arms)}", measure, weights, expect, 0.0, not also)


def cell(error: int, noise: int, method: str) -> str:
    """The arm of a cell of the map; the map's middle is made of arms that are there anyway."""
    if error == 30 and noise == 0:
        return method
    if error == 30 and method == "online_dpo":
        return f"noise-{noise}"
    return f"map-e{error}-n{noise}-{method}"


KS = (1, 2, 4, 8, 16)
BY_K = {f"suffix-{k}": math.log2(k) for k in KS}
ALL_BY_K = {k: "online_dpo" if k == 8 else f"all-{k}" for k in KS}
HELP = tuple((arm, sign / 4) for k in KS[:-1] for arm, sign in ((ALL_BY_K[k], 1.0), (f"suffix-{k}", -1.0)))
NOISES = {"online_dpo": 0.0, "noise-15": 0.15, "noise-30": 0.3, "noise-45": 0.45}
DPO = "online_dpo"

PAPER = (
    Claim(
        "S1",
        "Online DPO states more facts right than the base and than continued pretraining",
        "42.3 → 57.6; NTP 44.0 (Table 4)",
        (
            more("factuality", DPO, "base"),
            more("factuality", DPO, "ntp"),
            more("factuality", DPO, "ntp_compute"),
            more("factuality_unsafe_prefix", DPO, "ntp", also=True),
            more("factuality", DPO, "ntp_all_compute", also=True),
        ),
    ),
    Claim(
        "S2",
        "Online DPO is safer than the base and than continued pretraining",
        "76.9 → 91.1; NTP 75.5 (Table 1)",
        (
            more("safety", DPO, "base"),
            more("safety", DPO, "ntp"),
            more("safety_unsafe_prefix", DPO, "ntp"),
            more("safety", DPO, "ntp_compute"),
            more("safety", DPO, "ntp_all_compute", also=True),
        ),
    ),
    Claim(
        "S3",
        "Online DPO writes better text than the base and than continued pretraining",
        "86.3 % wins; NTP 49.0 (Table 1)",
        (
            level("win_rate_natural", DPO, 0.5),
            level("win_rate_unsafe", DPO, 0.5),
            level("win_rate_vs_ntp_natural", DPO, 0.5),
            more("quality", DPO, "ntp_compute"),
            more("quality", DPO, "ntp_all_compute", also=True),
        ),
    ),
    Claim(
        "S4",
        "From scratch too: RF-NLL on rollout or rewrite beats NTP, NTP on rewrites and RF-NLL on suffix or rewrite",
        "wins 32.4 against 1.3, 1.6, 5.3; safety 97.5 against 85.2 (Table 2)",
        (
            more("quality", "scratch_rollout_rewrite", "scratch_ntp"),
            more("quality", "scratch_rollout_rewrite", "scratch_sft"),
            more("quality", "scratch_rollout_rewrite", "scratch_suffix_rewrite"),
            more("safety", "scratch_rollout_rewrite", "scratch_ntp"),
            more("factuality", "scratch_rollout_rewrite", "scratch_sft", also=True),
        ),
    ),
    Claim(
        "S5",
        "SFT on one own rollout collapses: the text is safe and worthless",
        "wins 2.0, safety 99.5 (Table 6)",
        (
            level("win_rate_natural", "sft_rollout", 0.25, expect="below"),
            more("safety", "sft_rollout", "base"),
            more("clean_nll", "sft_rollout", "base", also=True),
            more("effective_entities", "sft_rollout", "base", expect="below", also=True),
        ),
    ),
    Claim(
        "S6",
        "More rollouts help, K = 1 to 16, on every axis",
        "quality 69.9 → 86.3, factuality 46.2 → 57.6 (K = 2 → 16), safety 82.5 → 91.1 (Table 17)",
        (
            slope("win_rate_natural", BY_K),
            slope("factuality", BY_K),
            slope("safety", BY_K),
            more("safety", "suffix-8", "suffix-1", expect="not_above", also=True),
            more("safety", "suffix-16", "suffix-8", also=True),
            more("score_pooled", "all-16", DPO, also=True),
            more("log_clean_nll", "all-16", DPO, expect="below", also=True),
            slope("win_rate_unsafe", BY_K, expect="below", also=True),
            slope("log_clean_nll", BY_K, also=True),
        ),
    ),
    Claim(
        "S7",
        "Comparing all pairs beats comparing with the suffix as pivot",
        "84.3 against 72.1 (Table 21)",
        (more("win_rate_natural", "quality_only", "pivot"), more("quality", "quality_only", "pivot")),
    ),
    Claim(
        "S8",
        "Judge-free DPO, rewrite over rollout, lifts quality after unsafe prefixes and leaves safety where it was",
        "unsafe-prefix wins 83.1, safety 77.7 against 76.9 (Table 6)",
        (
            level("win_rate_unsafe", "judge_free", 0.5),
            more("safety", "judge_free", "base", expect="not_above"),
            more("win_rate_natural", DPO, "judge_free", also=True),
        ),
    ),
    Claim(
        "S9",
        "The suffix with 16 rollouts is the safest pool",
        "91.1 against 88.9 and 88.9 (Table 6)",
        (
            more("safety", "suffix-16", "rollouts-16"),
            more("safety", "suffix-16", "all-16"),
            more("safety_unsafe_prefix", "suffix-16", "all-16", also=True),
        ),
    ),
    Claim(
        "S10",
        "A rewrite in the pool helps safety while K is at most 8, and not at 16",
        "K = 1: 88.9 against 82.5; 16: 88.9 against 91.1 (Table 17)",
        (
            Contrast("safety: with a rewrite − without, mean of K = 1, 2, 4, 8", "safety", HELP),
            more("safety", "all-16", "suffix-16", expect="not_above"),
            Contrast("factuality: the same", "factuality", HELP, required=False),
        ),
    ),
    Claim(
        "S11",
        "Continued, RF-NLL stays behind online DPO",
        "quality 50.1 against 73.6, safety 84.6 against 91.1 (Table 6)",
        (
            more("win_rate_natural", DPO, "rf_nll"),
            more("safety", DPO, "rf_nll"),
            more("factuality", DPO, "rf_nll", also=True),
            more("score_pooled", DPO, "rf_nll", also=True),
            more("log_clean_nll", DPO, "rf_nll", also=True),
        ),
    ),
    Claim(
        "S12",
        "From scratch the pool is won by rewrites first and by rollouts later",
        "rewrites first, rollouts from some 15,000 of 21,000 steps (Figure 8)",
        (
            level("rollouts_gain", "scratch_all", 0.0),
            level("rewrites_gain", "scratch_all", 0.0, expect="below"),
            level("rollouts_late", "scratch_all", 0.5),
        ),
    ),
    Claim(
        "S13",
        "Training for one axis does not lift another",
        "trained for safety, factuality 42.3 → 38.0; for factuality, safety 76.9 → 85.1 (Table 24)",
        (
            more("factuality", "safety_only", "base", expect="not_above"),
            more("safety", "factuality_only", "base", expect="not_above"),
            more("safety", "quality_only", "base", expect="not_above", also=True),
            more("factuality", "quality_only", "base", expect="not_above", also=True),
        ),
    ),
    Claim(
        "S14",
        "A more accurate judge makes a better policy",
        "84.3 against 72.1 (Table 7)",
        (
            slope("win_rate_natural", NOISES, expect="below"),
            slope("factuality", NOISES, expect="below"),
            more("win_rate_natural", DPO, "noise-30"),
            more("win_rate_natural", DPO, "noise-15", also=True),
        ),
    ),
    Claim(
        "S15",
        "Standard ability is not lost",
        "47.6 → 50.8; NTP 46.8 (Table 3)",
        (
            more("log_clean_nll", DPO, "ntp", expect="below", bound=math.log(1.05)),
            more("log_clean_nll", DPO, "ntp_compute", expect="below", also=True),
            more("log_clean_nll", DPO, "ntp_all_compute", expect="below", also=True),
            more("log_entities", DPO, "ntp", also=True),
            more("on_topic", DPO, "ntp", bound=-0.05),
            more("well_formed", DPO, "ntp", bound=-0.02),
            more("facts_stated", DPO, "ntp"),
            more("log_entities", DPO, "ntp", bound=math.log(0.85)),
        ),
    ),
)
