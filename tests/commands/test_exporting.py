"""Which checkpoint of a run is the best by a metric, and models with adapters as plain ones."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.tiny import plain_run, train_all
from torch import nn
from transformers import AutoModelForCausalLM

from tutelage import exporting
from tutelage.cli import main
from tutelage.exporting import ExportBest, best_step
from tutelage.lora import LoRA, adapted, merged
from tutelage.run import Checkpointing
from tutelage.weights import FromConfig, Pretrained, load_model


@pytest.fixture(scope="module")
def run(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "kept"
    train_all(plain_run(tokenizer, 6, checkpoint=Checkpointing(every=2, keep_last=1, keep_every=2)), directory)
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["made_up"] = {1: 0.0, 2: 0.4, 3: 0.9, 4: 0.9, 5: 0.2, 6: 0.95}[line["step"]]
        if line["step"] == 4:
            line["evaluation/rare"] = 0.5
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def test_the_best_checkpoint_has_the_highest_mean_over_the_window_before_it(run: Path):
    assert best_step(run, "made_up", 2) == (4, pytest.approx({2: 0.2, 4: 0.9, 6: 0.575}))
    assert best_step(run, "made_up", 1)[0] == 6 and best_step(run, "evaluation/rare", 1) == (4, {4: 0.5})


def test_a_metric_that_no_checkpoint_has_is_named_with_those_like_it(run: Path):
    with pytest.raises(ValueError, match=r"'validation/rare' in 2 steps; like it are evaluation/rare"):
        best_step(run, "validation/rare", 2)


def test_the_best_checkpoint_is_exported_by_a_job_and_by_the_command(run: Path, tmp_path: Path):
    assert ExportBest(str(run), "made_up", 2).execute(tmp_path, tmp_path)
    assert json.loads((tmp_path / "chosen.json").read_text())["chosen"] == 4
    assert main(["export", str(run), "--best", "made_up", "--window", "2", "--out", str(tmp_path / "out")]) == 0
    job, command = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("hf", "out"))
    assert all(torch.equal(a, b) for a, b in zip(job.parameters(), command.parameters(), strict=True))
    assert main(["export", str(run), "--best", "made_up", "--step", "2"]) == 2


class Adapter(nn.Module):
    """As much of peft's layer as is used."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_B(self.lora_A(x))

    def merge(self) -> None:
        self.base_layer.weight.data += self.lora_B.weight.data @ self.lora_A.weight.data

    def get_base_layer(self) -> nn.Linear:
        return self.base_layer


@pytest.fixture
def peft(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that adapts the layers that are named."""

    def inject(settings: Any, model: Any) -> Any:
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and name.rpartition(".")[2] in settings.target_modules:
                parent, _, own = name.rpartition(".")
                setattr(model.get_submodule(parent), own, Adapter(module, settings.r))
        return model

    config = type("LoraConfig", (SimpleNamespace,), {})
    stub = SimpleNamespace(LoraConfig=config, inject_adapter_in_model=inject)
    monkeypatch.setitem(sys.modules, "peft", stub)  # pyright: ignore[reportArgumentType]


def test_adapters_alone_are_trained_and_merged_into_what_is_saved(peft: None, run: Path, tmp_path: Path):
    from tutelage.policy import Policy
    from tutelage.run import load_run

    codec = load_run(run / "run.yaml").tokenizer.build()
    spec = Pretrained(str(run / "hf"), lora=LoRA(rank=2, targets=("q_proj", "v_proj")))
    model: Any = load_model(spec, codec, seed=1, device=torch.device("cpu"))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    Policy(model).save_hf(tmp_path / "merged")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    ids = torch.tensor([[1, 2, 3, 4]])
    assert torch.allclose(model(ids).logits, plain(ids).logits, atol=1e-5)
    assert set(dict(plain.named_parameters())) == set(
        dict(AutoModelForCausalLM.from_pretrained(run / "hf").named_parameters())
    )
    assert any("lora_A" in name for name in model.state_dict()), "the model in training is left as it is"


def test_adapters_alone_have_gradients_and_an_optimiser(run: Path):
    from tutelage.commands.memory_plan import memory_plan, shape_of
    from tutelage.run import load_run

    settings = load_run(run / "run.yaml")
    codec = settings.tokenizer.build()
    whole = shape_of(Pretrained(str(run / "hf")), codec)
    some = shape_of(Pretrained(str(run / "hf"), lora=LoRA(rank=2, targets=("q_proj",))), codec)
    every = shape_of(Pretrained(str(run / "hf"), lora=LoRA(rank=2)), codec)
    assert whole.adapters is None and some.adapters == 2 * (16 + 16)
    # four of attention, three of the feed-forward network
    assert every.adapters == 2 * (4 * (16 + 16) + 3 * (16 + 32))
    plan = memory_plan(settings, some)
    assert (plan.gradients, plan.optimizer) == (64 * 4, 2 * 64 * 4) and plan.weights == whole.parameters * 4


def test_without_peft_adapters_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch, run: Path):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"model\.lora needs peft.*tutelage\[lora\]"):
        adapted(AutoModelForCausalLM.from_pretrained(run / "hf"), LoRA(), 0)


def test_a_model_without_adapters_is_saved_as_it_is(run: Path):
    model = AutoModelForCausalLM.from_pretrained(run / "hf")
    assert merged(model) is model and exporting.REWARD == "accuracy/turn2" and FromConfig().precision == "float32"
