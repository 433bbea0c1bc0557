"""How a model scores a packed batch, in the ways that it was found to take."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from tutelage.attention import NAME, given
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


def score(model: PreTrainedModel, batch: Batch, ways: Ways, *, save_memory: bool = False) -> Scores:
    """Log-probability and entropy of every target; each column is put through the head once.

    With ``save_memory`` a layer's activations are computed again in the backward pass instead of kept.
    """
    arguments: dict[str, Any] = {"input_ids": batch.tokens, "use_cache": False}
    if batch.last is not None:
        arguments |= _packed(model, batch, batch.last, ways)
    source, target = batch.source[batch.scored], batch.target[batch.scored]
    width = batch.tokens.shape[1]
    with _recomputing(model, save_memory and torch.is_grad_enabled()):
        if ways.separate_head:
            hidden = model.base_model(**arguments).last_hidden_state[:, :width]
            head = model.get_output_embeddings()
            assert isinstance(head, nn.Linear)
            picked = hidden.reshape(-1, hidden.shape[-1])[source].to(head.weight.dtype)
            found = target_logprobs(picked, head.weight, target, bias=head.bias)
        else:
            logits = model(**arguments).logits[:, :width]
            found = from_logits(logits.reshape(-1, logits.shape[-1])[source], target)
    logprobs, entropy = (values[batch.score] for values in found)
    return Scores(logprobs, entropy)


def _packed(model: PreTrainedModel, batch: Batch, last: Int[Tensor, "B T"], ways: Ways) -> dict[str, Any]:
    """Mask and positions of a batch of trees, for the kernel of choice."""
    kernel = ways.kernel if last.shape[1] >= ways.runs_from else "dense"
    match kernel:
        case "runs":
            mask = given(TreeAttention(parts_of(last)), last.device)
        case "flex":
            room = -last.shape[1] % BLOCK
            tokens, positions = (F.pad(x, (0, room)) for x in (batch.tokens, batch.positions))
            wide = F.pad(last, (0, room), value=last.shape[1] + room - 1)
            mask = given(FlexTreeAttention.over(wide, BLOCK), last.device)
            return {"input_ids": tokens, "position_ids": positions, "attention_mask": mask}
        case "dense":
            mask = _dense(model, last)
        case _:
            assert_never(kernel)
    return {"position_ids": batch.positions, "attention_mask": mask}


def _dense(model: PreTrainedModel, last: Int[Tensor, "B T"]) -> Tensor:
    """PyTorch's attention takes booleans; a model's own adds its mask to the scores."""
    seen = visible(last)[:, None]
    config: Any = model.config
    if config._attn_implementation in (NAME, "sdpa"):
        return seen
    dtype = next(model.parameters()).dtype
    return torch.where(seen, torch.zeros((), dtype=dtype, device=last.device), torch.finfo(dtype).min)


@contextmanager
def _recomputing(model: PreTrainedModel, wanted: bool) -> Generator[None]:
    """Layers ask whether they are being trained before they recompute; dropout, which asks too, stays off."""
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)] if wanted else []
    if layers:
        # The older name is deprecated where there is the newer one.
        newer = getattr(model, "activation_checkpointing_enable", None)
        (newer or model.gradient_checkpointing_enable)({"use_reentrant": False})
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
