"""Means with the intervals that go with them, and counts of how varied a text is.

Runs are repeated over a few seeds, and each seed is evaluated on many items (prefixes). Items of one seed
share its model, so that intervals over all items alike would be far too narrow; here both are resampled.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.resampling import Items, Numbers, Statistic, as_tables, moved, resample, side_by_side
from tutelage.maths.student import student_quantile

MOST_UNDEFINED = 0.01
"""Share of resamples that may lack a value (a ratio where nothing was counted) before it is an error [I]."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between the bounds of its confidence interval.

    Example:
        >>> wilson(8, 10).mean
        0.8
    """

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float] | Numbers, level: float = 0.95) -> Interval:
    """Mean of independent values, with Student's interval ``mean ± t · s / √n``.

    The one to use on the means of few seeds: it widens as it must (4.3 standard errors at three seeds), which
    no bootstrap of three numbers can do.

    Raises:
        ValueError: fewer than two values, one that is not finite, or ``level`` outside ``(0, 1)``.
    """
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"an interval needs at least two finite values, got {array.tolist()[:8]}")
    mean = float(array.mean())
    half = student_quantile(_upper(level), len(array) - 1) * float(array.std(ddof=1)) / math.sqrt(len(array))
    return Interval(mean, mean - half, mean + half)


def wilson(successes: float, total: float, level: float = 0.95) -> Interval:
    """Share of successes among independent trials, with Wilson's score interval.

    Args:
        successes: May hold halves, where a tie counts as half a win.
        total: Number of trials.
        level: Confidence.

    Raises:
        ValueError: no trials, successes outside ``[0, total]``, or ``level`` outside ``(0, 1)``.
    """
    if not (total > 0 and 0 <= successes <= total):
        raise ValueError(f"a share needs 0 ≤ successes ≤ total and total > 0, got {successes} of {total}")
    z, share = NormalDist().inv_cdf(_upper(level)), successes / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) / (1 + z**2 / total)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def hierarchical_bootstrap(
    values_by_seed: Sequence[Numbers],
    *,
    statistic: Literal["mean"] | Statistic = "mean",
    items: Items = "own",
    resamples: int = 2000,
    level: float = 0.95,
    seed: int,
) -> Interval:
    """A statistic of every seed's items, averaged over seeds, with its percentile interval over both.

    Each resample draws as many items of every seed as it has, and as many seeds as there are, with replacement: the
    first for what the statistic would be on other items, the second for how far other seeds would lie off. With
    ``items="shared"`` the draw of items is the same for all seeds, which keeps what is hard about an item (it does
    not average out over seeds); use it wherever all seeds answer the same prefixes.

    Few seeds: three numbers resampled show two thirds of the variance between seeds, and intervals of them cover the
    truth 74 % of the time. So the deviation of drawn seeds is stretched to Student's interval [I]
    (``resampling.few_seeds``): simulated, 95 % intervals cover 94 to 95 % where nothing but the seed matters,
    more where seeds do not differ. A bound may lie beyond what the statistic can be.

    Args:
        values_by_seed: One array a seed, ``(n,)`` or ``(n, C)``. Equal ``n`` where items are shared.
        statistic: ``mean`` of the first column, or a function of the column means (shape ``(C,)``).
        items: Whether items are each seed's own or shared.
        resamples: Number of resamples.
        level: Confidence.
        seed: Of the resampling.

    Raises:
        ValueError: no seed or an empty one, shapes that do not match, values that are not finite, a statistic
            that is not defined on a seed or on more than 1 % of the resamples, or ``level`` outside ``(0,
            1)``.
    """
    upper, tables = _upper(level), as_tables(values_by_seed, items)
    function: Statistic = _first if statistic == "mean" else statistic
    observed = [function(table.mean(axis=0)) for table in tables]
    if not np.isfinite(observed).all():
        raise ValueError(f"the statistic is not defined for every seed: {observed}; was anything counted?")
    draws = np.array(
        [
            resample(tables, function, items, seed, number) + moved(observed, seed, number, level)
            for number in range(resamples)
        ]
    )
    draws = draws[np.isfinite(draws)]
    if len(draws) < (1 - MOST_UNDEFINED) * resamples or not len(draws):
        raise ValueError(f"only {len(draws)} of {resamples} resamples have a value: too few items were counted")
    low, high = np.quantile(draws, [1 - upper, upper])
    return Interval(float(np.mean(observed)), float(low), float(high))


def bootstrap_ratio(
    numerators_by_seed: Sequence[Numbers],
    denominators_by_seed: Sequence[Numbers],
    *,
    items: Items = "own",
    resamples: int = 2000,
    level: float = 0.95,
    seed: int,
) -> Interval:
    """``Σ numerators / Σ denominators`` of every seed, averaged over seeds.

    For facts that are right among facts stated. Numerator and denominator of an item are drawn together.
    Arguments and errors as ``hierarchical_bootstrap``; a seed whose denominators sum to 0 has no ratio and is
    an error.
    """
    tables = side_by_side(numerators_by_seed, denominators_by_seed)
    return hierarchical_bootstrap(tables, statistic=_ratio, items=items, resamples=resamples, level=level, seed=seed)


def _upper(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    return 0.5 + level / 2


def _first(means: NDArray[np.float64]) -> float:
    return float(means[0])


def _ratio(means: NDArray[np.float64]) -> float:
    return float(means[0] / means[1]) if means[1] else math.nan


def effective_number(counts: Sequence[float] | Numbers) -> NDArray[np.float64]:
    """How many kinds a sample holds, common ones weighing more.

    ``exp(−Σ p log p)`` with ``p = counts / Σ counts``: ``n`` for ``n`` equally frequent kinds, 1 for a single
    one, 0 where nothing was counted. Grows with the sample: compare samples of equal size only.

    Args:
        counts: Of every kind, or shares, shape ``(..., kinds)``.

    Returns:
        A number for each sample, shape ``(...)``.

    Raises:
        ValueError: a negative count.
    """
    known = np.asarray(counts, dtype=np.float64)
    if not (known >= 0).all():
        raise ValueError("counts must be at least 0")
    totals = known.sum(axis=-1)
    shares = known / np.where(totals > 0, totals, 1.0)[..., None]
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1)
    return np.where(totals > 0, np.exp(entropy), 0.0)


def repeated_ngrams(tokens: Sequence[Hashable], n: int = 4) -> float:
    """Share of a text's ``n``-grams that occurred in it before: ``1 − distinct / all``.

    0 for text of fewer than ``n + 1`` tokens: silence is not repetition, and must be caught by its length.

    Raises:
        ValueError: ``n`` below 1.
    """
    return 1.0 - distinct_n([tokens], n) if len(tokens) > n else 0.0


def distinct_n(texts: Iterable[Sequence[Hashable]], n: int) -> float:
    """Distinct ``n``-grams of all texts together, as a share of all their ``n``-grams; 0 where there is none.

    Shrinks as the sample grows: compare samples of equal size only. ``n``-grams do not cross from text to
    text.

    Raises:
        ValueError: ``n`` below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    counts = Counter(tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1))
    return len(counts) / counts.total() if counts else 0.0
