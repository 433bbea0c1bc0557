"""Tiny models with random weights, built from their configuration: what they say is noise, how they say it is not."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from tutelage.codec import HFCodec, train_tokenizer
from tutelage.protocols import Resources
from tutelage.scripted import NoPolicy
from tutelage.types import Candidate, Chunk, Document, Pool, Rewrite, Suffix, Tokens

TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% if enable_thinking %}<think>{% endif %}{% endif %}"
)
TEXTS = ["The old house stood by the river and the boat lay in the grass. Nobody had used the boat for years."]


def tiny_config(vocab_size: int, **settings: object) -> LlamaConfig:
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaConfig(vocab_size=vocab_size, max_position_embeddings=640, **(shape | ends | settings))


def save_model(folder: Path, vocab_size: int, seed: int = 0) -> None:
    torch.manual_seed(seed)
    model = LlamaForCausalLM(tiny_config(vocab_size))
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # far from uniform, so that a greedy choice is no tie
    model.save_pretrained(folder)


def pickled(folder: Path, to: Path) -> None:
    """A copy of a model's folder with its weights as a pickle alone."""
    shutil.copytree(folder, to)
    torch.save(load_file(to / "model.safetensors"), to / "pytorch_model.bin")
    (to / "model.safetensors").unlink()


@pytest.fixture(scope="session")
def lm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model: tokenizer without chat template, vocabulary of 300."""
    folder = tmp_path_factory.mktemp("base")
    train_tokenizer(TEXTS * 4, 300, folder)
    save_model(folder, 310)
    return folder


@pytest.fixture(scope="session")
def chat_folder(lm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a chat template and its control tokens."""
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = AutoTokenizer.from_pretrained(lm_folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|end|>"]})
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    save_model(folder, len(tokenizer), seed=1)
    return folder


@pytest.fixture(scope="session")
def classifier_folder(lm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    AutoTokenizer.from_pretrained(lm_folder).save_pretrained(folder)
    torch.manual_seed(2)
    labels = {0: "toxic", 1: "clean", 2: "odd"}
    config = tiny_config(310, id2label=labels, label2id={name: i for i, name in labels.items()})
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():
        model.score.weight.mul_(50)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def codec(lm_folder: Path) -> HFCodec:
    return HFCodec(AutoTokenizer.from_pretrained(lm_folder))


@pytest.fixture
def resources(codec: HFCodec, tmp_path: Path) -> Resources:
    nobody = NoPolicy(AssertionError("a judge sampled"))
    return Resources(seed=7, codec=codec, sampler=nobody, suffix_length=32, directory=tmp_path)


@dataclass(frozen=True)
class PoolMaker:
    codec: HFCodec

    def __call__(self, *candidates: str, prefix: str = "The old house", suffix: str = "", id: str = "d") -> Pool:
        """A pool whose first candidate is the suffix (also by default the chunk's), the others rewrites."""
        before, first = self.codec.encode(prefix), self.codec.encode(suffix or candidates[0])
        document = Document(id, "corpus", 0, Tokens.join([before, first]))
        encoded = [self.codec.encode(text) for text in candidates]
        written: list[Candidate] = [Suffix(t) if i == 0 else Rewrite(t, "w") for i, t in enumerate(encoded)]
        return Pool(Chunk(document, before, first, len(before)), tuple(written))


@pytest.fixture
def pool(codec: HFCodec) -> Callable[..., Pool]:
    return PoolMaker(codec)
