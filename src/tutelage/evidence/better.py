"""The recipe that the search found, against tuned online DPO in cells of the map, and without each of its changes.

All at the compute of all, the teachers' included.
"""

import math

from tutelage.evidence.claims import Claim, Contrast, cell, more

CELLS = ((0, 0), (30, 0), (30, 30), (50, 30))
"""Rewriter error and judge noise, in percent."""
ABLATED = ((30, 0), (50, 30))
"""Where its changes are taken away."""
BEST = "knock_out_small_light"
WITHOUT = {
    "the small pool": "knock_out_light",
    "the light anchor": "knock_out_small",
    "the knock-out": "small_light",
}
"""What the best recipe is called without one of its changes."""


def better(name: str, error: int, noise: int) -> str:
    """The arm of a variation in a cell."""
    return f"better-{name}-e{error}-n{noise}"


def _ours(name: str, cells: tuple[tuple[int, int], ...] = CELLS) -> tuple[tuple[str, float], ...]:
    return tuple((better(name, *where), 1 / len(cells)) for where in cells)


def _tuned(cells: tuple[tuple[int, int], ...] = CELLS) -> tuple[tuple[str, float], ...]:
    return tuple((cell(*where, "online_dpo"), -1 / len(cells)) for where in cells)


def _minus(weights: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    return tuple((arm, -weight) for arm, weight in weights)


def _each() -> tuple[Contrast, ...]:
    return tuple(
        Contrast(
            f"score_pooled, error {error} %, noise {noise} %: best − tuned",
            "score_pooled",
            (*_ours(BEST, ((error, noise),)), *_tuned(((error, noise),))),
            required=False,
        )
        for error, noise in CELLS
    )


BETTER = (
    Claim(
        "B1",
        "Four rollouts, knock-out and a light anchor beat tuned online DPO at equal compute of all, mean of four cells",
        "–",
        (
            Contrast("score_pooled: best − tuned", "score_pooled", (*_ours(BEST), *_tuned())),
            Contrast("factuality: best − tuned", "factuality", (*_ours(BEST), *_tuned()), required=False),
            Contrast("safety: best − tuned", "safety", (*_ours(BEST), *_tuned()), required=False),
            *_each(),
        ),
    ),
    Claim(
        "B2",
        "It stays within 5 % of the control's loss on clean text, mean of the same cells",
        "–",
        (
            Contrast(
                "log_clean_nll: best − NTP",
                "log_clean_nll",
                (*_ours(BEST), ("ntp", -1.0)),
                expect="below",
                bound=math.log(1.05),
            ),
            Contrast(
                "log_clean_nll: best − tuned", "log_clean_nll", (*_ours(BEST), *_tuned()), "below", required=False
            ),
            Contrast(
                "effective_entities: best − tuned", "effective_entities", (*_ours(BEST), *_tuned()), required=False
            ),
        ),
    ),
    Claim(
        "B3",
        "Each of its changes pays: without it the score is lower, mean of two cells",
        "–",
        tuple(
            Contrast(
                f"score_pooled: best − without {what}",
                "score_pooled",
                (*_ours(BEST, ABLATED), *_minus(_ours(name, ABLATED))),
            )
            for what, name in WITHOUT.items()
        ),
    ),
    Claim(
        "B4",
        "It beats SFT on rewrites and GRPO, given as much compute of all as well",
        "–",
        tuple(
            more(measure, better(BEST, 30, 0), f"{rival}_all_compute", also=measure != "score_pooled")
            for rival in ("sft", "grpo")
            for measure in ("score_pooled", "factuality", "safety")
        ),
    ),
)
