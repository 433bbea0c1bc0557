import math
import random
import statistics
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.maths.credit import best_and_worst, group_advantages, returns_to_go, shaped_rewards, win_rates

REWARDS = st.lists(st.none() | st.floats(-10, 10), min_size=1, max_size=9)
GRID = st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def results_and_order(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, float]], list[int]]:
    num = draw(st.integers(2, 6))
    pairs = draw(st.lists(st.sampled_from(list(combinations(range(num), 2))), max_size=20))
    results = [(first, second, draw(st.floats(0, 1))) for first, second in pairs]
    return num, results, draw(st.permutations(range(num)))


def test_a_win_rate_is_the_mean_over_the_comparisons_of_a_candidate() -> None:
    rates = win_rates(4, [(0, 1, 1.0), (0, 2, 0.5), (2, 1, 1.0)])
    assert rates[:3] == [(0.75, 2), (0.0, 2), (0.75, 2)]
    assert math.isnan(rates[3][0])
    assert rates[3][1] == 0


@given(results_and_order())
def test_renaming_candidates_renames_their_win_rates(
    case: tuple[int, list[tuple[int, int, float]], list[int]],
) -> None:
    num, results, name = case
    rates = win_rates(num, results)
    renamed = win_rates(num, [(name[first], name[second], score) for first, second, score in results])
    for candidate in range(num):
        assert renamed[name[candidate]] == pytest.approx(rates[candidate], nan_ok=True, abs=0)


@given(results_and_order(), st.integers(0, 99))
def test_the_order_of_comparisons_does_not_matter(
    case: tuple[int, list[tuple[int, int, float]], list[int]], seed: int
) -> None:
    num, results, _ = case
    shuffled = random.Random(seed).sample(results, len(results))
    assert repr(win_rates(num, shuffled)) == repr(win_rates(num, results))  # to the last digit; NaN too


@given(st.integers(2, 7), st.data())
def test_win_rates_over_all_pairs_average_to_one_half(num: int, data: st.DataObject) -> None:
    results = [(first, second, data.draw(st.floats(0, 1))) for first, second in combinations(range(num), 2)]
    assert math.fsum(rate for rate, _ in win_rates(num, results)) == pytest.approx(num / 2)


@pytest.mark.parametrize("result", [(0, 0, 1.0), (0, 3, 1.0), (-1, 0, 1.0), (0, 1, 1.5), (0, 1, math.nan)])
def test_impossible_comparisons_are_refused(result: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="comparison"):
        win_rates(3, [result])


def test_best_and_worst_skip_candidates_that_abstained() -> None:
    assert best_and_worst([None, 0.5, 0.2, None, 0.9]) == (4, 2)


@pytest.mark.parametrize("totals", [[], [0.5], [None, None], [None, 0.5], [0.5, 0.5, 0.5]])
def test_there_is_no_pair_without_two_different_totals(totals: list[float | None]) -> None:
    assert best_and_worst(totals) is None


def test_a_tie_is_not_broken_by_the_rounding_of_sums() -> None:
    assert 0.7 + 0.2 != 0.8 + 0.1
    assert best_and_worst([0.7 + 0.2, 0.8 + 0.1]) is None


def test_a_gap_equal_to_the_smallest_allowed_makes_a_pair_and_a_smaller_one_none() -> None:
    assert best_and_worst([0.3, 0.1], min_gap=0.2) == (0, 1)
    assert best_and_worst([0.3, 0.1], min_gap=0.21) is None


def test_shared_places_go_to_the_lowest_index_or_to_the_lowest_rank_of_the_caller() -> None:
    totals = [1.0, 0.0, 1.0, 0.0]
    assert best_and_worst(totals) == (0, 1)
    assert best_and_worst(totals, order=[3, 2, 1, 0]) == (2, 3)


@given(st.lists(GRID, min_size=1, max_size=8), st.data())
def test_renaming_candidates_renames_best_and_worst(totals: list[float | None], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(totals))))
    name = data.draw(st.permutations(range(len(totals))))
    back = [name.index(i) for i in range(len(totals))]
    renamed = best_and_worst([totals[i] for i in back], order=[order[i] for i in back])
    found = best_and_worst(totals, order=order)
    assert renamed == (None if found is None else (name[found[0]], name[found[1]]))


@given(st.lists(GRID, min_size=1, max_size=8))
def test_best_and_worst_are_the_extremes(totals: list[float | None]) -> None:
    known = [total for total in totals if total is not None]
    found = best_and_worst(totals)
    if found is None:
        assert len(set(known)) < 2
    else:
        assert (totals[found[0]], totals[found[1]]) == (max(known), min(known))


@pytest.mark.parametrize(
    ("totals", "settings", "words"),
    [
        ([0.1, math.nan], {}, "finite"),
        ([0.1, 0.2], {"order": [0]}, "order"),
        ([0.1, 0.2], {"order": [1, 1]}, "order"),
        ([0.1, 0.2], {"min_gap": -1.0}, "min_gap"),
    ],
)
def test_impossible_totals_and_settings_are_refused(
    totals: list[float], settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        best_and_worst(totals, **settings)  # type: ignore[arg-type]


@given(REWARDS, st.sampled_from(["mean", "leave_one_out"]), st.booleans())
def test_advantages_sum_to_zero_and_keep_the_abstentions(rewards: list[float | None], baseline: str, std: bool) -> None:
    found = group_advantages(rewards, baseline=baseline, std=std)  # type: ignore[arg-type]
    known = [advantage for advantage in found if advantage is not None]
    assert math.fsum(known) == pytest.approx(0.0, abs=1e-9)
    assert [a is None for a in found] == [r is None for r in rewards]


def test_dr_grpo_subtracts_the_mean_and_grpo_divides_by_the_deviation() -> None:
    rewards = [1.0, 0.0, 0.0, 3.0]
    assert group_advantages(rewards, baseline="mean", std=False) == [0.0, -1.0, -1.0, 2.0]
    scale = statistics.stdev(rewards) + 1e-4
    expected = [0.0, -1 / scale, -1 / scale, 2 / scale]
    assert group_advantages(rewards, baseline="mean", std=True) == pytest.approx(expected)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8))
def test_leave_one_out_subtracts_the_mean_of_the_others(rewards: list[float]) -> None:
    for i, advantage in enumerate(group_advantages(rewards, baseline="leave_one_out", std=False)):
        others = rewards[:i] + rewards[i + 1 :]
        assert advantage == pytest.approx(rewards[i] - math.fsum(others) / len(others), abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8), st.floats(-5, 5), st.booleans())
def test_adding_a_constant_to_all_rewards_changes_no_advantage(rewards: list[float], shift: float, std: bool) -> None:
    before = group_advantages(rewards, baseline="mean", std=std)
    after = group_advantages([reward + shift for reward in rewards], baseline="mean", std=std)
    # With `std` rounding in the rewards is multiplied by up to 1e4, the inverse of the offset.
    assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("rewards", [[0.1, 0.1, 0.1], [0.1], [None, 0.1], [0.1, None, 0.1]])
def test_equal_rewards_give_advantages_of_exactly_zero(rewards: list[float | None]) -> None:
    for std in (True, False):
        found = group_advantages(rewards, baseline="mean", std=std)
        assert found == [None if reward is None else 0.0 for reward in rewards]


def test_a_reward_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        group_advantages([0.0, math.inf], baseline="mean", std=False)


def test_the_bonus_is_for_the_attempt_that_mends_and_the_first_has_none() -> None:
    found = [shaped_rewards(pair, 10.0) for pair in ([0, 0], [0, 1], [1, 1], [1, 0])]
    assert found == [[0, 0], [0, 11], [1, 1], [1, -10]], "the paper's table for its alpha"
    assert shaped_rewards([0.0, 1.0, 0.5], 2.0) == [0.0, 3.0, -0.5]
    assert shaped_rewards([0.25, 1.0], 0.0) == [0.25, 1.0] and shaped_rewards([], 1.0) == []


def test_a_bonus_over_an_unknown_reward_is_unknown() -> None:
    assert shaped_rewards([None, 1.0, 1.0], 2.0) == [None, None, 1.0]
    assert shaped_rewards([0.0, None, 1.0], 2.0) == [0.0, None, None]
    assert shaped_rewards([None, 1.0], 0.0) == [None, 1.0]
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        shaped_rewards([0.0, 1.0], -1.0)


def test_returns_add_up_what_comes_after() -> None:
    assert returns_to_go([1.0, 2.0, 4.0], 1.0) == [7.0, 6.0, 4.0]
    assert returns_to_go([1.0, 2.0, 4.0], 0.5) == [3.0, 4.0, 4.0]
    assert returns_to_go([1.0, 2.0], 0.0) == [1.0, 2.0]
    assert returns_to_go([1.0, None, 4.0], 1.0) == [None, None, 4.0]
    assert returns_to_go([1.0, None, 4.0], 0.0) == [1.0, None, 4.0]
    with pytest.raises(ValueError, match=r"discount must lie in \[0, 1\]"):
        returns_to_go([1.0], 1.1)
