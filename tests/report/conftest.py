"""Studies made by hand: untrained models of width 16, and metrics that look like a run's."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from tutelage.codec import HFCodec
from tutelage.protocols import Codec
from tutelage.weights import FromConfig, load_model
from tutelage.worlds.facts import FactsWorld

TINY = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
ARMS = ("ntp", "sft_rewrite", "rf_nll", "online_dpo", "grpo")


@pytest.fixture(scope="session")
def world() -> FactsWorld:
    return FactsWorld(people=8)


@pytest.fixture(scope="session")
def tokenizer(world: FactsWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def codec(tokenizer: Path) -> HFCodec:
    return HFCodec(AutoTokenizer.from_pretrained(tokenizer))


def save_model(folder: Path, codec: Codec, seed: int) -> Path:
    """An untrained model in Hugging Face's format."""
    load_model(FromConfig("llama", TINY), codec, seed=seed, device=torch.device("cpu")).save_pretrained(folder)
    return folder


def metrics(steps: int, *, judged: bool) -> list[dict[str, float]]:
    """Lines as the loop writes them."""
    rows: list[dict[str, float]] = []
    for step in range(1, steps + 1):
        row = {"step": step, "loss/total": 2.0 / step, "loss/ntp": 1.0, "tokens/trained": 100.0}
        row |= {"seconds/train": 0.5, "seconds/stream": 0.25, "run/share": step / steps}
        if judged:
            row |= {
                "tokens/sampled": 30.0,
                "seconds/rollout": 1.0,
                "seconds/judge.facts": 0.125,
                "seconds/rewrite": 0.5,
            }
            row |= {"chosen/suffix": 0.25, "chosen/rewrite": 0.25, "chosen/rollout": 0.5, "rejected/rollout": 1.0}
            row |= {
                "score/factuality/rollout": 0.5,
                "score/safety/rollout": 1.0,
                "pool/tie": 0.0,
                "policy/entropy": 1.0,
            }
            row |= {"abstained/safety": 0.0, "dpo/margin": 0.1 * step, "length/rollout": 30.0}
        rows.append(row)
    return rows


def write_metrics(directory: Path, rows: list[dict[str, float]]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def runs(codec: HFCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with two seeds of every arm and one run from scratch of two kinds."""
    study = tmp_path_factory.mktemp("study")
    for seed in (0, 1):
        for number, arm in enumerate(("base", *ARMS)):
            save_model(study / f"{arm}-{seed}" / "hf", codec, seed=10 * seed + number)
            write_metrics(study / f"{arm}-{seed}", metrics(6, judged=arm in ("rf_nll", "online_dpo", "grpo")))
    for arm, like in (("scratch_ntp", "ntp"), ("scratch_rf_nll", "rf_nll")):
        shutil.copytree(study / f"{like}-0", study / f"{arm}-0")
    return study
