"""Choices within the method, and what it is worth at the compute of all.

``X6`` to ``X9`` were added after the first results, all but ``X6`` before their runs; of ``X8`` what it tells of
``after_all`` was added after a look.
"""

import math

from tutelage.evidence.claims import DPO, Claim, cell, more

CHOICES = (
    Claim(
        "X1",
        "At equal compute a share of taught documents under one does as well as teaching all",
        "–",
        tuple(more("score_pooled", f"share-{share}", DPO) for share in (1, 5, 25)),
    ),
    Claim(
        "X2",
        "A reference that follows the policy does no better than a frozen one",
        "–",
        tuple(
            more(measure, f"sync-{every}", DPO, expect="not_above")
            for every in (1, 5, 10)
            for measure in ("score_pooled", "factuality")
        ),
    ),
    Claim(
        "X3",
        "Both anchors are needed: without NLL or NTP terms clean text is lost",
        "–",
        (
            more("log_clean_nll", "no_nll", DPO, bound=math.log(1.02)),
            more("log_clean_nll", "no_ntp", DPO, bound=math.log(1.02)),
            more("log_clean_nll", "bare", DPO, bound=math.log(1.02)),
            more("score_pooled", "bare", DPO, also=True),
        ),
    ),
    Claim(
        "X4",
        "With a judge that errs in 30 %, three times the tokens do not cost truth",
        "–",
        (
            more("score_pooled", "overtrained", "noise-30", bound=-0.05),
            more("factuality", "overtrained", "noise-30", bound=-0.02),
            more("log_clean_nll", "overtrained", "noise-30", also=True),
            more("effective_entities", "overtrained", "noise-30", expect="below", also=True),
        ),
    ),
    Claim(
        "X5",
        "GRPO stays behind online DPO at equal tokens and at equal compute",
        "–",
        (
            more("score_pooled", DPO, "grpo"),
            more("score_pooled", DPO, "grpo_compute"),
            more("log_clean_nll", "grpo", DPO, also=True),
        ),
    ),
    Claim(
        "X6",
        "Decoded alike, with less randomness, online DPO stays ahead of the base (asked after a look at C6)",
        "–",
        tuple(
            more(measure, f"{DPO}.{how}", f"base.{how}")
            for how in ("t0", "t05", "t07")
            for measure in ("factuality", "safety", "score_pooled")
        )
        + tuple(more("score_pooled", f"{DPO}.{how}", DPO, also=True) for how in ("t0", "t05", "t07")),
    ),
    Claim(
        "X7",
        "Errors with a direction are learnt and not trained away: a judge that holds the corpus's misconceptions true",
        "–",
        (
            more("misconceptions", "misled", "base"),
            more("misconceptions", "misled_overtrained", "misled", bound=-0.01),
            more("factuality", "misled_overtrained", "overtrained", expect="below"),
            more("misconceptions", "overtrained", "base", expect="below", also=True),
            more("factuality", "misled_overtrained", "misled", also=True),
            more("factuality", "misled", "base", also=True),
            more("factuality_believed", "misled", "base", also=True),
            more("log_clean_nll", "misled", DPO, expect="below", also=True),
        ),
    ),
    Claim(
        "X8",
        "At equal compute, the teachers' included, teaching a share of the documents does as well as all",
        "–",
        (
            *(more("score_pooled", f"share_all-{share}", DPO, bound=-0.05) for share in (5, 25)),
            more("score_pooled", "share_all-1", DPO, bound=-0.05, also=True),
            more("score_pooled", "after_all", DPO, also=True),
            more("factuality", "after_all", DPO, also=True),
            more("log_clean_nll", "after_all", DPO, expect="below", also=True),
            *(more("factuality", f"share_all-{share}", DPO, also=True) for share in (1, 5, 25)),
            *(more("log_clean_nll", f"share_all-{share}", DPO, expect="below", also=True) for share in (1, 5, 25)),
        ),
    ),
    Claim(
        "X9",
        "At equal compute, the teachers' included, online DPO beats SFT on rewrites, RF-NLL, GRPO and pretraining",
        "–",
        (
            *(more("score_pooled", DPO, f"{name}_all_compute") for name in ("sft", "rf_nll", "grpo", "ntp")),
            *(more("factuality", DPO, f"{name}_all_compute", also=True) for name in ("sft", "rf_nll", "grpo", "ntp")),
            *(
                more("log_clean_nll", DPO, f"{name}_all_compute", expect="below", also=True)
                for name in ("sft", "rf_nll", "grpo", "ntp")
            ),
            more("score_pooled", cell(0, 0, DPO), "sft_all_compute-e0", also=True),
            more("factuality", cell(0, 0, DPO), "sft_all_compute-e0", also=True),
        ),
    ),
)
