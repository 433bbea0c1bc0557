"""Supervised baselines: which traces are kept, what is trained of them."""

import pytest
from tests.objectives.episodes import AGAIN, ATTEMPTS, QUESTION, episode, group
from tests.objectives.pools import batch_of, scores, value

from tutelage.metrics import Mean
from tutelage.objectives import PairSFT, STaR
from tutelage.objectives.traces import pair_rows, star_rows
from tutelage.types import Group, Row, Tokens

REWARDS = ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, "hung"), ("hung", 1.0))


def trained(row: Row) -> list[Tokens]:
    return [segment.tokens for segment in row.segments if segment.trained]


def text(row: Row) -> list[Tokens]:
    return [segment.tokens for segment in row.segments]


def test_star_keeps_traces_that_went_from_wrong_to_right():
    (row,) = star_rows(group(*REWARDS), plus=False)
    assert text(row) == [QUESTION, ATTEMPTS[0], AGAIN, ATTEMPTS[1]] and trained(row) == [ATTEMPTS[1]]
    (both,) = star_rows(group(*REWARDS), plus=False, both=True)
    assert trained(both) == [ATTEMPTS[0], ATTEMPTS[1]]
    assert len(star_rows(group(*REWARDS), plus=True)) == 2
    assert len(star_rows(group((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), plus=False)) == 1, "the last attempt decides"


def test_pair_sft_puts_a_right_attempt_behind_a_wrong_one():
    said = [[Tokens([10 + i]), Tokens([20 + i])] for i in range(4)]
    rewards = ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0))
    pool = group(*(episode(*r, draw=i, attempts=said[i]) for i, r in enumerate(rewards)))
    right = {20, 11, 21, 13}
    found = pair_rows(pool, plus=False)
    assert [text(row)[:3] for row in found] == [[QUESTION, said[i][0], AGAIN] for i in (0, 2)]
    assert all(len(trained(row)) == 1 and trained(row)[0][0] in right for row in found)
    more = pair_rows(pool, plus=True)
    assert [text(row)[1] for row in more] == [said[i][0] for i in range(4)]
    assert all(trained(row)[0] != text(row)[1] for row in more), "a right attempt gets another one"
    assert pair_rows(pool, plus=False) == found, "drawn by key"
    assert pair_rows(group((1.0, 0.0)), plus=True) == [], "never the attempt itself"


def test_the_right_attempt_is_drawn_from_all_of_them():
    said = [[Tokens([10 + i]), Tokens([20 + i])] for i in range(40)]
    pool = group(*(episode(0.0, 1.0, draw=i, attempts=said[i]) for i in range(40)))
    drawn = {trained(row)[0][0] for row in pair_rows(pool, plus=False)}
    assert len(drawn) > 15


@pytest.mark.parametrize("objective", [STaR(), PairSFT()])
def test_a_problem_without_a_trace_teaches_nothing_and_is_counted(objective: STaR | PairSFT):
    lesson = objective.lesson(group((0.0, 0.0), (0.0, 0.0)))
    assert lesson.item is None and lesson.metrics == {"pool/taught": Mean(0.0, 1), "traces/kept": Mean(0.0, 1)}


def test_traces_are_trained_by_plain_likelihood_a_mean_over_tokens():
    item = STaR().lesson(group(*REWARDS)).item
    assert isinstance(item, Group) and not STaR().needs_reference and not PairSFT().needs_reference
    batch = batch_of(item)
    policy = scores(batch)
    assert batch.target.tolist() == ATTEMPTS[1].tolist()
    assert value(STaR(), policy, None, batch) == pytest.approx(-float(policy.logprobs.detach().mean()))
