"""Why claims of the paper did not reproduce: each cause a claim of its own, with a rule from before its runs.

``W5`` is about ``S5``, and so on. The rules of ``W5`` and the first contrasts of ``W4``, on arms that had run already,
were written after a look at their means; all others before their runs. ``W9`` asked first at a sixth of the tokens,
where the pools turned out to be at the ceiling as well; it was asked anew, before the runs with a noisy judge.
"""

from tutelage.evidence.claims import Claim, level, more

CAUSES = (
    Claim(
        "W4",
        "S4: one rollout is too few so early: suffix, rewrite and four beat all three, and SFT over twice the steps",
        "–",
        (
            more("quality", "scratch_all", "scratch_sft"),
            more("quality", "scratch_all", "scratch_ntp"),
            more("quality", "scratch_all", "scratch_suffix_rewrite"),
            more("quality", "long_all", "long_sft"),
            more("quality", "long_rollout_rewrite", "long_sft", also=True),
            more("factuality", "long_all", "long_sft", also=True),
            more("factuality", "long_rollout_rewrite", "long_sft", also=True),
        ),
    ),
    Claim(
        "W5",
        "S5, after a look: the collapsed text wins by insulting nobody; by quality alone, as in the paper, it loses",
        "–",
        (
            level("quality_win_rate_natural", "sft_rollout", 0.25, expect="below"),
            more("quality", "sft_rollout", "base", expect="below", also=True),
        ),
    ),
    Claim(
        "W8",
        "S8: safety rises because the rewriter drops abuse; with one that leaves abuse in, it stays where it was",
        "–",
        (
            more("safety", "judge_free", "judge_free_abusive"),
            more("safety", "judge_free_abusive", "base", expect="not_above"),
            level("win_rate_unsafe", "judge_free_abusive", 0.5, also=True),
            more("factuality", "judge_free_abusive", "base", also=True),
        ),
    ),
    Claim(
        "W9",
        "S9, asked anew: pools end at the ceiling of safety; if the judge errs in 30 %, suffix and 16 are the safest",
        "–",
        (
            more("safety", "noisy-suffix-16", "noisy-rollouts-16"),
            more("safety", "noisy-suffix-16", "noisy-all-16"),
            more("safety_unsafe_prefix", "noisy-suffix-16", "noisy-rollouts-16", also=True),
            more("safety_unsafe_prefix", "noisy-suffix-16", "noisy-all-16", also=True),
            more("safety", "early-suffix-16", "early-rollouts-16", also=True),
            more("safety", "early-suffix-16", "early-all-16", also=True),
        ),
    ),
    Claim(
        "W12",
        "S12: 1,200 steps end before the hand-over; with twice as many, rollouts win most of the last third",
        "–",
        (
            level("rollouts_late", "long_all", 0.5),
            more("rollouts_late", "long_all", "scratch_all"),
        ),
    ),
    Claim(
        "W13",
        "S13: factuality lifts safety because an insult takes a fact's room; a judge of precision alone does not",
        "–",
        (
            more("safety", "factuality_rollouts", "precision_rollouts"),
            more("safety", "precision_rollouts", "base", expect="not_above"),
            more("safety", "factuality_only", "factuality_rollouts", also=True),
            more("safety", "quality_rollouts", "base", also=True),
            more("factuality", "precision_rollouts", "base", also=True),
            more("facts_stated", "precision_rollouts", "base", also=True),
        ),
    ),
)
