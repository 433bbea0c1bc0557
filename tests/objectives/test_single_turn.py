"""Single-turn RL with a verifiable reward: GRPO on attempts, against the exact gradient of the expected reward."""

from typing import Any

import pytest
import torch
from tests.objectives.episodes import ATTEMPTS, QUESTION, episode, group
from tests.objectives.pools import batch_of, scores
from tests.objectives.table import Table, close, expected, written
from torch import Tensor

from tutelage.episodes import Turn
from tutelage.metrics import Mean
from tutelage.objectives import GRPO
from tutelage.scoring import Scores
from tutelage.types import Abstained, Group, Row, Scored, Verdict

EARNED: dict[tuple[int, ...], Verdict] = {
    (5, 5): Scored(0.0),
    (5, 6): Scored(0.25),
    (6, 5): Scored(1.0),
    (6, 6): Scored(0.5),
}
"""Right, wrong and half right."""
DR_GRPO: dict[str, Any] = {"std": False, "length": "constant", "constant_length": 2}


def rewarded_by(earned: dict[tuple[int, ...], Verdict], table: Table, objective: GRPO, size: int) -> Tensor:
    def change(turn: Turn, _: int) -> Turn:
        reward = earned[tuple(turn.completion.tolist())]
        return Turn(turn.prompt, turn.completion, turn.logprobs, turn.finish, reward)

    return expected(objective, table, size=size, turns=1, change=change)


def exact(earned: dict[tuple[int, ...], Verdict], table: Table) -> Tensor:
    """The gradient of minus the expected reward."""
    chances = {one: table.attempt(tuple(QUESTION.tolist()), one).exp() for one in written(table.length)}
    rewards = {one: verdict.value for one, verdict in earned.items() if isinstance(verdict, Scored)}
    value = -torch.stack([chances[one] * reward for one, reward in rewards.items()]).sum()
    return torch.autograd.grad(value, table.logits)[0]


def rows_of(lesson_of: GRPO, *rewards: float | str) -> tuple[Row, ...]:
    item = lesson_of.lesson(group(*((reward,) for reward in rewards))).item
    assert isinstance(item, Group)
    return item.rows


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("ratio", ["clipped", "truncated"])
def test_dr_grpo_on_attempts_is_the_gradient_of_the_expected_reward_over_the_longest_length(ratio: Any, size: int):
    table = Table(2, turns=1)
    others = GRPO(**DR_GRPO, baseline="leave_one_out", ratio=ratio)
    assert close(rewarded_by(EARNED, table, others, size), exact(EARNED, table) / 2)
    mean = GRPO(**DR_GRPO, ratio=ratio)
    assert close(rewarded_by(EARNED, table, mean, size), exact(EARNED, table) / 2 * (size - 1) / size)


def test_the_mean_over_tokens_is_that_of_the_sum_where_all_attempts_are_as_long():
    table = Table(2, turns=1)
    by_row = rewarded_by(EARNED, table, GRPO(std=False, length="row", baseline="leave_one_out"), 2)
    assert close(by_row, exact(EARNED, table) / 2)
    by_spread = rewarded_by(EARNED, table, GRPO(length="row"), 2)
    assert not close(by_spread, by_row), "dividing by the spread is another gradient"


def test_a_row_is_the_prompt_and_one_attempt_with_its_advantage():
    rows = rows_of(GRPO(std=False), 1.0, 0.0, 0.5)
    assert [[s.tokens for s in row.segments] for row in rows] == [[QUESTION, ATTEMPTS[0]]] * 3
    assert [row.segments[1].advantage for row in rows] == pytest.approx([0.5, -0.5, 0.0])
    assert all(row.segments[1].trained and row.segments[1].turn == 1 for row in rows)
    assert not any(row.segments[0].trained for row in rows)


def test_an_attempt_without_a_verdict_is_neither_trained_nor_in_the_mean():
    lesson = GRPO(std=False).lesson(group((1.0,), ("no verdict",), (0.0,)))
    assert isinstance(lesson.item, Group)
    assert [row.segments[1].advantage for row in lesson.item.rows] == [0.5, -0.5]
    assert lesson.metrics["pool/abstained"] == Mean(1.0, 3) and lesson.metrics["pool/score_mean"] == Mean(1.0, 2)
    table = Table(2, turns=1)
    silent = EARNED | {(5, 5): Abstained("hung")}
    found = rewarded_by(silent, table, GRPO(**DR_GRPO), 2)
    assert not close(found, rewarded_by(EARNED, table, GRPO(**DR_GRPO), 2)), "silence is not a reward of 0"


def test_a_group_that_earns_alike_teaches_nothing_but_its_anchor():
    for rewards in ((0.5, 0.5), (1.0, "hung"), ("hung", "hung")):
        same = group(*((reward,) for reward in rewards))
        lesson = GRPO().lesson(same)
        assert lesson.item is None and lesson.metrics["pool/taught"] == Mean(0.0, 1)
        anchor = GRPO(ntp_weight=0.5).lesson(same).item
        assert isinstance(anchor, Group)
        assert [[(s.tokens, s.ntp_weight, s.trained) for s in row.segments] for row in anchor.rows] == [
            [(QUESTION, 0.5, False)]
        ]


def test_the_anchor_is_on_the_prompt_of_one_row_alone():
    rows = rows_of(GRPO(ntp_weight=0.5), 1.0, 0.0)
    assert [row.segments[0].ntp_weight for row in rows] == [0.5, 0.0]


def test_an_attempt_by_another_is_not_trained_nor_compared_with():
    offline = episode(1.0, offline=True)
    item = GRPO(std=False).lesson(group(offline, (1.0,), (0.0,))).item
    assert isinstance(item, Group) and [row.segments[1].advantage for row in item.rows] == [0.5, -0.5]


def test_several_attempts_an_episode_are_refused_with_the_setting():
    with pytest.raises(
        ValueError, match=r"one attempt an episode, and those of problem p have more: set task.turns to 1"
    ):
        GRPO().lesson(group((0.0, 1.0), (1.0, 0.0)))


def test_a_truncated_ratio_weighs_each_token_by_at_most_two():
    batch = batch_of(Group(rows_of(GRPO(std=False), 1.0, 0.0)))
    drawn = scores(batch)
    policy = Scores((drawn.logprobs.detach() + 2.0).requires_grad_(True), drawn.entropy)
    objective = GRPO(std=False, length="token", ratio="truncated")
    (gradient,) = torch.autograd.grad(objective.loss(policy, None, batch).totals["policy_gradient"], policy.logprobs)
    weights = (policy.logprobs.detach() - batch.behaviour).exp().clamp(max=2.0)
    assert (weights == 2.0).any() and (weights < 2.0).any()
    assert torch.allclose(gradient, -(weights * batch.advantage).double())
