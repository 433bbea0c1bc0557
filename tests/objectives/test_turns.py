"""Credit by attempt: who is trained, with which advantage, on whose leash."""

from typing import Any

import pytest
import torch
from tests.objectives.episodes import AGAIN, ATTEMPTS, QUESTION, episode, group
from tests.objectives.pools import batch_of, judged, scores, value

from tutelage.episodes import EpisodeGroup
from tutelage.metrics import Mean
from tutelage.objectives import (
    GRPO,
    NTP,
    Lesson,
    MultiTurn,
    Objective,
    OnlineDPO,
    SingleTurn,
    StageOne,
    StageTwo,
    learns_from,
)
from tutelage.objectives.lesson import FollowsMetrics
from tutelage.objectives.turns import reinforce
from tutelage.scoring import Scores
from tutelage.types import Group, JudgedPool, Row, Segment

REWARDS = ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0))


def rows_of(objective: Objective, episodes: EpisodeGroup) -> tuple[Row, ...]:
    item = objective.lesson(episodes).item
    assert isinstance(item, Group)
    return item.rows


def attempts(row: Row) -> list[Segment]:
    return [segment for segment in row.segments if segment.turn]


def credit(objective: Objective, episodes: EpisodeGroup) -> list[list[float | None]]:
    """Advantages of every attempt; ``None`` where it is not trained."""
    return [[s.advantage if s.trained else None for s in attempts(row)] for row in rows_of(objective, episodes)]


def leashes(objective: Objective, episodes: EpisodeGroup) -> list[list[float]]:
    return [[s.kl_weight for s in attempts(row)] for row in rows_of(objective, episodes)]


def test_a_row_is_the_episode_in_its_exact_tokens():
    (row, *_) = rows_of(StageTwo(), group(*REWARDS))
    assert [s.tokens for s in row.segments] == [QUESTION, ATTEMPTS[0], AGAIN, ATTEMPTS[1]]
    assert [s.turn for s in row.segments] == [0, 1, 0, 2]
    assert [s.trained for s in row.segments] == [False, True, False, True]
    assert all(s.logprobs is not None and len(s.logprobs) == len(s.tokens) for s in attempts(row))


def test_stage_two_compares_each_attempt_with_the_same_attempt_of_the_others():
    found = credit(StageTwo(alpha=10.0), group(*REWARDS))
    assert [one[0] for one in found] == pytest.approx([-2 / 3, 2 / 3, -2 / 3, 2 / 3])
    shaped = [11.0, 1.0, 0.0, -10.0]
    assert [one[1] for one in found] == pytest.approx([4 / 3 * (r - 0.5) for r in shaped])
    assert leashes(StageTwo(beta1=0.3), group(*REWARDS)) == [[0.3, 0.3]] * 4


def test_the_bonus_is_on_every_attempt_after_the_first():
    found = credit(StageTwo(alpha=2.0), group((0.0, 1.0, 0.0), (0.0, 0.0, 0.0)))
    assert found == [[0.0, 3.0, -2.0], [0.0, -3.0, 2.0]]


def test_stage_one_holds_the_first_attempt_without_training_it():
    objective = StageOne(beta2=0.7, beta1=0.05)
    assert credit(objective, group(*REWARDS)) == [[None, pytest.approx(a)] for a in (2 / 3, 2 / 3, -2 / 3, -2 / 3)]
    assert leashes(objective, group(*REWARDS)) == [[0.7, 0.05]] * 4


def test_stage_one_b_holds_both_attempts_before_the_third():
    three = group((0.0, 0.0, 1.0), (0.0, 1.0, 0.0))
    assert credit(StageOne(turn=3), three) == [[None, None, 1.0], [None, None, -1.0]]
    assert leashes(StageOne(turn=3, beta2=0.7, beta1=0.05), three) == [[0.7, 0.7, 0.05]] * 2
    early = rows_of(StageOne(turn=2), three)
    assert all(len(attempts(row)) == 2 for row in early), "what is neither trained nor held is not computed"


def test_leashes_remain_where_no_attempt_earned_more_than_another():
    same = group((0.0, 0.0), (0.0, 0.0))
    lesson = StageOne().lesson(same)
    assert isinstance(lesson.item, Group) and lesson.metrics["pool/taught"] == Mean(0.0, 1)
    assert credit(StageOne(), same) == [[None, 0.0]] * 2 and leashes(StageOne(), same) == [[0.1, 0.01]] * 2


def test_an_abstention_is_neither_trained_nor_a_baseline():
    found = credit(StageTwo(alpha=1.0), group((0.0, 1.0), (1.0, "hung"), ("hung", 1.0), (1.0, 0.0)))
    assert [one[0] for one in found] == [pytest.approx(-1.0), pytest.approx(0.5), None, pytest.approx(0.5)]
    # The third's bonus is not known, so that its second attempt cannot be compared with the others either.
    assert [one[1] for one in found] == [pytest.approx(3.0), None, None, pytest.approx(-3.0)]
    plain = credit(StageTwo(alpha=0.0), group((0.0, 1.0), ("hung", 1.0), (1.0, 0.0)))
    assert [one[1] for one in plain] == [pytest.approx(0.5), pytest.approx(0.5), pytest.approx(-1.0)]
    held = leashes(StageTwo(beta1=0.2), group((0.0, 1.0), (1.0, "hung")))
    assert held == [[0.2, 0.2]] * 2, "a leash asks for no verdict"
    nothing = StageTwo(beta1=0.0).lesson(group(("hung", "hung"), ("hung", "hung")))
    assert nothing.item is None and nothing.metrics["pool/taught"] == Mean(0.0, 1)


def test_a_first_attempt_by_another_is_context_alone():
    mixed = group(episode(0.0, 1.0, offline=True), episode(1.0, 0.0), episode(0.0, 0.0, draw=2))
    found = credit(StageTwo(alpha=1.0, beta1=0.2), mixed)
    assert found[0][0] is None and found[0][1] == pytest.approx(2.0 - (-1.0 + 0.0) / 2)
    assert [one[0] for one in found[1:]] == [1.0, -1.0], "it is no baseline of those that the policy wrote"
    assert leashes(StageTwo(beta1=0.2), mixed) == [[0.0, 0.2], [0.2, 0.2], [0.2, 0.2]]
    assert attempts(rows_of(StageTwo(), mixed)[0])[0].logprobs is None
    (loss,) = [StageTwo().loss(scores(b), scores(b, 1), b) for b in [batch_of(Group(rows_of(StageTwo(), mixed)))]]
    assert all(torch.isfinite(total) for total in loss.totals.values())


def test_naive_multi_turn_rl_trains_the_last_attempt_or_all_by_their_returns():
    assert credit(MultiTurn(), group(*REWARDS[:2])) == [[None, 0.0]] * 2
    assert credit(MultiTurn(), group((0.0, 1.0), (1.0, 0.0))) == [[None, 1.0], [None, -1.0]]
    assert leashes(MultiTurn(beta1=0.2), group(*REWARDS[:2])) == [[0.0, 0.2]] * 2
    both = credit(MultiTurn(trained="all", discount=0.5), group((0.0, 1.0), (0.0, 0.0)))
    assert both == [[0.5, 1.0], [-0.5, -1.0]]
    leaking = credit(MultiTurn(trained="all", discount=1.0, alpha=10.0), group((0.0, 1.0), (1.0, 1.0)))
    assert leaking == [[9.0, 10.0], [-9.0, -10.0]], "a wrong first attempt earns more than a right one"


def test_single_turn_rl_looks_at_the_first_attempt_alone():
    found = rows_of(SingleTurn(), group((0.0, 1.0), (1.0, 1.0)))
    assert [len(row.segments) for row in found] == [2, 2] and credit(SingleTurn(), group((0.0,), (1.0,))) == [
        [-1.0],
        [1.0],
    ]


@pytest.mark.parametrize("objective", [StageOne(), StageTwo(), MultiTurn()])
def test_too_few_attempts_are_refused_with_a_remedy(objective: Objective):
    with pytest.raises(
        ValueError, match=r"needs 2 attempts in every episode; those of problem p have 1: set task\.turns"
    ):
        objective.lesson(group((0.0,), (1.0,)))
    with pytest.raises(ValueError, match="StageOne needs 3 attempts"):
        StageOne(turn=3).lesson(group((0.0, 1.0)))


def test_both_terms_are_means_over_the_episodes_of_the_step():
    batch = batch_of(Group(rows_of(StageTwo(), group(*REWARDS))), Group(rows_of(StageOne(), group(*REWARDS[:2]))))
    assert StageTwo().counts(batch) == {"policy_gradient": 6.0, "leash": 6.0}
    assert batch.turn.tolist()[:5] == [1, 1, 2, 2, 2]


def test_the_loss_is_the_sum_over_tokens_of_credit_and_leash():
    batch = batch_of(Group(rows_of(StageTwo(alpha=1.0, beta1=0.3), group(*REWARDS))))
    policy = scores(batch)
    on_policy = Scores(batch.behaviour.double().requires_grad_(True), policy.entropy)
    theirs = scores(batch, 1)
    gap = on_policy.logprobs - theirs.logprobs.detach()
    exact = (-batch.advantage * on_policy.logprobs).sum() / 4 + (0.3 * 0.5 * gap**2).sum() / 4
    assert value(StageTwo(alpha=1.0, beta1=0.3), on_policy, theirs, batch) == pytest.approx(
        float(exact.detach()), rel=1e-6
    )


def test_what_an_older_policy_wrote_weighs_by_its_ratio_and_at_most_twice():
    batch = batch_of(Group(rows_of(StageTwo(alpha=1.0, beta1=0.0), group(*REWARDS))))
    for shift, weight in ((-0.5, 0.6065306597), (0.2, 1.2214027582), (3.0, 2.0)):
        ours = (batch.behaviour.double() + shift).requires_grad_(True)
        loss = reinforce(Scores(ours, torch.zeros_like(ours).detach()), None, batch, "token")
        (gradient,) = torch.autograd.grad(loss.totals["policy_gradient"], ours)
        assert torch.allclose(gradient, -weight * batch.advantage.double(), rtol=1e-6)


def test_divergence_and_entropy_are_told_by_turn():
    batch = batch_of(Group(rows_of(StageTwo(), group(*REWARDS))))
    policy, theirs = scores(batch), scores(batch, 1)
    metrics = StageTwo().loss(policy, theirs, batch).metrics
    for turn, tokens in ((1, 8), (2, 12)):
        found, entropy = metrics[f"kl/turn{turn}"], metrics[f"entropy/turn{turn}"]
        assert isinstance(found, Mean) and isinstance(entropy, Mean) and found.count == entropy.count == tokens
        gap = (theirs.logprobs - policy.logprobs)[batch.turn == turn].detach()
        assert found.total == pytest.approx(float((gap.exp() - 1 - gap).sum()))
    assert "kl/turn1" not in StageTwo(beta1=0.0).loss(policy, None, batch).metrics


def test_a_leash_of_no_weight_needs_no_reference():
    assert not StageTwo(beta1=0.0).needs_reference and StageTwo().needs_reference
    assert StageOne(beta1=0.0).needs_reference and not StageOne(beta1=0.0, beta2=0.0).needs_reference
    assert not MultiTurn(beta1=0.0).needs_reference and not SingleTurn(beta1=0.0).needs_reference


def test_an_adaptive_leash_follows_how_far_first_attempts_have_drifted():
    plain, adaptive = StageOne(beta2=0.1), StageOne(beta2=0.1, kl_target=0.02)
    assert isinstance(adaptive, FollowsMetrics) and plain.follows == {} and adaptive.follows == {"kl/turn1": 8}
    assert plain.adapted({"kl/turn1": (9.0,)}) == plain and adaptive.adapted({}) == adaptive
    found = [adaptive.adapted({"kl/turn1": drift}).beta2 for drift in ((0.03, 0.05), (0.01,), (9.0,), (0.0,))]
    assert found == pytest.approx([0.2, 0.05, 1.0, 0.01])
    assert adaptive.lesson(group(*REWARDS)).metrics["policy/beta2"] == Mean(0.1, 1)


@pytest.mark.parametrize(
    ("objective", "field", "value_of", "words"),
    [
        (StageOne, "turn", 1, "at least 2, not 1"),
        (StageOne, "beta2", -1.0, "at least 0, not -1.0"),
        (StageOne, "kl_target", 0.0, "above 0, not 0.0"),
        (StageTwo, "alpha", -0.1, "at least 0, not -0.1"),
        (StageTwo, "beta1", float("nan"), "at least 0, not nan"),
        (MultiTurn, "discount", 1.5, "at least 0 and at most 1, not 1.5"),
        (SingleTurn, "beta1", -1.0, "at least 0, not -1.0"),
    ],
)
def test_a_setting_out_of_range_is_refused(objective: Any, field: str, value_of: float, words: str):
    with pytest.raises(ValueError, match=f"^{field} must be {words}$"):
        objective(**{field: value_of})


class Whatever(StageTwo):
    """Says nothing of what it learns from."""

    def lesson(self, group: Any) -> Lesson:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().lesson(group)


def test_an_objective_says_by_its_annotation_what_it_learns_from():
    assert learns_from(StageOne(), EpisodeGroup) and learns_from(StageOne(), JudgedPool) is False
    assert learns_from(NTP(), JudgedPool) and learns_from(OnlineDPO(), EpisodeGroup) is False
    assert learns_from(GRPO(), JudgedPool) and learns_from(GRPO(), EpisodeGroup)
    assert learns_from(Whatever(), EpisodeGroup) is None
    assert NTP().lesson(judged([], [])).item is not None
