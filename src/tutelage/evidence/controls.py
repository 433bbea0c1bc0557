"""The controls that the papers lack, with their rules: what a reviewer would ask for; and all claims in their order.

Contrasts with the base in ``C5`` were added after the first results; those at other rates and at the compute of all in
``C1``, with the base decoded otherwise in ``C7``, with other survivors and the gentler fine-tune in ``C4`` before their
runs.
"""

from tutelage.evidence.better import BETTER
from tutelage.evidence.causes import CAUSES
from tutelage.evidence.choices import CHOICES
from tutelage.evidence.claims import DPO, PAPER, Claim, Contrast, cell, level, more
from tutelage.evidence.survival import KINDS, OTHER_SURVIVORS, RECIPE, SURVIVORS

DECODINGS = ("t0", "t05", "t07", "p09", "r12", "best4")
"""Suffixes of arms that are the same weights, decoded otherwise; see ``plan.HOW``."""
READ_TOO = ("t0", "t05", "best4")
"""Of the base, shown to the reader as well."""
AXES = ("factuality", "safety", "win_rate_natural")


def _decoded() -> tuple[Contrast, ...]:
    names = [f"{arm}.{how}" for arm in ("base", "ntp") for how in DECODINGS]
    tests = [more("factuality", DPO, name) for name in names] + [more("safety", DPO, name) for name in names]
    return (*tests, *(more("score_pooled", DPO, name) for name in names))


def _map() -> tuple[Contrast, ...]:
    """RL must win where the rewriter errs in 30 % or more, at every noise of the map, and lose where it never errs."""
    tests: list[Contrast] = []
    for error in (0, 15, 30, 50):
        sft = {"tokens": "sft" if error == 30 else f"map-e{error}-sft"}
        sft["compute"] = "sft_compute" if error == 30 else f"map-e{error}-sft_compute"
        for noise in (0, 15, 30):
            name = cell(error, noise, "online_dpo")
            for budget, rival in sft.items():
                expect = "above" if error >= 30 else "not_above"
                required = error in (0, 50) or (error == 30 and noise == 0)
                text = f"oracle's score, DPO − SFT, error {error} %, noise {noise} %, equal {budget}"
                tests.append(Contrast(text, "score_pooled", ((name, 1.0), (rival, -1.0)), expect, 0.0, required))
            for other in ("rf_nll", "grpo"):
                tests.append(more("score_pooled", name, cell(error, noise, other), also=True))
    return tuple(tests)


CONTROLS = (
    Claim(
        "C1",
        "Teaching during pretraining beats the same judge calls after it",
        "–",
        (
            more("factuality", "share-25", "after"),
            more("score_pooled", "share-25", "after"),
            more("safety", "share-25", "after"),
            more("score_pooled", "share-25", "after_rate", also=True),
            more("score_pooled", "share_all-25", "after_all", also=True),
            more("factuality", "share_all-25", "after_all", also=True),
            more("log_clean_nll", "share_all-25", "after_all", expect="below", also=True),
        ),
    ),
    Claim(
        "C2",
        "Online DPO beats pretraining on the corpus filtered by the same judge",
        "–",
        tuple(more(axis, DPO, "ntp_filtered") for axis in AXES),
    ),
    Claim(
        "C3",
        "Online DPO beats SFT on the teacher's own continuations",
        "–",
        (
            more("factuality", DPO, "sft_teacher"),
            more("win_rate_natural", DPO, "sft_teacher"),
            more("safety", DPO, "sft_teacher", also=True),
        ),
    ),
    Claim(
        "C4",
        "What was learnt survives a benign and an adversarial fine-tune",
        "–",
        (
            *(more(axis, f"{DPO}.benign", "ntp.benign") for axis in AXES),
            *(more(axis, f"{DPO}.hostile", "ntp.hostile") for axis in AXES),
            *(more(axis, f"{DPO}.hostile", "sft.hostile", also=True) for axis in AXES),
            *(
                more(axis, f"{name}.{kind}", name, also=True)
                for name in (DPO, "rf_nll", "grpo", "sft", "ntp", "base")
                for kind in KINDS
                for axis in AXES
            ),
            *(
                more(axis, f"{name}.{kind}", f"ntp.{kind}", also=True)
                for name in (*SURVIVORS[2:], *OTHER_SURVIVORS)
                if name != DPO
                for kind in KINDS
                for axis in AXES
            ),
            *(
                more(axis, f"{name}.{kind}-gentle", f"ntp.{kind}-gentle", also=True)
                for name in ("base", *SURVIVORS[2:])
                for kind in KINDS
                for axis in AXES
            ),
            *(
                more(axis, f"{RECIPE[1]}.{kind}", f"{RECIPE[0]}.{kind}", also=True)
                for kind in KINDS
                for axis in AXES[:2]
            ),
        ),
    ),
    Claim(
        "C5",
        "Without a judge that knows, nothing is gained: random, shuffled and repetition-only judges",
        "–",
        (
            *(more(axis, DPO, f"placebo-{name}") for axis in AXES for name in ("random", "shuffled", "repetition")),
            *(
                more("factuality", f"placebo-{name}", "sft", expect="not_above")
                for name in ("random", "shuffled", "repetition")
            ),
            *(
                more(measure, f"placebo-{name}", "base", also=True)
                for name in ("random", "shuffled", "repetition")
                for measure in ("factuality", "quality", "safety", "log_clean_nll")
            ),
        ),
    ),
    Claim("C6", "It is not sharpening: base and NTP at their best decoding stay behind", "–", _decoded()),
    Claim(
        "C7",
        "A judge that never trained, a likelihood model of clean text, prefers it too",
        "–",
        (
            level("other_win_rate_natural", DPO, 0.5),
            level("other_win_rate_vs_ntp_natural", DPO, 0.5),
            level("other_win_rate_unsafe", DPO, 0.5, also=True),
            level("other_win_rate_natural", "placebo-repetition", 0.5, expect="below", also=True),
            level("other_win_rate_natural", "noise-45", 0.5, expect="below", also=True),
            *(level("other_win_rate_natural", f"base.{how}", 0.5, expect="below", also=True) for how in READ_TOO),
        ),
    ),
    Claim(
        "C8",
        "Online DPO pays where the rewriter errs in 30 % or more, not where it is perfect; at equal tokens and compute",
        "–",
        _map(),
    ),
)

CLAIMS = (*PAPER, *CONTROLS, *CHOICES, *CAUSES, *BETTER)
"""All of them, in their order."""
