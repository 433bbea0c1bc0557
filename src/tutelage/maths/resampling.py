"""Tables of items by seed, and draws from them: items within each seed, and seeds."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.student import student_quantile

Statistic = Callable[[NDArray[np.float64]], float]
"""A number from the means of a table's columns, shape ``(C,)``; NaN where it is not defined."""

Items = Literal["own", "shared"]
"""Whether every seed was evaluated on items of its own, or item ``i`` is the same one for all seeds."""

Numbers = NDArray[np.floating] | NDArray[np.integer] | NDArray[np.bool_]
"""What can be averaged: scores, counts, hits."""


def as_tables(values_by_seed: Sequence[Numbers], items: Items) -> list[NDArray[np.float64]]:
    """One table a seed, ``(items, columns)``.

    Raises:
        ValueError: a seed without items, shapes that do not match, or a value that is not finite.
    """
    tables = [np.asarray(values, dtype=np.float64) for values in values_by_seed]
    tables = [table[:, None] if table.ndim == 1 else table for table in tables]
    if not tables or any(table.ndim != 2 or table.size == 0 for table in tables):
        raise ValueError(f"every seed needs items, got shapes {[table.shape for table in tables]}")
    if len({table.shape[1] for table in tables}) > 1 or (items == "shared" and len({len(t) for t in tables}) > 1):
        raise ValueError(f"seeds do not match: shapes {[table.shape for table in tables]}, items={items!r}")
    if not all(np.isfinite(table).all() for table in tables):
        raise ValueError("values must be finite; leave out items without a verdict")
    return tables


def side_by_side(first_by_seed: Sequence[Numbers], second_by_seed: Sequence[Numbers]) -> list[NDArray[np.float64]]:
    """One table a seed whose two columns are the two sides of every item.

    Raises:
        ValueError: the sides do not have the same seeds and items.
    """
    shapes = [[np.shape(values) for values in by_seed] for by_seed in (first_by_seed, second_by_seed)]
    if shapes[0] != shapes[1] or any(len(shape) != 1 for shape in shapes[0]):
        raise ValueError(f"both sides need the same items, one number each, got shapes {shapes[0]} and {shapes[1]}")
    return [
        np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)], axis=1)
        for first, second in zip(first_by_seed, second_by_seed, strict=True)
    ]


def stream(seed: int, number: int, purpose: int) -> np.random.Generator:
    """Chance for one purpose of resample ``number``; no two purposes share any of it."""
    return np.random.Generator(np.random.Philox(key=[seed % 2**64, number], counter=[0, 0, 0, purpose]))


SEEDS, FIRST_ITEMS = 0, 1
"""Purposes of ``stream``; items of a second stratum, or of a second seed, take the numbers that follow."""


def few_seeds(seeds: int, level: float) -> float:
    """By what resampled deviations of a mean over ``seeds`` are multiplied: ``√(n / (n − 1)) · t / z``.

    Resampled seeds show only (n − 1) / n of their variance, and as if it were known; so they are stretched to Student's
    interval. 2.7 at three seeds, 1.6 at five, nearly 1 at thirty; 0 for one, which cannot deviate.
    """
    if seeds == 1:
        return 0.0
    upper = 0.5 + level / 2
    return math.sqrt(seeds / (seeds - 1)) * student_quantile(upper, seeds - 1) / NormalDist().inv_cdf(upper)


def resample(tables: list[NDArray[np.float64]], function: Statistic, items: Items, seed: int, number: int) -> float:
    """Mean over seeds of the statistic of resampled items; a function of the seed and the resample's number alone."""
    shared = stream(seed, number, FIRST_ITEMS).integers(len(tables[0]), size=len(tables[0]))
    values: list[float] = []
    for place, table in enumerate(tables):
        own = items == "own" and place
        chosen = stream(seed, number, FIRST_ITEMS + place).integers(len(table), size=len(table)) if own else shared
        values.append(function(table[chosen].mean(axis=0)))
    return float(np.mean(values))


def moved(by_seed: Sequence[float], seed: int, number: int, level: float) -> float:
    """By how much resample ``number`` moves the mean over seeds: the deviation of those drawn, stretched."""
    known = np.array(by_seed)
    drawn = stream(seed, number, SEEDS).integers(len(known), size=len(known))
    return few_seeds(len(known), level) * float(known[drawn].mean() - known.mean())
