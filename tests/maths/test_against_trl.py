"""The numbers are those of ``make_trl_values.py``, whose docstring names the functions of TRL behind each."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tutelage.maths.credit import group_advantages
from tutelage.maths.logprobs import from_logits, sum_by_row, target_logprobs
from tutelage.maths.losses import (
    dpo_loss,
    kl_policy_to_reference,
    kl_reference_to_policy,
    policy_gradient_loss,
)

VALUES: dict[str, Any] = json.loads(Path(__file__).with_name("trl_values.json").read_text(encoding="utf-8"))


def name(case: dict[str, Any]) -> str:
    keys = ("loss_type", "clip_low", "clip_high", "beta", "label_smoothing", "corrected")
    return " ".join(f"{case[key]}" for key in keys if key in case)


def tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Packed:
    """TRL's padded grid as we hold it: scored tokens alone, each with its row."""

    def __init__(self, part: dict[str, Any]) -> None:
        self.mask = torch.tensor(part["mask"]).bool()
        self.rows = self.mask.nonzero()[:, 0]
        self.num_rows = len(self.mask)
        self.part = part

    def __getitem__(self, key: str) -> Tensor:
        grid = tensor(self.part[key])
        return grid[self.rows] if grid.dim() == 1 else grid[self.mask]

    def grid(self, values: Tensor) -> Tensor:
        return torch.zeros(self.mask.shape, dtype=values.dtype).masked_scatter(self.mask, values)


def test_the_values_name_the_version_they_come_from() -> None:
    assert VALUES["versions"]["trl"] == "1.16.0"


@pytest.mark.parametrize("case", VALUES["dpo"]["cases"], ids=name)
def test_dpo_loss_margin_and_gradient_are_those_of_trl(case: dict[str, Any]) -> None:
    packed = Packed(VALUES["dpo"])
    tokens = packed["tokens"].requires_grad_()
    chosen, rejected = sum_by_row(tokens, packed.rows, packed.num_rows).chunk(2)
    reference = tensor(VALUES["dpo"]["reference"]).chunk(2)
    loss, margin = dpo_loss(chosen, rejected, *reference, case["beta"], case["label_smoothing"])
    torch.testing.assert_close(loss.detach(), tensor(case["losses"]))
    torch.testing.assert_close(margin.detach(), tensor(case["margins"]))
    (gradient,) = torch.autograd.grad(loss.sum(), tokens)
    expected = tensor(case["gradient"])[packed.mask]
    assert expected.abs().sum() > 0
    torch.testing.assert_close(gradient, expected)


def normalised(per_token: Tensor, packed: Packed, loss_type: str) -> Tensor:
    if loss_type == "dr_grpo":
        return per_token.sum() / (packed.num_rows * packed.part["longest"])
    if loss_type == "dapo":
        return per_token.sum() / len(per_token)
    lengths = packed.mask.sum(1)
    return (sum_by_row(per_token, packed.rows, packed.num_rows) / lengths).mean()


@pytest.mark.parametrize("case", VALUES["grpo"]["cases"], ids=name)
def test_policy_gradient_and_kl_are_those_of_trl(case: dict[str, Any]) -> None:
    packed = Packed(VALUES["grpo"])
    tokens = packed["tokens"].requires_grad_()
    behaviour, advantages = packed["old_per_token_logps"], packed["advantages"]
    surrogate = policy_gradient_loss(tokens, behaviour, advantages, case["clip_low"], case["clip_high"])
    leash = kl_reference_to_policy(tokens, packed["ref_per_token_logps"])
    weight = case["beta"] * (tokens - behaviour).exp() if case["corrected"] else case["beta"]
    loss = normalised(surrogate + weight * leash, packed, case["loss_type"])
    torch.testing.assert_close(loss.detach(), tensor(case["loss"]))
    if case["kl"] is not None and not case["corrected"]:
        # TRL adds this metric up in float32
        torch.testing.assert_close(leash.detach().mean(), tensor(case["kl"]), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(loss, tokens)
    torch.testing.assert_close(packed.grid(gradient), tensor(case["gradient"]))


@pytest.mark.parametrize("case", VALUES["grpo"]["leash"], ids=name)
def test_on_policy_the_leash_of_trl_is_k2_in_gradient_where_corrected_and_k3_where_not(
    case: dict[str, Any],
) -> None:
    packed = Packed(VALUES["grpo"])
    tokens = packed["tokens"].requires_grad_()
    estimate = kl_policy_to_reference if case["corrected"] else kl_reference_to_policy
    loss = normalised(estimate(tokens, packed["ref_per_token_logps"]), packed, "dapo")
    (gradient,) = torch.autograd.grad(loss, tokens)
    torch.testing.assert_close(packed.grid(gradient), tensor(case["gradient"]))


def test_the_cases_compared_with_trl_do_clip() -> None:
    packed = Packed(VALUES["grpo"])
    ratio = (packed["tokens"] - packed["old_per_token_logps"]).exp()
    gain = packed["advantages"]
    assert ((ratio > 1.28) & (gain > 0)).any()
    assert ((ratio < 0.8) & (gain < 0)).any()
    assert ((ratio > 1.2) & (gain < 0)).any()


@pytest.mark.parametrize("case", VALUES["advantages"], ids=lambda case: case["scale"])
def test_advantages_are_those_of_trl_with_zero_for_none(case: dict[str, Any]) -> None:
    found: list[float | None] = []
    for start in range(0, len(case["rewards"]), case["group"]):
        group = case["rewards"][start : start + case["group"]]
        found += group_advantages(group, baseline="mean", std=case["scale"] == "group")
    # TRL computes them in float32
    assert [0.0 if a is None else a for a in found] == pytest.approx(case["advantages"], rel=1e-5, abs=1e-6)


def test_logprobs_and_entropies_of_a_head_are_those_of_trl() -> None:
    head = VALUES["head"]
    hidden, weight = torch.tensor(head["hidden"]).flatten(0, 1), torch.tensor(head["weight"])
    targets, temperature = torch.tensor(head["targets"]).flatten(), head["temperature"]
    expected = torch.tensor(head["logprobs"]).flatten(), torch.tensor(head["entropies"]).flatten()
    assert expected[1].std() > 0.05
    torch.testing.assert_close(target_logprobs(hidden, weight, targets, chunk=5, temperature=temperature), expected)
    torch.testing.assert_close(from_logits(hidden @ weight.T, targets, temperature=temperature), expected)
