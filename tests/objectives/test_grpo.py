"""GRPO and Dr. GRPO against their closed forms."""

from math import sqrt
from typing import Literal

import pytest
import torch
from tests.objectives.pools import CANDIDATES, PREFIX, batch_of, item_of, judged, rollout, scores, value

from tutelage.metrics import Mean
from tutelage.objectives import GRPO
from tutelage.scoring import Scores
from tutelage.types import Group

ROLLOUTS = (rollout(6, 7, 8), rollout(9, 10), rollout(11))
REWARDS = [1.0, 0.0, 0.5]


def test_every_rollout_gets_its_advantage_and_other_sources_none():
    item = item_of(GRPO(std=False), judged([CANDIDATES[0], *ROLLOUTS], [1.0, *REWARDS]))
    assert isinstance(item, Group) and len(item.rows) == 3
    assert [row.segments[-1].advantage for row in item.rows] == pytest.approx([0.5, -0.5, 0.0])


def test_advantages_are_normalised_as_asked():
    def advantages(objective: GRPO) -> list[float]:
        item = item_of(objective, judged(ROLLOUTS, REWARDS))
        assert isinstance(item, Group)
        return [row.segments[-1].advantage for row in item.rows]

    assert advantages(GRPO()) == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0])
    assert advantages(GRPO(baseline="leave_one_out", std=False)) == pytest.approx([0.75, -0.75, 0])


def test_a_group_without_spread_trains_its_anchor_alone():
    for scores_of, tie, silent in (([0.5] * 3, 1, 0), ([1.0, "refused", "refused"], 0, 2)):
        lesson = GRPO().lesson(judged(ROLLOUTS, scores_of))
        assert lesson.item is None and lesson.metrics["pool/tie"] == Mean(tie, 1)
        assert lesson.metrics["pool/too_few"] == Mean(1 - tie, 1) and lesson.metrics["pool/abstained"] == Mean(
            silent, 3
        )
        batch = batch_of(item_of(GRPO(ntp_weight=0.5), judged(ROLLOUTS, scores_of)))
        assert batch.target.tolist() == PREFIX.tolist()[1:] and not batch.trained.any()
        policy = scores(batch)
        assert value(GRPO(ntp_weight=0.5), policy, None, batch) == pytest.approx(
            -0.25 * float(policy.logprobs.detach().sum())
        )


@pytest.mark.parametrize("length", ["row", "constant", "token"])
def test_a_group_without_spread_makes_no_step_smaller(length: Literal["row", "constant", "token"]):
    objective = GRPO(length=length, std=False, ntp_weight=0.5)
    taught = item_of(objective, judged(ROLLOUTS, REWARDS))
    flat = item_of(objective, judged(ROLLOUTS, [0.5] * 3, "flat"))
    alone, both = batch_of(taught), batch_of(taught, flat)
    assert objective.counts(both)["policy_gradient"] == objective.counts(alone)["policy_gradient"]
    assert objective.counts(both)["ntp"] == 2 * objective.counts(alone)["ntp"]


@pytest.mark.parametrize("where", [0, 2])
def test_a_score_that_is_not_finite_is_no_score(where: int):
    rewards = [float("nan") if i == where else reward for i, reward in enumerate(REWARDS)]
    with pytest.raises(ValueError, match="a score must be finite"):
        GRPO().lesson(judged(ROLLOUTS, rewards))


def test_an_abstained_rollout_takes_no_part():
    item = item_of(GRPO(std=False), judged(ROLLOUTS, [1.0, "timed out", 0.0]))
    assert isinstance(item, Group) and [row.segments[-1].advantage for row in item.rows] == [0.5, -0.5]


def test_the_metrics_of_a_group_are_those_of_its_rollouts():
    metrics = GRPO().lesson(judged([CANDIDATES[0], *ROLLOUTS], ["refused", *REWARDS])).metrics
    assert metrics["pool/abstained"] == Mean(0, 3) and metrics["pool/too_few"] == Mean(0, 1)
    assert metrics["pool/score_spread"] == Mean(1.0, 1) and metrics["pool/taught"] == Mean(1, 1)


def test_a_rollout_longer_than_the_constant_divisor_is_refused():
    pool = judged(ROLLOUTS, REWARDS)
    with pytest.raises(ValueError, match="constant_length is 2, but a rollout has 3 tokens"):
        GRPO(length="constant", constant_length=2).lesson(pool)
    assert GRPO(length="constant", constant_length=3).lesson(pool).item is not None
    assert GRPO(constant_length=2).lesson(pool).item is not None


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.0, 0.9)])
def test_tempered_or_truncated_rollouts_are_refused(temperature: float, top_p: float):
    tempered = [rollout(1, temperature=temperature, top_p=top_p), rollout(2, temperature=temperature, top_p=top_p)]
    with pytest.raises(
        ValueError, match=rf"GRPO needs rollouts at temperature 1 and top_p 1, not {temperature} and {top_p}"
    ):
        GRPO().lesson(judged(tempered, [0.0, 1.0]))


def surrogate(ratio: torch.Tensor, advantage: float) -> torch.Tensor:
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)


@pytest.mark.parametrize("length", ["row", "constant", "token"])
def test_grpo_is_its_formula(length: Literal["row", "constant", "token"]):
    objective = GRPO(length=length, constant_length=16, ntp_weight=0.5, kl_weight=0.3, kl="reference_to_policy")
    other = judged(ROLLOUTS[:2], [0.0, 1.0], "e")
    batch = batch_of(item_of(objective, judged(ROLLOUTS, REWARDS)), item_of(objective, other))
    policy, reference = scores(batch, 1), scores(batch, 2)
    logprobs, theirs = policy.logprobs.detach(), reference.logprobs.detach()
    spread = {3: 0.5001, 2: sqrt(0.5) + 1e-4}
    advantages = [0.5 / spread[3], -0.5 / spread[3], 0.0, -0.5 / spread[2], 0.5 / spread[2]]
    rows: list[torch.Tensor] = []
    for number, advantage in enumerate(advantages):
        own = batch.trained & (batch.row == number)
        behaviour = torch.tensor([-0.5 - 0.1 * i for i in range(int(own.sum()))], dtype=torch.float32).double()
        difference = theirs[own] - logprobs[own]
        # Advantages and weights travel as float32.
        leash = float(torch.tensor(0.3)) * (difference.exp() - difference - 1)
        rows.append(surrogate((logprobs[own] - behaviour).exp(), float(torch.tensor(advantage))) + leash)
    each = {
        "row": sum(float(row.mean()) for row in rows) / 5,
        "constant": sum(float(row.sum()) for row in rows) / 16 / 5,
        "token": float(torch.cat(rows).mean()),
    }
    anchor = -0.5 * float(logprobs[batch.ntp_weight > 0].sum()) / 4
    assert value(objective, policy, reference, batch) == pytest.approx(each[length] + anchor, rel=1e-9)


def kl(logits: torch.Tensor, reference: torch.Tensor, forward: bool) -> torch.Tensor:
    ours, theirs = logits.log_softmax(-1), reference.log_softmax(-1)
    return (ours.exp() * (ours - theirs)).sum() if forward else (theirs.exp() * (theirs - ours)).sum()


@pytest.mark.parametrize("name", ["policy_to_reference", "reference_to_policy"])
def test_the_leash_is_named_by_its_gradient(name: Literal["policy_to_reference", "reference_to_policy"]):
    """In expectation over what the policy writes, computed exactly over a vocabulary of five."""
    generator = torch.Generator().manual_seed(0)
    logits, reference = (torch.randn(5, generator=generator, dtype=torch.float64) for _ in range(2))
    objective = GRPO(kl_weight=1.0, kl=name, length="token")
    pools = judged([rollout(t, draw=t) for t in range(5)], [0.0, 0.0, 0.0, 0.0, 1.0])
    batch = batch_of(item_of(objective, pools))
    theirs = Scores(reference.log_softmax(-1)[batch.target], torch.zeros(5))

    def gradient() -> torch.Tensor:
        """One token after another, each by its probability: the expectation instead of a sample."""
        leaf = logits.clone().requires_grad_(True)
        ours = leaf.log_softmax(-1)[batch.target]
        total = torch.zeros(5, dtype=torch.float64)
        for i, weight in enumerate(ours.detach().exp()):
            batch.kl_weight.zero_()
            batch.kl_weight[i] = 1.0
            batch.advantage.zero_()
            loss = objective.loss(Scores(ours, torch.zeros(5)), theirs, batch).totals["policy_gradient"]
            total += weight * torch.autograd.grad(loss, leaf, retain_graph=True)[0]
        return total

    leaf = logits.clone().requires_grad_(True)
    forward = name == "policy_to_reference"
    expected = torch.autograd.grad(kl(leaf, reference, forward), leaf)[0]
    other = torch.autograd.grad(kl(leaf, reference, not forward), leaf)[0]
    assert torch.allclose(gradient(), expected, atol=1e-12) and not torch.allclose(expected, other, atol=1e-3)


def test_metrics_say_how_far_the_policy_is_from_what_wrote_the_text():
    objective = GRPO(kl_weight=0.1)
    batch = batch_of(item_of(objective, judged(ROLLOUTS, REWARDS)))
    policy, reference = scores(batch, 1), scores(batch, 2)
    metrics = objective.loss(policy, reference, batch).metrics
    ours = policy.logprobs.detach()
    ratio = (ours - batch.behaviour).exp()
    assert metrics["policy/mismatch"].total == pytest.approx(float((ours - batch.behaviour).abs().sum()))
    assert metrics["policy/clipped"] == Mean(float(((ratio > 1.2) | (ratio < 0.8)).sum()), 6)
    assert metrics["policy/kl"].total == pytest.approx(float(0.5 * (ours - reference.logprobs.detach()).square().sum()))


def test_without_a_reference_there_is_no_leash():
    batch = batch_of(item_of(GRPO(), judged(ROLLOUTS, REWARDS)))
    policy = scores(batch)
    assert "policy/kl" not in GRPO().loss(policy, None, batch).metrics
    assert not batch.kl_weight.any()
