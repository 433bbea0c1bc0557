"""Tiny models of every family that is promised to work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from tutelage.policy import Policy
from tutelage.types import Tokens
from tutelage.weights import FromConfig, load_model

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GROUPED: dict[str, Any] = SHAPE | {"num_key_value_heads": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", GROUPED),
    "qwen3": ("qwen3", GROUPED | {"head_dim": 8}),
    "gemma": ("gemma", GROUPED | {"head_dim": 8, "num_key_value_heads": 1}),
    "gemma3": ("gemma3_text", GROUPED | {"head_dim": 8, "sliding_window": 8}),
    "gpt2": ("gpt2", {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "gpt_neox": ("gpt_neox", SHAPE),
    "mistral": ("mistral", GROUPED | {"sliding_window": None}),
    "mistral_windowed": ("mistral", GROUPED | {"sliding_window": 20}),
    "mixtral": ("mixtral", GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}),
}


@dataclass(frozen=True)
class Vocabulary:
    """A codec of numbers."""

    vocab_size: int
    eos: int = 0
    fingerprint: str = "none"

    def decode(self, tokens: Tokens) -> str:
        return " ".join(map(str, tokens.tolist()))

    def encode(self, text: str) -> Tokens:
        return Tokens([int(word) for word in text.split()])

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        return [self.encode(text) for text in texts]

    def is_boundary(self, tokens: Tokens, cut: int, *, word: bool) -> bool:
        return True

    def encode_after(self, prefix: Tokens, text: str) -> Tokens | None:
        return self.encode(text)


def spec(family: str, precision: str = "float32") -> FromConfig:
    architecture, settings = FAMILIES[family]
    return FromConfig(architecture, settings, precision=precision)  # pyright: ignore[reportArgumentType]


def build(family: str, precision: str = "float32", seed: int = 0, *, vocabulary: int = 23) -> Policy:
    """A policy whose weights are large enough to have opinions."""
    device = torch.device("cpu")
    model = load_model(spec(family, precision), Vocabulary(vocabulary), seed=seed, device=device)
    if precision == "float64" and family == "mixtral":
        model.set_experts_implementation("eager")  # the default has no float64 kernel on the CPU
    return Policy(louder(model))


@torch.no_grad()
def louder(model: PreTrainedModel) -> PreTrainedModel:
    """The same model with weights that are large enough to have opinions."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "embed" not in name:
            parameter.mul_(6)
    return model
