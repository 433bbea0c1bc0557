import numpy as np
import pytest

from tutelage.maths.statistics import bootstrap_ratio, effective_number, hierarchical_bootstrap
from tutelage.report.estimates import Draws, centred, interval, plain, ratio

TABLES = [np.random.default_rng(seed).random((40, 2)) + np.array([0, seed]) for seed in range(3)]


def test_the_resamples_are_those_of_the_tested_bootstrap():
    draws = Draws.make(3, {"natural": 40, "unsafe": 7}, resamples=300, seed=5)
    means = [draws.means("natural", table) for table in TABLES]
    ours = interval(draws.average([m[:, 0] for m in means]))
    theirs = hierarchical_bootstrap([t[:, 0] for t in TABLES], items="shared", resamples=300, seed=5)
    assert ours is not None
    assert (ours.mean, ours.low, ours.high) == pytest.approx((theirs.mean, theirs.low, theirs.high), abs=1e-12)


def test_a_ratio_is_resampled_as_the_tested_bootstrap_does_it():
    draws = Draws.make(3, {"natural": 40}, resamples=300, seed=5)
    means = [draws.means("natural", table) for table in TABLES]
    ours = interval(draws.average([ratio(m[:, 0], m[:, 1]) for m in means]))
    parts, wholes = [t[:, 0] for t in TABLES], [t[:, 1] for t in TABLES]
    theirs = bootstrap_ratio(parts, wholes, items="shared", resamples=300, seed=5)
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_what_is_common_to_two_arms_cancels_in_their_difference():
    draws = Draws.make(2, {"natural": 50}, resamples=200)
    noise = np.random.default_rng(0).normal(size=(50, 1)) * 100
    one = draws.average([draws.means("natural", noise + seed)[:, 0] for seed in range(2)])
    two = draws.average([draws.means("natural", noise + seed + 1)[:, 0] for seed in range(2)])
    found = interval(two - one)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((1.0, 1.0))


def test_shares_of_one_stay_exactly_one():
    draws = Draws.make(3, {"natural": 37}, resamples=100)
    always = draws.average([draws.means("natural", np.ones((37, 1)))[:, 0]] * 3)
    assert plain(always) == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_what_was_never_counted_is_undefined_and_not_a_number_in_disguise():
    draws = Draws.make(2, {"natural": 9}, resamples=50)
    nothing = draws.means("natural", np.zeros((9, 2)))
    assert interval(ratio(nothing[:, 0], nothing[:, 1])) is None
    assert plain(ratio(nothing[:, 0], nothing[:, 1])) == {"mean": None, "low": None, "high": None}


def test_the_effective_number_lies_inside_its_interval():
    draws = Draws.make(1, {"natural": 30}, resamples=200)
    people = np.random.default_rng(0).multinomial(2, np.full(20, 1 / 20), size=30).astype(np.float64)
    found = interval(centred(effective_number(draws.means("natural", people))))
    assert found is not None
    assert found.low < found.mean < found.high
    assert centred(np.array([4.0, 2.0, 3.0])).tolist() == [4.0, 3.5, 4.5]
