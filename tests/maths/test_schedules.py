import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.maths.learning_rate import warmup_cosine
from tutelage.maths.schedules import all_pairs, both_orders, pivot


@given(st.integers(0, 20))
def test_all_pairs_hold_every_two_candidates_once(num: int) -> None:
    pairs = all_pairs(num)
    assert len(pairs) == num * (num - 1) // 2 == len({frozenset(pair) for pair in pairs})
    assert all(0 <= first < second < num for first, second in pairs)


def test_the_paper_asks_120_questions_about_16_rollouts_and_a_pivot_15() -> None:
    assert len(all_pairs(16)) == 120
    assert len(pivot(16, 0)) == 15


def test_a_pivot_meets_every_other_candidate() -> None:
    assert pivot(4, 2) == [(0, 2), (1, 2), (3, 2)]


@pytest.mark.parametrize("index", [-1, 4])
def test_a_pivot_must_be_a_candidate(index: int) -> None:
    with pytest.raises(ValueError, match="pivot"):
        pivot(4, index)


def test_both_orders_put_each_candidate_first_as_often_as_second() -> None:
    assert both_orders([(0, 1), (2, 0)]) == [(0, 1), (1, 0), (2, 0), (0, 2)]


def rate(step: int) -> float:
    return warmup_cosine(step, peak=5e-6, warmup=100, total=2000, floor_ratio=0.1)


def test_the_rate_rises_to_its_peak_and_ends_on_its_floor() -> None:
    assert rate(0) == pytest.approx(5e-8)
    assert rate(99) == 5e-6
    assert rate(1999) == pytest.approx(5e-7)
    assert rate(1_000_000) == rate(1999)
    middle = 99 + (2000 - 100) // 2
    assert rate(middle) == pytest.approx((5e-6 + 5e-7) / 2)


def test_the_rate_rises_in_the_warm_up_and_never_after_it() -> None:
    rates = [rate(step) for step in range(2000)]
    assert rates[:100] == sorted(rates[:100])
    assert rates[99:] == sorted(rates[99:], reverse=True)


def test_a_run_without_warm_up_or_of_nothing_else_is_defined() -> None:
    assert warmup_cosine(0, peak=1.0, warmup=0, total=1, floor_ratio=0.0) == pytest.approx(0.0)
    assert warmup_cosine(4, peak=1.0, warmup=5, total=5, floor_ratio=0.0) == 1.0


@pytest.mark.parametrize("wrong", [{"step": -1}, {"warmup": 11}, {"warmup": -1}, {"floor_ratio": 1.5}, {"total": 2}])
def test_impossible_schedules_are_refused(wrong: dict[str, float]) -> None:
    settings = {"step": 0, "peak": 1.0, "warmup": 5, "total": 10, "floor_ratio": 0.1} | wrong
    with pytest.raises(ValueError, match="warmup"):
        warmup_cosine(settings.pop("step"), **settings)  # type: ignore[arg-type]
