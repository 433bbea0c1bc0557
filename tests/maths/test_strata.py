from itertools import product

import numpy as np
import pytest

from tutelage.maths.statistics import hierarchical_bootstrap
from tutelage.maths.strata import sign_flip_test, weighted_mean


def test_a_mean_over_strata_goes_by_their_weights_and_not_by_their_sizes():
    found = weighted_mean([np.zeros(1000), np.ones(10)], [1, 3], seed=0, resamples=50)
    assert found.mean == found.low == found.high == pytest.approx(0.75)


def test_one_stratum_has_about_the_interval_of_a_plain_bootstrap():
    values = np.random.default_rng(0).random(200)
    ours, theirs = weighted_mean([values], [5], seed=1), hierarchical_bootstrap([values], seed=2)
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.high - ours.low) / (theirs.high - theirs.low) == pytest.approx(1, abs=0.1)


def test_strata_are_drawn_independently():
    values = np.random.default_rng(3).random(100)
    one = weighted_mean([values], [1], seed=0)
    two = weighted_mean([values, values], [1, 1], seed=0)
    # Two independent means average to one of √½ of the spread; the same draw twice would keep all of it.
    assert (two.high - two.low) / (one.high - one.low) == pytest.approx(0.5**0.5, abs=0.07)


def test_the_p_value_is_the_share_of_signs_that_give_as_much():
    values = np.array([1.0, 2.0, 3.0, -0.5])
    means = [abs(float(np.dot(signs, values))) for signs in product((1, -1), repeat=4)]
    exact = sum(mean >= values.sum() - 1e-9 for mean in means) / 16
    assert sign_flip_test([values], [1], seed=0) == pytest.approx(exact, abs=0.02)
    assert sign_flip_test([np.zeros(5)], [1], seed=0) == 1.0
    assert sign_flip_test([np.ones(40)], [1], seed=0) == pytest.approx(1 / 5001)


@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [-1.0, 2.0]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]):
    with pytest.raises(ValueError, match="strata need as many weights"):
        weighted_mean([np.ones(2), np.ones(2)], weights, seed=0)
