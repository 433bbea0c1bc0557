"""Keyed draws: functions of their key alone."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tutelage import rng

parts = st.one_of(st.text(max_size=5), st.integers(), st.binary(max_size=5))


@example([1], [b"1"])
@example(["a"], [b"a"])
@given(st.lists(parts, max_size=4), st.lists(parts, max_size=4))
def test_keys_are_told_apart(one: list[rng.Key], two: list[rng.Key]):
    alike = [(type(a), a) for a in one] == [(type(b), b) for b in two]
    assert (rng.seed(*one) == rng.seed(*two)) == alike


def test_types_and_borders_of_a_key_matter():
    keys = [(1,), ("1",), (b"1",), (1.0,), ("a", "bc"), ("ab", "c"), (), ("",)]
    assert len({rng.seed(*key) for key in keys}) == len(keys)


def test_seeds_are_the_same_in_every_process_and_version():
    assert rng.seed(0, "rollout", "d", 3) == rng.seed(0, "rollout", "d", 3)
    assert (rng.seed("tutelage"), rng.uniform("tutelage")) == (SEED, UNIFORM)
    np.testing.assert_array_equal(rng.uniforms((1, 2), 2), UNIFORMS)


def test_numbers_lie_in_their_range_and_are_spread():
    draws = np.array([rng.uniform("spread", i) for i in range(4000)])
    assert draws.min() >= 0 and draws.max() < 1 and abs(draws.mean() - 0.5) < 0.03
    counts = np.bincount([rng.below(5, "below", i) for i in range(4000)], minlength=5)
    assert len(counts) == 5 and counts.min() > 700


def test_a_seed_draws_the_same_numbers_beside_any_others():
    together = rng.uniforms((3, 4, 5), 6)
    np.testing.assert_array_equal(together[1], rng.uniforms((4,), 6)[0])
    np.testing.assert_array_equal(together[:, :2], rng.uniforms((3, 4, 5), 2))
    assert rng.generator("a").random() == rng.generator("a").random() != rng.generator("b").random()


SEED = 14581557946350753265
UNIFORM = 0.7904678401828378
UNIFORMS = [[0.3035680343067586, 0.8487087496857769], [0.48891550429583774, 0.32397495814126875]]
