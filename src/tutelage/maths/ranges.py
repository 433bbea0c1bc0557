"""The range of a setting: checked where it is given, named where it is refused."""

import math
from typing import Any


def require(
    settings: object,
    *names: str,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Refuse settings outside a range.

    A field that is ``None`` was not given, a tuple is checked one by one, and what is not finite is always refused.

    Args:
        settings: a dataclass that checks itself.
        names: its fields to look at.
        above: they must be greater than this.
        at_least: they must not be smaller than this.
        below: they must be smaller than this.
        at_most: they must not be greater than this.

    Raises:
        ValueError: a value out of range; field, value and range are named.
    """
    for name in names:
        value: Any = getattr(settings, name)
        given: tuple[float, ...] = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(_inside(one, above, at_least, below, at_most) for one in given):
            bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
            words = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
            raise ValueError(f"{name} must be {' and '.join(words or ['finite'])}, not {value}")


def _inside(
    value: float, above: float | None, at_least: float | None, below: float | None, at_most: float | None
) -> bool:
    return (
        math.isfinite(value)
        and (above is None or value > above)
        and (at_least is None or value >= at_least)
        and (below is None or value < below)
        and (at_most is None or value <= at_most)
    )
