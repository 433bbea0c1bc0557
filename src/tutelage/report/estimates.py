"""Estimates that carry their resamples: whatever is computed from them stays paired, and has an interval.

The resamples are those of ``maths.statistics.hierarchical_bootstrap`` with shared items (a test compares them), drawn
once for a whole report: every measure of every arm is resampled over the same seeds and prefixes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.resampling import FIRST_ITEMS, SEEDS, few_seeds, stream
from tutelage.maths.statistics import MOST_UNDEFINED, Interval

Estimate = NDArray[np.float64]
"""A number and its resamples, shape ``(1 + resamples,)``. Arithmetic on several of them is paired arithmetic."""

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Which seeds and which items every resample holds."""

    seeds: NDArray[np.int64]
    """Shape ``(resamples, seeds)``."""
    items: Mapping[str, NDArray[np.float64]]
    """Of each stratum how often each item is drawn, ``(1 + resamples, items)``; the first row holds each once."""

    @classmethod
    def make(cls, seeds: int, items: Mapping[str, int], *, resamples: int = RESAMPLES, seed: int = 0) -> "Draws":
        """Draw seeds and the items of every stratum, each a function of ``seed`` and the resample's number.

        The first stratum gets exactly the draws of ``hierarchical_bootstrap(..., items="shared", seed=seed)``.
        """
        times = {name: np.ones((1 + resamples, count)) for name, count in items.items()}
        drawn = np.empty((resamples, seeds), np.int64)
        for number in range(resamples):
            drawn[number] = stream(seed, number, SEEDS).integers(seeds, size=seeds)
            for place, (name, count) in enumerate(items.items()):
                chosen = stream(seed, number, FIRST_ITEMS + place).integers(count, size=count)
                times[name][1 + number] = np.bincount(chosen, minlength=count)
        return cls(drawn, times)

    def means(self, stratum: str, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column means of one seed's table ``(items, C)`` in every resample, shape ``(1 + resamples, C)``."""
        with np.errstate(invalid="ignore"):  # a column may be undefined throughout
            return self.items[stratum] @ table / len(table)

    def average(self, by_seed: Sequence[Estimate]) -> Estimate:
        """Mean over seeds; each resample moved by the deviation of the seeds that it drew, stretched as few demand."""
        values = np.stack(by_seed)
        found, known = values.mean(axis=0), values[:, 0]
        found[1:] += few_seeds(len(known), LEVEL) * (known[self.seeds].mean(axis=1) - known.mean())
        return found


def interval(estimate: Estimate) -> Interval | None:
    """The estimate with its 95 % percentile interval; ``None`` where it is not defined (nothing was counted)."""
    draws = estimate[1:][np.isfinite(estimate[1:])]
    if not np.isfinite(estimate[0]) or len(draws) < (1 - MOST_UNDEFINED) * (len(estimate) - 1):
        return None
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(estimate[0]), float(low), float(high))


def plain(estimate: Estimate, least: float = -math.inf, most: float = math.inf) -> dict[str, float | None]:
    """``{"mean", "low", "high"}`` for a file, all ``None`` if undefined; bounds go no further than these."""
    found = interval(estimate)
    if found is None:
        return {"mean": None, "low": None, "high": None}
    return {"mean": found.mean, "low": max(least, found.low), "high": min(most, found.high)}


def ratio(part: Estimate, whole: Estimate) -> Estimate:
    """``part / whole``, not a number where there is no whole."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole != 0, part / whole, np.nan)


def centred(estimate: Estimate) -> Estimate:
    """The estimate with its resamples moved to have it as their mean.

    For effective numbers: a resample misses some of what the sample holds, so that its entropy is too low.
    """
    return np.concatenate([estimate[:1], estimate[1:] + estimate[0] - estimate[1:].mean()])
