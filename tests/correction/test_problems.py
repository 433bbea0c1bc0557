"""Problems are read in keyed order; what cannot be asked is counted and left out."""

from dataclasses import replace

import pytest
from tests.correction.parts import Digits, task

from tutelage.codec import HFCodec
from tutelage.correction import ProblemReader
from tutelage.episodes import Problem
from tutelage.problems.contract import ProblemSet, Unusable


def reader(codec: HFCodec, *problems: Problem, most: int = 100, seed: int = 0) -> ProblemReader:
    known = ProblemSet(problems, (None,) * len(problems)) if problems else Digits().read()
    return ProblemReader(known, task().format.build(codec), seed=seed, most=most)


def test_every_epoch_asks_every_problem_once_in_an_order_of_its_own(digits_codec: HFCodec):
    read = reader(digits_codec)
    posed, cursor = read.read(read.start(), 20)
    orders = [[p.problem.id for p in posed if p.epoch == epoch] for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1] and len(set(orders[0])) == 10
    assert cursor.taken == 20 and read.read(cursor, 1)[0][0].epoch == 2
    assert posed[0].prompt == digits_codec.encode(f"next {posed[0].problem.question}")


def test_reading_is_a_function_of_the_cursor(digits_codec: HFCodec):
    read, again = reader(digits_codec), reader(digits_codec)
    _, cursor = read.read(read.start(), 7)
    assert again.read(cursor, 6) == read.read(cursor, 6)
    assert reader(digits_codec, seed=1).read(read.start(), 10) != read.read(read.start(), 10)


def test_problems_without_an_answer_or_too_long_are_counted_and_never_asked(digits_codec: HFCodec):
    odd = (Problem("a", "1", "2"), Problem("b", "1", " "), Problem("c", "", "2"), Problem("d", "1 2 3", "4"))
    read = reader(digits_codec, *odd, most=3)
    assert [p.problem.id for p in read.read(read.start(), 3)[0]] == ["a"] * 3 and len(read) == 1 and read.longest == 2
    assert read.counts() == {
        "problems_without_an_answer": 1,
        "problems_without_a_question": 1,
        "problems_too_long": 1,
    }


def test_rows_that_are_no_problems_are_counted_too(digits_codec: HFCodec):
    known = ProblemSet((Problem("a", "1", "2"),), (None,), (Unusable("f:2", "no question"),))
    read = ProblemReader(known, task().format.build(digits_codec), seed=0, most=100)
    assert read.counts() == {"problems_unusable": 1}


def test_problems_of_which_none_can_be_used_are_an_error_that_says_why(digits_codec: HFCodec):
    with pytest.raises(ValueError, match=r"no problem can be used \(2 problems_without_an_answer\)"):
        reader(digits_codec, Problem("a", "1", ""), Problem("b", "2", ""))
    with pytest.raises(ValueError, match="two problems are called 'a'"):
        reader(digits_codec, Problem("a", "1", "2"), Problem("a", "2", "3"))


def test_the_fingerprint_covers_questions_and_keys_and_how_they_are_asked(digits_codec: HFCodec):
    one = Problem("a", "1", "2")
    same, key, question = (
        reader(digits_codec, other).fingerprint for other in (one, replace(one, key="3"), replace(one, question="4"))
    )
    assert len({reader(digits_codec, one).fingerprint, same}) == 1 and len({same, key, question}) == 3
