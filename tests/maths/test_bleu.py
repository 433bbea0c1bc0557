import math

import pytest

from tutelage.maths.bleu import self_bleu


def test_texts_that_are_the_same_are_each_other_and_texts_without_a_common_word_are_not():
    same = [["a", "b", "c", "d", "e"]] * 3
    assert self_bleu(same) == pytest.approx([1.0] * 3)
    apart = self_bleu([["a", "b", "c", "d"], ["e", "f", "g", "h"]], 1)
    assert apart == pytest.approx([0.5 / 4] * 2)


def test_counts_are_clipped_by_the_text_that_has_most_of_a_word():
    # "the" stands 3 times in the first, once and twice in the others: two of three count, and nothing is too short.
    found = self_bleu([["the"] * 3, ["the", "cat"], ["the", "the", "dog"]], 1)
    assert found[0] == pytest.approx(2 / 3)


def test_a_text_shorter_than_the_nearest_reference_is_penalised():
    found = self_bleu([["a", "b"], ["a", "b", "c"]], 1)
    assert found[0] == pytest.approx(math.exp(1 - 3 / 2))


def test_orders_beyond_a_text_are_left_out_and_empty_texts_count_nothing():
    found = self_bleu([["a"], ["a"], []], 4)
    assert found[2] == 0.0 and found[0] == pytest.approx(1.0)


def test_one_text_has_no_reference():
    with pytest.raises(ValueError, match="two texts"):
        self_bleu([["a"]])
