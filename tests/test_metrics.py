"""Averages over uneven parts are the true ones, whoever holds the parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.metrics import Mean, Metric, Peak, Sum, merge, reduce
from tutelage.ranks import OneRank


def test_means_weigh_by_their_counts():
    merged = merge(
        [{"a": Mean(1.0, 1)}, {"a": Mean(9.0, 3), "b": Sum(2)}, {"b": Sum(3), "c": Peak(1)}, {"c": Peak(-1)}]
    )
    assert reduce(merged, OneRank()) == {"a": 2.5, "b": 5.0, "c": 1.0}


def test_a_mean_of_nothing_is_left_out():
    assert reduce({"a": Mean(0.0, 0), "b": Mean(0.0, 1)}, OneRank()) == {"b": 0.0}


def test_numbers_are_sorted_by_name():
    assert list(reduce({"b": Sum(1), "a": Sum(1)}, OneRank())) == ["a", "b"]


def test_one_name_with_two_types_is_refused():
    with pytest.raises(TypeError, match="'a' is both Mean and Sum"):
        merge([{"a": Mean(1, 1)}, {"a": Sum(1)}])


class Everyone:
    """Ranks whose other members are simulated: ``gather`` adds their texts."""

    rank = 0

    def __init__(self, *others: str) -> None:
        self.others = others
        self.size = 1 + len(others)

    def gather(self, text: str) -> list[str]:
        self.said = text
        return [text, *self.others]

    def sum_(self, tensors: object) -> None: ...

    def sum_numbers(self, numbers: object) -> list[float]:
        raise AssertionError("numbers travel as text")

    maximum = sum_numbers

    def barrier(self) -> None: ...

    def close(self) -> None: ...


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
metrics = st.one_of(st.builds(Mean, numbers, numbers), st.builds(Sum, numbers), st.builds(Peak, numbers))


@given(st.dictionaries(st.text("abc/_.", min_size=1, max_size=4), metrics, max_size=5))
def test_what_ranks_exchange_comes_back_exactly(mine: dict[str, Metric]):
    silent = Everyone("")
    assert reduce(mine, silent) == reduce(mine, OneRank())
    doubled = reduce(mine, Everyone(silent.said))
    assert doubled == reduce(merge([mine, mine]), OneRank())


def test_ranks_may_hold_different_names():
    other = Everyone()
    other.size = 2
    reduce({"only/there": Mean(3, 2), "both": Sum(1)}, other)
    found = reduce({"both": Sum(4), "only/here": Peak(2)}, Everyone(other.said))
    assert found == {"both": 5.0, "only/here": 2.0, "only/there": 1.5}
