"""Tables of items by seed, and draws from them: seeds first, then items within each seed drawn."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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


def resample(tables: list[NDArray[np.float64]], function: Statistic, items: Items, seed: int, number: int) -> float:
    """The statistic of resample ``number``: a function of the seed and that number alone."""
    generator = np.random.Generator(np.random.Philox(key=[seed % 2**64, number]))
    shared = generator.integers(len(tables[0]), size=len(tables[0])) if items == "shared" else None
    values: list[float] = []
    for drawn in generator.integers(len(tables), size=len(tables)):
        table = tables[drawn]
        chosen = generator.integers(len(table), size=len(table)) if shared is None else shared
        values.append(function(table[chosen].mean(axis=0)))
    return float(np.mean(values))
