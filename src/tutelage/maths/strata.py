"""Weighted means over several sets of items, and whether two models differ on the same items.

A combined score is a mean over sets with weights that do not follow from what was measured: items are drawn within
their set, and the sets are put together again in every resample.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.resampling import Numbers, as_tables
from tutelage.maths.statistics import Interval

AT_ONCE = 4_000_000
"""Most numbers that are drawn together."""


def weighted_mean(strata: Sequence[Numbers], weights: Sequence[float], *, seed: int, resamples: int = 2000) -> Interval:
    """``Σ_s w_s mean_s / Σ_s w_s`` with its percentile interval (95 %) over the items of every stratum.

    Raises:
        ValueError: no stratum or an empty one, a value that is not finite, or weights that do not fit.
    """
    tables, shares = [table[:, 0] for table in as_tables(strata, "own")], _shares(strata, weights)
    mean = sum(share * float(values.mean()) for share, values in zip(shares, tables, strict=True))
    draws = np.zeros(resamples)
    for number, (share, values) in enumerate(zip(shares, tables, strict=True)):
        if share:
            draws += share * _means(
                values, np.random.Generator(np.random.Philox(key=[seed % 2**64, number])), resamples
            )
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def sign_flip_test(
    differences: Sequence[Numbers], weights: Sequence[float], *, seed: int, resamples: int = 5000
) -> float:
    """Two-sided p-value that the weighted mean of paired differences is 0, by a permutation test.

    Under the hypothesis a model's name says nothing about an item, so that every difference could have had the other
    sign. The share of ``resamples`` draws of signs that give a mean as far from 0 as the one that was found, the found
    one counted in: it is never 0.

    Raises:
        ValueError: as ``weighted_mean``.
    """
    tables, shares = as_tables(differences, "own"), _shares(differences, weights)
    terms = np.concatenate([share * t[:, 0] / len(t) for share, t in zip(shares, tables, strict=True)])
    terms = terms[terms != 0]
    found = abs(terms.sum())
    generator = np.random.Generator(np.random.Philox(key=[seed % 2**64, len(terms)]))
    beyond = 0
    for rows in _parts(resamples, len(terms)):
        signs = generator.integers(2, size=(rows, len(terms)), dtype=np.int8) * 2.0 - 1.0
        beyond += int((abs(signs @ terms) >= found - 1e-12).sum())
    return (beyond + 1) / (resamples + 1)


def _means(values: NDArray[np.float64], generator: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """Of as many values as there are, drawn with replacement, once for every resample."""
    parts = _parts(resamples, len(values))
    return np.concatenate([values[generator.integers(len(values), size=(n, len(values)))].mean(axis=1) for n in parts])


def _shares(strata: Sequence[Numbers], weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    if len(weights) != len(strata) or min(weights, default=0.0) < 0 or not total > 0:
        raise ValueError(f"{len(strata)} strata need as many weights of at least 0 and one above it, got {weights}")
    return [weight / total for weight in weights]


def _parts(resamples: int, width: int) -> Iterator[int]:
    """So many resamples in pieces that fit in memory."""
    most = max(1, AT_ONCE // max(1, width))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)
