"""How a model scores a packed batch, in the ways that it was found to take."""

import weakref
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from tutelage.attention import NAME, given, product_type
from tutelage.collate import Batch, Layout
from tutelage.maths.logprobs import from_logits, target_logprobs
from tutelage.tree_attention import FlexTreeAttention, TreeAttention, parts_of, visible

Kernel = Literal["runs", "flex", "dense"]
"""``runs``: by runs of the tree, on the CPU. ``flex``: FlexAttention, on CUDA. ``dense``: a mask of T × T, anywhere."""

RUNS_FROM = 512
"""Columns from which attention by runs pays for its calls; narrower trees are cheaper under a dense mask."""
BLOCK = 128
"""FlexAttention gets widths that are multiples of this, so that few shapes are compiled."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What a model was found to take."""

    layout: Layout = "trees"
    kernel: Kernel = "dense"
    separate_head: bool = True
    """Whether the head can be called alone, on the states that predict a target."""
    runs_from: int = RUNS_FROM
    """Narrower batches get a dense mask whatever the kernel."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model says of the targets of a batch, in nats."""

    logprobs: Float[Tensor, " N"]
    entropy: Float[Tensor, " N"]
    """Entropy of the model's distribution at each target; carries no gradient."""


class Masks:
    """The mask of the batch that was scored last: policy and reference score the same one in turn.

    No more than one is held, for a dense mask of a long batch takes much memory.
    """

    def __init__(self) -> None:
        self._held: tuple[weakref.ref[Tensor], Kernel, Tensor] | None = None

    def of(self, last: Int[Tensor, "B T"], kernel: Kernel) -> Tensor:
        """What each column sees, as ``kernel`` reads it; made once for one tensor ``last``."""
        held = self._held
        if held is not None and held[0]() is last and held[1] == kernel:
            return held[2]
        self._held = None
        mask = _mask(last, kernel)
        self._held = (weakref.ref(last), kernel, mask)
        return mask


def score(model: PreTrainedModel, batch: Batch, ways: Ways, masks: Masks, *, save_memory: bool = False) -> Scores:
    """Log-probability and entropy of every target; each column is put through the head once.

    With ``save_memory`` a layer's activations are computed again in the backward pass instead of kept.
    """
    arguments: dict[str, Any] = {"input_ids": batch.tokens, "use_cache": False}
    if batch.last is not None:
        arguments |= _packed(model, batch, batch.last, ways, masks)
    source, target = batch.source[batch.scored], batch.target[batch.scored]
    width = batch.tokens.shape[1]
    with _recomputing(model, save_memory and torch.is_grad_enabled()):
        if ways.separate_head:
            hidden = model.base_model(**arguments).last_hidden_state[:, :width]
            head = model.get_output_embeddings()
            assert isinstance(head, nn.Linear)
            picked = hidden.reshape(-1, hidden.shape[-1])[source].to(product_type(head.weight))
            found = target_logprobs(picked, head.weight, target, bias=head.bias)
        else:
            logits = model(**arguments).logits[:, :width]
            found = from_logits(logits.reshape(-1, logits.shape[-1])[source], target)
    logprobs, entropy = (values[batch.score] for values in found)
    return Scores(logprobs, entropy)


def _packed(model: PreTrainedModel, batch: Batch, last: Int[Tensor, "B T"], ways: Ways, masks: Masks) -> dict[str, Any]:
    """Mask and positions of a batch of trees, for the kernel of choice."""
    kernel = ways.kernel if last.shape[1] >= ways.runs_from else "dense"
    mask = masks.of(last, kernel)
    match kernel:
        case "runs":
            return {"position_ids": batch.positions, "attention_mask": mask}
        case "flex":
            room = _room(last)
            tokens, positions = (F.pad(x, (0, room)) for x in (batch.tokens, batch.positions))
            return {"input_ids": tokens, "position_ids": positions, "attention_mask": mask}
        case "dense":
            return {"position_ids": batch.positions, "attention_mask": _as_taken(model, mask)}
        case _:
            assert_never(kernel)


def _mask(last: Int[Tensor, "B T"], kernel: Kernel) -> Tensor:
    match kernel:
        case "runs":
            return given(TreeAttention(parts_of(last)), last.device)
        case "flex":
            room = _room(last)
            wide = F.pad(last, (0, room), value=last.shape[1] + room - 1)
            return given(FlexTreeAttention.over(wide, BLOCK), last.device)
        case "dense":
            return visible(last)[:, None]
        case _:
            assert_never(kernel)


def _room(last: Int[Tensor, "B T"]) -> int:
    """Columns that FlexAttention gets beyond those of the batch."""
    return -last.shape[1] % BLOCK


def _as_taken(model: PreTrainedModel, seen: Tensor) -> Tensor:
    """PyTorch's attention takes booleans; a model's own adds its mask to the scores."""
    config: Any = model.config
    if config._attn_implementation in (NAME, "sdpa"):
        return seen
    dtype = next(model.parameters()).dtype
    return torch.where(seen, torch.zeros((), dtype=dtype, device=seen.device), torch.finfo(dtype).min)


@contextmanager
def _recomputing(model: PreTrainedModel, wanted: bool) -> Generator[None]:
    """Layers forget their activations and compute them again in the backward pass.

    A model's own switch for this works only in layers that are told that they are trained, which turns dropout on.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)] if wanted else []
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for layer, its in zip(layers, before, strict=True):
            if its is None:
                del layer.forward
            else:
                layer.forward = its
