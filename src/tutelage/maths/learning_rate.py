"""Learning rate as a function of the step."""

import math


def warmup_cosine(step: int, *, peak: float, warmup: int, total: int, floor_ratio: float) -> float:
    """Linear warm-up to ``peak``, then half a cosine down to ``floor_ratio · peak``.

    With ``n = step + 1``, the number of the update: ``peak · n / warmup`` up to ``n = warmup``, then ``peak ·
    [f + (1 − f) (1 + cos(π (n − warmup) / (total − warmup))) / 2]``. The settings are those of
    arXiv:2601.21343 B.1 (warm-up 100 of 2000 or 2000 of 21000, f = 0.1) [P]; that the first update is not
    taken at rate 0 and the last one is taken at the floor is our choice [I].

    Args:
        step: Updates made before this one, from 0; at ``total`` and beyond the rate stays at its floor.
        peak: Highest rate.
        warmup: Updates of the warm-up; 0 for none.
        total: Updates of the run.
        floor_ratio: ``f``, in ``[0, 1]``.

    Raises:
        ValueError: a negative step, ``warmup`` not in ``[0, total]``, or ``floor_ratio`` out of range.
    """
    if step < 0 or not 0 <= warmup <= total or not 0.0 <= floor_ratio <= 1.0:
        raise ValueError(
            f"need step ≥ 0, 0 ≤ warmup ≤ total and 0 ≤ floor_ratio ≤ 1, "
            f"got step={step}, warmup={warmup}, total={total}, floor_ratio={floor_ratio}"
        )
    update = step + 1
    if update <= warmup:
        return peak * update / warmup
    progress = min(1.0, (update - warmup) / max(1, total - warmup))
    return peak * (floor_ratio + (1.0 - floor_ratio) * 0.5 * (1.0 + math.cos(math.pi * progress)))
