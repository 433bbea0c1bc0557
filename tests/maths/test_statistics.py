import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tutelage.maths.resampling import few_seeds, stream
from tutelage.maths.statistics import (
    Interval,
    bootstrap_ratio,
    distinct_n,
    effective_number,
    hierarchical_bootstrap,
    mean_interval,
    repeated_ngrams,
    wilson,
)
from tutelage.maths.student import student_quantile

Arrays = list[NDArray[np.float64]]


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(
    ("degrees", "value"),
    [(1, 12.706204736), (2, 4.302652730), (3, 3.182446305), (10, 2.228138852), (30, 2.042272456)],
)
def test_student_quantiles_are_those_of_the_tables(degrees: int, value: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(value, abs=1e-7)


def test_student_quantiles_join_the_normal_one_smoothly() -> None:
    assert student_quantile(0.975, 201) == pytest.approx(student_quantile(0.975, 200), abs=1e-4)
    assert student_quantile(0.975, 10**6) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-5)


def test_the_interval_of_three_means_is_students() -> None:
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.high - 2.0 == pytest.approx(4.302652730 / math.sqrt(3))
    assert 2.0 - interval.low == pytest.approx(4.302652730 / math.sqrt(3))


def test_students_interval_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = sum(covers(mean_interval(generator.normal(size=3)), 0.0) for _ in range(2000))
    assert abs(hits / 2000 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_wilson_is_its_closed_form_and_stays_inside_zero_and_one() -> None:
    z = NormalDist().inv_cdf(0.975)
    interval = wilson(8, 10)
    for bound in (interval.low, interval.high):  # bounds solve (p̂ − p)² = z² p (1 − p) / n
        assert (0.8 - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / 10)
    assert interval.low < 0.8 < interval.high
    assert wilson(0, 10).low == 0.0
    assert wilson(10, 10).high == 1.0


def test_wilson_covers_a_rare_event() -> None:
    draws = np.random.default_rng(1).binomial(60, 0.05, size=3000)
    assert 0.93 < np.mean([covers(wilson(int(draw), 60), 0.05) for draw in draws]) < 0.985


def three_seeds(generator: np.random.Generator, between: float, seeds: int = 3, items: int = 60) -> Arrays:
    return [generator.normal(generator.normal(0, between), 1.0, size=items) for _ in range(seeds)]


@pytest.mark.parametrize(
    ("seeds", "between", "least", "most"),
    [
        (3, 0.0, 0.94, 1.0),  # seeds alike: the noise of items is counted twice, which errs on the safe side
        (5, 0.3, 0.91, 1.0),
        (3, 3.0, 0.90, 0.99),  # nothing but the seed matters: plain resampling covers 74 %
    ],
)
def test_the_bootstrap_covers_as_stated(seeds: int, between: float, least: float, most: float) -> None:
    generator = np.random.default_rng(2)
    trials = 120
    hits = sum(
        covers(hierarchical_bootstrap(three_seeds(generator, between, seeds), resamples=100, seed=i), 0.0)
        for i in range(trials)
    )
    assert least <= hits / trials <= most


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_both_tails_of_the_bootstrap_lie_where_the_level_says(level: float) -> None:
    values = np.random.default_rng(7).normal(size=100)
    interval = hierarchical_bootstrap([values], resamples=4000, level=level, seed=0)
    reach = NormalDist().inv_cdf(0.5 + level / 2) * values.std() / 10
    assert interval.mean - interval.low == pytest.approx(reach, rel=0.06)
    assert interval.high - interval.mean == pytest.approx(reach, rel=0.06)


def test_the_bootstrap_is_a_function_of_its_seed() -> None:
    values = three_seeds(np.random.default_rng(3), 0.2)
    first = hierarchical_bootstrap(values, resamples=100, seed=5)
    assert first == hierarchical_bootstrap(values, resamples=100, seed=5)
    assert first != hierarchical_bootstrap(values, resamples=100, seed=6)


def test_the_mean_of_a_bootstrap_weighs_seeds_alike_whatever_their_items() -> None:
    assert hierarchical_bootstrap([np.zeros(1), np.ones(99)], resamples=50, seed=0).mean == 0.5


def test_few_seeds_get_students_interval_around_their_mean() -> None:
    means = np.array([0.1, 0.4, 0.3, 0.9, 0.2])
    ours = hierarchical_bootstrap([means[i : i + 1] for i in range(5)], resamples=2000, seed=0)
    student = mean_interval(means)
    assert ours.high - ours.low == pytest.approx(student.high - student.low, rel=0.15)
    assert few_seeds(1, 0.95) == 0.0
    assert few_seeds(3, 0.95) == pytest.approx(1.2247 * 4.3027 / 1.96, rel=1e-3)


def test_which_seeds_are_drawn_says_nothing_about_items() -> None:
    seeds, items = (np.array([stream(0, n, purpose).integers(5) for n in range(500)]) for purpose in (0, 2))
    assert abs(np.corrcoef(seeds, items)[0, 1]) < 0.1


def test_resampling_seeds_widens_the_interval_where_seeds_differ() -> None:
    generator = np.random.default_rng(4)
    values = three_seeds(generator, 2.0)
    nested = hierarchical_bootstrap(values, resamples=300, seed=0)
    pooled = hierarchical_bootstrap([np.concatenate(values)], resamples=300, seed=0)
    assert nested.high - nested.low > 2 * (pooled.high - pooled.low)


def test_shared_items_keep_the_variance_that_does_not_average_out() -> None:
    difficulty = np.random.default_rng(5).normal(size=100)
    values = [difficulty] * 5
    own = hierarchical_bootstrap(values, items="own", resamples=400, seed=0)
    shared = hierarchical_bootstrap(values, items="shared", resamples=400, seed=0)
    widths = (shared.high - shared.low) / (own.high - own.low)
    assert widths == pytest.approx(math.sqrt(5), rel=0.2)
    expected = 2 * 1.96 * difficulty.std() / 10
    assert shared.high - shared.low == pytest.approx(expected, rel=0.15)


def test_a_statistic_of_the_column_means_is_taken_for_every_seed() -> None:
    counts = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])

    def varied(means: np.ndarray) -> float:
        return float(effective_number(means))

    interval = hierarchical_bootstrap([counts] * 2, statistic=varied, resamples=100, seed=0)
    assert interval.mean == pytest.approx(2.0)
    assert 1.0 <= interval.low < interval.high <= 2.0 + 1e-9  # both seeds alike: nothing moves the mean


def test_a_ratio_draws_numerator_and_denominator_together() -> None:
    stated = np.array([1, 4, 2, 5])
    interval = bootstrap_ratio([stated, 2 * stated], [2 * stated, 4 * stated], resamples=50, seed=0)
    assert interval == Interval(0.5, 0.5, 0.5)


def test_a_ratio_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="counted"):
        bootstrap_ratio([np.zeros(4)], [np.zeros(4)], resamples=10, seed=0)
    rare = np.array([0, 0, 0, 1])
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_ratio([rare], [rare], resamples=100, seed=0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "items"),
        ([np.zeros(0)], "items"),
        ([np.array([0.0, math.nan])], "finite"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], "match"),
    ],
)
def test_tables_that_cannot_be_resampled_are_refused(values: Arrays, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hierarchical_bootstrap(values, resamples=10, seed=0)


def test_sides_and_items_must_match() -> None:
    with pytest.raises(ValueError, match="same items"):
        bootstrap_ratio([np.zeros(3)], [np.zeros(4)], seed=0)
    with pytest.raises(ValueError, match="match"):
        hierarchical_bootstrap([np.zeros(3), np.zeros(4)], items="shared", seed=0)


def test_too_few_values_impossible_counts_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="two finite"):
        mean_interval([1.0])
    with pytest.raises(ValueError, match="successes"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="successes"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level=1.0)
    with pytest.raises(ValueError, match="at least 0"):
        effective_number([1.0, -1.0])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_effective_number_lies_between_one_and_the_number_of_kinds(counts: list[int]) -> None:
    assert 1.0 - 1e-9 <= effective_number(counts) <= len(counts) + 1e-9
    assert effective_number([*counts, 0]) == pytest.approx(effective_number(counts))  # numpy adds in blocks


def test_the_effective_number_of_equal_kinds_is_their_number_and_of_nothing_zero() -> None:
    assert effective_number([3, 3, 3, 3]) == pytest.approx(4.0)
    assert effective_number(np.array([[2, 2], [5, 0], [0, 0]])).tolist() == pytest.approx([2.0, 1.0, 0.0])
    assert effective_number([7]) == 1.0
    assert effective_number([]) == effective_number([0, 0]) == 0.0


def test_repetition_is_the_share_of_ngrams_seen_before() -> None:
    assert repeated_ngrams([1, 2, 3, 4, 5, 6]) == 0.0
    assert repeated_ngrams([7] * 13) == pytest.approx(0.9)
    assert repeated_ngrams([1, 2, 1, 2, 1], n=2) == 0.5
    assert repeated_ngrams([1, 2, 3]) == repeated_ngrams([]) == 0.0


def test_distinct_ngrams_do_not_cross_texts() -> None:
    assert distinct_n([[1, 2], [2, 1], [1, 2]], n=2) == pytest.approx(2 / 3)
    assert distinct_n([[1], [2]], n=2) == 0.0
    with pytest.raises(ValueError, match="n must"):
        distinct_n([[1]], n=0)
