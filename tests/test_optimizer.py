"""Which parameter is driven by what, at which rate."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tutelage.maths.learning_rate import warmup_cosine
from tutelage.optimizer import AdamW, LearningRate, Muon


class Model(nn.Module):
    """An embedding tied to the head, a hidden matrix, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.frozen = nn.Linear(4, 4).requires_grad_(False)

    def get_output_embeddings(self) -> nn.Module:
        return self.head


def test_every_trainable_parameter_is_driven_exactly_once():
    model = Model()
    wanted = sorted(id(p) for p in model.parameters() if p.requires_grad)
    for spec in (AdamW(), Muon()):
        groups = [g for o in spec.build(model) for g in o.param_groups]
        assert sorted(id(p) for g in groups for p in g["params"]) == wanted


def test_vectors_do_not_decay():
    (optimizer,) = AdamW(weight_decay=0.3).build(Model())
    decays = {p.ndim: g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {2: 0.3, 1: 0.0}


def test_muon_takes_hidden_matrices_only_and_adamw_the_rest_at_its_scale():
    model = Model()
    muon, adamw = Muon(adamw_scale=0.25).build(model)
    assert [p is model.hidden.weight for g in muon.param_groups for p in g["params"]] == [True]
    assert {g["scale"] for g in muon.param_groups} == {1.0} and {g["scale"] for g in adamw.param_groups} == {0.25}


def test_the_cosine_follows_its_formula_over_the_phase():
    rate = LearningRate(2.0, warmup_steps=3, floor_ratio=0.1)
    for step in range(10):
        assert rate.at(step, step / 10) == warmup_cosine(step, peak=2.0, warmup=3, total=10, floor_ratio=0.1)
    assert rate.at(9, 0.9) == pytest.approx(0.2)


def test_a_phase_by_tokens_ends_near_its_floor():
    rate = LearningRate(1.0, warmup_steps=5, floor_ratio=0.1)
    rates = [rate.at(step, min(1.0, step * 103.7 / 5000)) for step in range(49)]
    assert rates[4] == 1.0 and rates[-1] < 0.12 and rates[4:] == sorted(rates[4:], reverse=True)


def test_a_constant_rate_warms_up():
    rate = LearningRate(1.0, warmup_steps=4, shape="constant")
    assert [rate.at(step, 0.5) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert LearningRate(1.0, warmup_steps=0, shape="constant").at(0, 0.0) == 1.0


def test_a_phase_shorter_than_its_warm_up_keeps_rising():
    rate = LearningRate(1.0, warmup_steps=100)
    assert all(0 < rate.at(step, step / 5) <= 1.0 for step in range(5))


def test_an_update_moves_at_the_rate_of_its_group():
    model = nn.Linear(1, 1, bias=False)
    (optimizer,) = AdamW(weight_decay=0.0).build(model)
    before = model.weight.detach().clone()
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert torch.allclose(before - model.weight, torch.tensor(0.5))


@pytest.mark.parametrize(
    ("spec", "field", "value", "words"),
    [
        (AdamW, "betas", (0.9, 1.0), r"at least 0 and below 1, not \(0.9, 1.0\)"),
        (AdamW, "betas", (math.nan, 0.9), r"at least 0 and below 1, not \(nan, 0.9\)"),
        (AdamW, "eps", 0.0, "above 0, not 0.0"),
        (AdamW, "weight_decay", math.inf, "at least 0, not inf"),
        (Muon, "momentum", 1.0, "at least 0 and below 1, not 1.0"),
        (Muon, "weight_decay", -0.1, "at least 0, not -0.1"),
        (Muon, "adamw_scale", 0.0, "above 0, not 0.0"),
        (LearningRate, "peak", 0.0, "above 0, not 0.0"),
        (LearningRate, "peak", math.nan, "above 0, not nan"),
        (LearningRate, "warmup_steps", -1, "at least 0, not -1"),
        (LearningRate, "floor_ratio", 1.1, "at least 0 and at most 1, not 1.1"),
    ],
)
def test_a_setting_out_of_range_is_refused(spec: Callable[..., Any], field: str, value: object, words: str):
    settings = {"peak": 1e-3} if spec is LearningRate else {}
    with pytest.raises(ValueError, match=f"^{field} must be {words}$"):
        spec(**(settings | {field: value}))
