import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tutelage.maths.losses import (
    dpo_loss,
    kl_policy_to_reference,
    kl_reference_to_policy,
    policy_gradient_loss,
)

LOGPROB = st.floats(-50, 0)


def column(*values: float, grad: bool = False) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


def draw(seed: int, count: int = 6) -> Tensor:
    return -torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def test_dpo_at_the_reference_costs_log_two_and_pushes_by_half_beta() -> None:
    chosen, rejected = column(-3.0, grad=True), column(-2.0, grad=True)
    loss, margin = dpo_loss(chosen, rejected, column(-3.0), column(-2.0), beta=0.1)
    assert margin.item() == 0.0
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.05)
    assert rejected.grad.item() == pytest.approx(0.05)


def test_dpo_is_its_closed_form() -> None:
    loss, margin = dpo_loss(column(-1.0), column(-4.0), column(-2.0), column(-3.0), 0.5, 0.2)
    assert margin.item() == pytest.approx(0.5 * ((-1 + 2) - (-4 + 3)))
    sigma = 1 / (1 + math.exp(-1.0))
    assert loss.item() == pytest.approx(-0.8 * math.log(sigma) - 0.2 * math.log(1 - sigma))


@given(LOGPROB, LOGPROB, LOGPROB, LOGPROB, st.floats(0.01, 2))
def test_dpo_is_antisymmetric(c: float, r: float, ref_c: float, ref_r: float, beta: float) -> None:
    loss, margin = dpo_loss(column(c), column(r), column(ref_c), column(ref_r), beta)
    swapped, reverse = dpo_loss(column(r), column(c), column(ref_r), column(ref_c), beta)
    assert reverse.item() == -margin.item()
    assert (swapped - loss).item() == pytest.approx(margin.item(), abs=1e-9)


@given(LOGPROB, LOGPROB, st.floats(-20, 20))
def test_dpo_sees_only_differences_between_the_two_texts(c: float, r: float, shift: float) -> None:
    _, margin = dpo_loss(column(c), column(r), column(-1.0), column(-2.0), 0.1)
    _, shifted = dpo_loss(column(c), column(r), column(-1.0 + shift), column(-2.0 + shift), 0.1)
    assert shifted.item() == pytest.approx(margin.item(), abs=1e-9)


def test_dpo_stays_finite_at_extreme_margins() -> None:
    chosen = column(-1e4, 0.0, grad=True)
    loss, _ = dpo_loss(chosen, column(0.0, -1e4), column(0.0, 0.0), column(0.0, 0.0), 1.0)
    assert loss.tolist() == [1e4, 0.0]
    loss.sum().backward()
    assert chosen.grad is not None
    assert chosen.grad.tolist() == [-1.0, 0.0]


@pytest.mark.parametrize(("beta", "smoothing"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (0.1, 0.5)])
def test_dpo_refuses_settings_that_cannot_teach(beta: float, smoothing: float) -> None:
    with pytest.raises(ValueError, match="must"):
        dpo_loss(*(column(-1.0) for _ in range(4)), beta, smoothing)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [
        (1.0, 2.0, -2.0, True),
        (1.5, 1.0, -1.28, False),  # already raised enough
        (0.5, -1.0, 0.8, False),  # already lowered enough
        (1.5, -1.0, 1.5, True),  # raised although it is bad: always pulled back
        (0.5, 1.0, -0.5, True),
    ],
)
def test_clipping_stops_only_what_went_far_enough(ratio: float, advantage: float, loss: float, moves: bool) -> None:
    logprobs = column(-1.0 + math.log(ratio), grad=True)
    value = policy_gradient_loss(logprobs, column(-1.0), column(advantage), 0.2, 0.28)
    assert value.item() == pytest.approx(loss)
    (gradient,) = torch.autograd.grad(value, logprobs)
    assert gradient.item() == pytest.approx(-ratio * advantage if moves else 0.0)


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.2), (1.1, 0.2), (0.2, -0.1), (math.nan, 0.2)])
def test_impossible_clips_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="clip_low"):
        policy_gradient_loss(column(-1.0), column(-1.0), column(1.0), low, high)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, *c: dpo_loss(x, *c, 0.3, 0.1)[0],
        lambda x, *c: dpo_loss(c[0], x, *c[1:], 0.3)[0],
        lambda x, *c: policy_gradient_loss(x, c[0], c[1], 0.2, 0.28),
        lambda x, *c: kl_policy_to_reference(x, c[0]),
        lambda x, *c: kl_reference_to_policy(x, c[0]),
    ],
    ids=["dpo chosen", "dpo rejected", "policy gradient", "k2", "k3"],
)
def test_gradients_are_those_of_finite_differences(loss: Callable[..., Tensor]) -> None:
    others = [draw(seed) for seed in (1, 2, 3)]
    assert torch.autograd.gradcheck(lambda x: loss(x, *others), (draw(0).requires_grad_(),))


def test_no_gradient_reaches_references_behaviour_or_advantages() -> None:
    policy, other, frozen, still = (draw(seed).requires_grad_() for seed in range(4))
    total = (
        dpo_loss(policy, other, frozen, still, 0.1)[0]
        + policy_gradient_loss(policy, frozen, still, 0.2, 0.2)
        + kl_policy_to_reference(policy, frozen)
        + kl_reference_to_policy(policy, frozen)
    )
    total.sum().backward()
    assert policy.grad is not None
    assert other.grad is not None
    assert frozen.grad is None
    assert still.grad is None


def divergence(one: Tensor, other: Tensor) -> Tensor:
    return (one.exp() * (one - other)).sum()


def gradients(estimate: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Exact expectation under the policy of the estimator's gradient, and both true gradients."""
    logits = draw(5, 5).requires_grad_()
    policy, reference = logits.log_softmax(0), draw(6, 5).log_softmax(0)
    expected = (policy.detach().exp() * estimate(policy, reference)).sum()
    values = (expected, divergence(policy, reference), divergence(reference, policy))
    one, two, three = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in values)
    return one, two, three


def test_the_gradient_of_k2_is_that_of_kl_policy_to_reference_and_not_of_the_other() -> None:
    found, policy_to_reference, reference_to_policy = gradients(kl_policy_to_reference)
    torch.testing.assert_close(found, policy_to_reference)
    assert not torch.allclose(found, reference_to_policy, rtol=1e-2)


def test_the_gradient_of_k3_is_that_of_kl_reference_to_policy_and_not_of_the_other() -> None:
    found, policy_to_reference, reference_to_policy = gradients(kl_reference_to_policy)
    torch.testing.assert_close(found, reference_to_policy)
    assert not torch.allclose(found, policy_to_reference, rtol=1e-2)


def test_the_value_of_k3_is_unbiased_for_kl_policy_to_reference() -> None:
    policy, reference = draw(5, 5).log_softmax(0), draw(6, 5).log_softmax(0)
    value = (policy.exp() * kl_reference_to_policy(policy, reference)).sum()
    torch.testing.assert_close(value, divergence(policy, reference))


@given(LOGPROB, LOGPROB)
def test_estimates_are_never_negative_and_vanish_at_the_reference(one: float, other: float) -> None:
    for estimate in (kl_policy_to_reference, kl_reference_to_policy):
        assert estimate(column(one), column(other)).item() >= 0.0
        assert estimate(column(one), column(one)).item() == 0.0
