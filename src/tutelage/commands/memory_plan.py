"""How much memory a run will take, in plain arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from tutelage.limits import context_length
from tutelage.optimizer import AdamW, Muon
from tutelage.protocols import Vocabulary
from tutelage.run import Run
from tutelage.weights import FromConfig, ModelSpec, Precision, Pretrained, load_model, weight_type

CHUNK = 1024
"""States whose logits are held at once; see ``maths.logprobs.target_logprobs``."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's configuration says, without its weights."""

    parameters: int
    matrices: int
    """Parameters of hidden matrices, for which Muon keeps one number and AdamW two."""
    vocab: int
    context: int | None
    adapters: int | None = None
    """Parameters that are trained in place of all, where there are adapters."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes by what they are for."""

    weights: float
    gradients: float
    optimizer: float
    reference: float
    logits: float
    """Peak of a few buffers of ``1024 × V`` in float32."""
    teachers: float = 0.0
    """Weights of the models of judges and rewriters."""

    @property
    def total(self) -> float:
        """All but activations."""
        return self.weights + self.gradients + self.optimizer + self.reference + self.logits + self.teachers

    def parts(self) -> Iterator[tuple[str, float]]:
        """Every part by its name."""
        for name in ("weights", "gradients", "optimizer", "reference", "logits", "teachers"):
            yield name, getattr(self, name)


def shape_of(spec: ModelSpec, codec: Vocabulary) -> Shape:
    """Parameters and vocabulary of a model, counted without allocating it.

    Raises:
        ValueError: the architecture, a setting or the folder is not known, or the model does not embed all ids.
    """
    with torch.device("meta"):
        model: Any = _without_weights(spec, codec)
    embedding: nn.Embedding = model.get_input_embeddings()
    head = model.get_output_embeddings()
    apart = {id(parameter) for module in (embedding, head) if module is not None for parameter in module.parameters()}
    parameters = list(model.parameters())
    hidden = sum(p.numel() for p in parameters if p.ndim == 2 and id(p) not in apart)
    total, vocab = sum(p.numel() for p in parameters), int(embedding.weight.shape[0])
    return Shape(total, hidden, vocab, context_length(model.config), _adapters(spec, model, head))


def _adapters(spec: ModelSpec, model: Any, head: Any) -> int | None:
    """Two thin matrices beside every linear layer that gets an adapter."""
    if isinstance(spec, FromConfig) or spec.lora is None:
        return None
    named = [(name.rpartition(".")[2], m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    layers = [m for name, m in named if (name in spec.lora.targets if spec.lora.targets else m is not head)]
    return spec.lora.rank * sum(layer.in_features + layer.out_features for layer in layers)


def _without_weights(spec: ModelSpec, codec: Vocabulary) -> Any:
    match spec:
        case FromConfig():
            return load_model(spec, codec, seed=0, device=torch.device("meta"))
        case Pretrained():
            try:
                config = AutoConfig.from_pretrained(spec.path, trust_remote_code=spec.trust_remote_code)
            except OSError as error:
                raise ValueError(f"model.path: cannot read {spec.path!r}: {error}") from error
            return AutoModelForCausalLM.from_config(config, trust_remote_code=spec.trust_remote_code)


def memory_plan(run: Run, shape: Shape, teachers: float = 0.0) -> MemoryPlan:
    """The plan of one process; data parallel ranks take as much each."""
    width = _width(run.model.precision)
    weights = float(shape.parameters * width)
    trained = shape.parameters if shape.adapters is None else shape.adapters
    match run.optimizer:
        case AdamW():
            slots = 2 * trained
        case Muon():
            slots = 2 * trained - (shape.matrices if shape.adapters is None else trained)
    leashed = any(phase.objective.needs_reference for phase in run.phases)
    return MemoryPlan(
        weights=weights,
        gradients=float(trained * width),
        optimizer=float(slots * width),
        reference=weights if leashed else 0.0,
        logits=float(3 * min(CHUNK, run.max_tokens_per_batch) * shape.vocab * 4),
        teachers=teachers,
    )


def _width(precision: Precision) -> int:
    """Bytes of a weight."""
    return torch.empty((), dtype=weight_type(precision)).element_size()
