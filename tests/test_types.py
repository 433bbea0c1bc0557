"""The nouns: immutable, compared by content, sliced without a copy."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.types import (
    NOT_ASKED,
    Abstained,
    Chunk,
    Document,
    Floats,
    JudgedPool,
    Judgement,
    Pool,
    Rewrite,
    Row,
    Scored,
    Segment,
    Suffix,
    Tokens,
)

ids = st.lists(st.integers(0, 2**31 - 1), max_size=20)


@given(ids)
def test_tokens_hold_what_they_were_given(values: list[int]):
    tokens = Tokens(values)
    assert tokens.tolist() == values
    assert len(tokens) == len(values)
    assert tokens == Tokens(np.array(values, np.int64)) and hash(tokens) == hash(Tokens(values))


@given(ids, st.integers(-25, 25), st.integers(-25, 25))
def test_a_slice_shares_the_buffer(values: list[int], start: int, stop: int):
    tokens = Tokens(values)
    part = tokens[start:stop]
    assert part.tolist() == values[start:stop]
    assert not len(part) or np.shares_memory(part.array, tokens.array)


def test_tokens_cannot_be_changed_through_any_door():
    own = np.array([1, 2, 3], np.int32)
    tokens, view = Tokens(own), Tokens(own[1:])
    own[:] = 9
    assert tokens.tolist() == [1, 2, 3] and view.tolist() == [2, 3]
    with pytest.raises(ValueError, match="read-only"):
        tokens.array[0] = 5
    with pytest.raises(TypeError):
        tokens[0] = 5  # pyright: ignore[reportIndexIssue]
    assert own.flags.writeable


def test_different_tokens_are_told_apart():
    assert Tokens([1, 2]) != Tokens([1, 2, 3]) and Tokens([1, 2]) != Tokens([2, 1]) and Tokens([1]) != [1]
    assert len({Tokens([1, 2]), Tokens([1, 2]), Tokens([2, 1]), Tokens([])}) == 3
    assert Tokens([1]).digest != Tokens([2]).digest


def test_tokens_join_index_and_show_themselves():
    joined = Tokens.join([Tokens([1, 2]), Tokens([]), Tokens([3])])
    assert joined.tolist() == [1, 2, 3] and joined[-1] == 3 and isinstance(joined[0], int)
    assert Tokens.join([]) == Tokens([])
    assert repr(Tokens(range(7))) == "Tokens([0, 1, 2, 3, 4, 5, …], length=7)"


def test_floats_are_immutable_and_compared_by_content():
    own = np.array([0.5, -1.0], np.float32)
    floats = Floats(own)
    own[:] = 0
    assert floats.tolist() == [0.5, -1.0] and len(floats) == 2
    assert floats == Floats([0.5, -1.0]) and hash(floats) == hash(Floats([0.5, -1.0]))
    assert floats != Floats([0.5]) and floats != [0.5, -1.0]
    with pytest.raises(ValueError, match="read-only"):
        floats.array[0] = 1.0


def pool(*judgements: Judgement) -> JudgedPool:
    document = Document("d", "c", 2, Tokens([1, 2, 3]))
    chunk = Chunk(document, Tokens([1]), Tokens([2, 3]), 1)
    return JudgedPool(Pool(chunk, (Suffix(Tokens([2, 3])), Rewrite(Tokens([4]), "w"))), judgements)


def test_nouns_are_frozen_and_keyed_by_reading():
    judged = pool()
    assert judged.pool.chunk.key == (2, "c", "d", 1)
    with pytest.raises((FrozenInstanceError, AttributeError)):
        judged.pool = judged.pool  # pyright: ignore[reportAttributeAccessIssue]
    assert hash(judged) == hash(pool())


def test_the_total_is_the_weighted_sum_with_the_fewest_comparisons_of_an_axis_that_compares():
    quality = Judgement("quality", (Scored(0.5, 8), Scored(0.25, 3)), weight=2.0)
    safety, style = Judgement("safety", (Scored(1), Scored(0))), Judgement("style", (Scored(0, 2), Scored(0, 5)))
    assert pool(quality, safety).totals == (Scored(2.0, 8), Scored(0.5, 3))
    assert pool(style, quality, safety).totals == (Scored(2.0, 2), Scored(0.5, 3))
    assert pool(safety).totals == (Scored(1.0, 0), Scored(0.0, 0))


def test_words_are_one_entry_a_candidate_or_none():
    assert Judgement("quality", (Scored(1), Scored(0))).words == ()
    with pytest.raises(ValueError, match="judge of quality gave words for 3 candidates and verdicts for 2"):
        Judgement("quality", (Scored(1), Scored(0)), words=("a", "b", "c"))


def test_what_was_not_asked_is_told_from_what_was_refused():
    assert not Abstained(f"{NOT_ASKED}: nobody to compare with").asked
    assert Abstained("Refused to answer").refused and Abstained("refused: 'no'").asked
    assert not Abstained("time-out").refused


def test_an_abstention_on_any_axis_is_an_abstention_on_the_whole():
    judged = pool(Judgement("quality", (Scored(1), Scored(1))), Judgement("safety", (Abstained("refused"), Scored(1))))
    assert judged.totals == (Abstained("safety: refused"), Scored(2))
    assert isinstance(pool().total(0), Abstained)


def test_a_judgement_has_a_verdict_for_every_candidate():
    with pytest.raises(ValueError, match="the judgement on quality has 1 verdicts for 2 candidates"):
        pool(Judgement("quality", (Scored(1.0),)))


def test_a_row_counts_its_tokens():
    assert Row((Segment(Tokens([1, 2])), Segment(Tokens([])), Segment(Tokens([3])))).length == 3
