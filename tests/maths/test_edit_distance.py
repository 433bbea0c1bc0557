"""The fast distance against the table that defines it."""

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tutelage.maths.edit_distance import edit_distance, edit_ratio

texts = st.lists(st.integers(0, 3), max_size=12)


def by_table(a: list[int], b: list[int]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


@given(texts, texts)
def test_the_distance_is_that_of_the_table(a: list[int], b: list[int]):
    assert edit_distance(a, b) == by_table(a, b) == edit_distance(b, a)


def test_long_texts_agree_with_the_table_too():
    dice = np.random.default_rng(0)
    for length in (63, 64, 65, 130):
        a, b = dice.integers(0, 9, length).tolist(), dice.integers(0, 9, length + 7).tolist()
        assert edit_distance(a, b) == by_table(a, b)


def test_the_ratio_is_over_both_lengths():
    assert edit_ratio([], []) == 0.0 and edit_ratio([1], []) == 1.0 and edit_ratio([1, 2], [1, 2]) == 0.0
    assert edit_ratio([1, 2, 3], [1, 4, 3]) == 1 / 6


def test_five_hundred_tokens_take_milliseconds():
    dice = np.random.default_rng(0)
    a, b = (dice.integers(0, 1000, 500).tolist() for _ in range(2))
    started = time.process_time()
    for _ in range(10):
        edit_distance(a, b)
    assert time.process_time() - started < 0.2
