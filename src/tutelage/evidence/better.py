"""The recipe that the search found, against tuned online DPO in cells of the map, and without each of its changes.

All at the compute of all, teachers included, and on seeds of its own: which trials the search made was decided after a
look at others (X2, X3, S6). Where a change is taken away two cells were kept, for time, before any of these ran.
"""

import math

from tutelage.evidence.claims import Claim, Contrast

SEEDS = (16, 17, 18)
"""With bases of their own; nothing was ever decided on them."""
CELLS = ((0, 0), (30, 0), (30, 30), (50, 30))
"""Rewriter error and judge noise, in percent."""
ABLATED = ((30, 0), (50, 30))
"""Where its changes are taken away."""
START, CONTROL = "better-base", "better-ntp"
BEST, TUNED = "knock_out_small_light", "as_tuned"
WITHOUT = {
    "the small pool": "knock_out_light",
    "the light anchor": "knock_out_small",
    "the knock-out": "small_light",
}
"""What the best recipe is called without one of its changes."""
Cells = tuple[tuple[int, int], ...]
Weights = tuple[tuple[str, float], ...]


def better(name: str, error: int, noise: int) -> str:
    """The arm of a variation in a cell."""
    return f"better-{name}-e{error}-n{noise}"


def _lead(rival: str, cells: Cells) -> Weights:
    """Of the best recipe over a rival, mean of cells."""
    share = 1 / len(cells)
    ours = tuple((better(BEST, *where), share) for where in cells)
    return (*ours, *((better(rival, *where), -share) for where in cells))


def _each(rival: str, said: str, cells: Cells) -> tuple[Contrast, ...]:
    """Its score's lead in every cell, told beside."""
    return tuple(
        Contrast(
            f"score_pooled, error {error} %, noise {noise} %: best − {said}",
            "score_pooled",
            _lead(rival, ((error, noise),)),
            required=False,
        )
        for error, noise in cells
    )


def _without() -> tuple[Contrast, ...]:
    tests: list[Contrast] = []
    for what, name in WITHOUT.items():
        tests.append(Contrast(f"score_pooled: best − without {what}", "score_pooled", _lead(name, ABLATED)))
        tests += _each(name, f"without {what}", ABLATED)
    return tuple(tests)


def _beside(measure: str) -> Contrast:
    return Contrast(f"{measure}: best − tuned", measure, _lead(TUNED, CELLS), required=False)


_NLL = (*((better(BEST, *where), 1 / len(CELLS)) for where in CELLS), (CONTROL, -1.0))

BETTER = (
    Claim(
        "B1",
        "Four rollouts, knock-out and a light anchor beat tuned online DPO at equal compute of all, mean of four cells",
        "–",
        (
            Contrast("score_pooled: best − tuned", "score_pooled", _lead(TUNED, CELLS)),
            _beside("factuality"),
            _beside("safety"),
            *_each(TUNED, "tuned", CELLS),
        ),
    ),
    Claim(
        "B2",
        "It stays within 5 % of the loss on clean text of pretraining on as many tokens as the tuned recipe trains",
        "–",
        (
            Contrast("log_clean_nll: best − NTP", "log_clean_nll", _NLL, expect="below", bound=math.log(1.05)),
            Contrast("log_clean_nll: best − tuned", "log_clean_nll", _lead(TUNED, CELLS), "below", required=False),
            _beside("effective_entities"),
        ),
    ),
    Claim("B3", "Each of its changes pays: without it the score is lower, mean of two cells", "–", _without()),
)
