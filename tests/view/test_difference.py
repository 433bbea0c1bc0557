"""Where a rewrite departs from the suffix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.view.made import EVIL

from tutelage.view.difference import WORDS_LIMIT, TooLong, difference

TEXTS = st.text(st.sampled_from("ab .,\n\u202e<é")) | st.just(EVIL)


@given(TEXTS, TEXTS)
def test_what_is_the_same_and_what_is_new_are_the_second_text(before: str, after: str):
    parts = difference(before, after)
    assert "".join(text for kind, text in parts if kind != "gone") == after
    assert all(text for _, text in parts)


@given(TEXTS)
def test_a_text_does_not_depart_from_itself(text: str):
    assert difference(text, text) == ([("same", text)] if text else [])


def test_words_are_compared_and_not_the_spaces_after_them():
    assert difference("born in 1903, in Oslo", "born in 1905, in Oslo and\nBergen") == [
        ("same", "born in "),
        ("gone", "1903"),
        ("new", "1905"),
        ("same", ", in Oslo "),
        ("new", "and\nBergen"),
    ]


def test_texts_that_are_too_long_are_refused_at_once():
    with pytest.raises(TooLong, match="too long to compare"):
        difference("word " * WORDS_LIMIT, "other")
