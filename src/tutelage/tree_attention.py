"""Attention over packed trees without a dense mask.

A dense mask of T × T computes every product and hides most: with 16 branches, three of four. By runs, no query meets a
key that it may not see: each run of tokens attends causally to itself, and all that lies below it in the tree attends
to it without a mask. The parts are joined by their normalisers, as in FlashAttention (2205.14135 §3.1), and the
backward pass of each part is that of the whole.
"""

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from tutelage.trees import runs_of

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def visible(last: Int[Tensor, "B T"]) -> Bool[Tensor, "B T T"]:
    """Which columns each column sees, as a dense mask."""
    columns = torch.arange(last.shape[1], device=last.device)
    above = columns[:, None] >= columns[None, :]
    return above & (columns[:, None] <= last[:, None, :])


def attend_on_cpu(
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B H U D"],
    value: Float[Tensor, "B H U E"],
    *,
    hidden: Float[Tensor, "B 1 T U"] | None,
    scale: float,
) -> tuple[Float[Tensor, "B H T E"], Float[Tensor, "B H T"]]:
    """What queries read of keys, and the logarithm of their normaliser, by which parts can be joined. No gradient."""
    return _forward(query, key, value, attn_mask=hidden, scale=scale)


@dataclass(frozen=True, slots=True)
class Part:
    """Queries and keys of one sequence that are multiplied: a run's own, or a run's and all that is below it.

    ``count`` runs of equal length that lie side by side, each attending to itself, are one part.
    """

    sequence: int
    queries: slice
    keys: slice
    causal: bool
    count: int = 1


def parts_of(last: Int[Tensor, "B T"]) -> tuple[Part, ...]:
    """All products that attention over these trees needs."""
    parts: list[Part] = []
    for b, row in enumerate(last.numpy()):
        runs = runs_of(row)
        parts += [
            Part(b, slice(run.stop, run.last + 1), slice(run.start, run.stop), False)
            for run in runs
            if run.last >= run.stop
        ]
        for length, alike in groupby(runs, key=lambda run: run.stop - run.start):
            first, *others = alike
            span = slice(first.start, first.start + length * (1 + len(others)))
            parts.append(Part(b, span, span, True, 1 + len(others)))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class TreeAttention:
    """``Attend`` over trees, on the CPU."""

    parts: tuple[Part, ...]

    def __call__(
        self,
        query: Float[Tensor, "B Q T D"],
        key: Float[Tensor, "B H T D"],
        value: Float[Tensor, "B H T E"],
        *,
        layer: int,
        scale: float,
    ) -> Float[Tensor, "B T Q E"]:
        """What each token reads of its path."""
        shared = query.shape[1] // key.shape[1]
        key, value = (x if shared == 1 else x.repeat_interleave(shared, 1) for x in (key, value))
        return _TreeAttention.apply(query, key, value, self.parts, scale).transpose(1, 2)


@cache
def _compiled() -> Any:
    """FlexAttention pays only where it is compiled; once, for all layers and models."""
    return torch.compile(flex_attention)


@dataclass(frozen=True, slots=True)
class FlexTreeAttention:
    """``Attend`` over trees by PyTorch's FlexAttention, on CUDA; on the CPU it has no backward pass."""

    mask: BlockMask

    @classmethod
    def over(cls, last: Int[Tensor, "B T"], block: int) -> "FlexTreeAttention":
        """T is a multiple of ``block``; blocks that nobody sees are skipped."""
        count, width = last.shape
        return cls(
            create_block_mask(
                lambda b, _, query, key: (key <= query) & (query <= last[b, key]),
                *(count, None, width, width),
                device=str(last.device),
                BLOCK_SIZE=block,
            )
        )

    def __call__(
        self,
        query: Float[Tensor, "B Q T D"],
        key: Float[Tensor, "B H T D"],
        value: Float[Tensor, "B H T E"],
        *,
        layer: int,
        scale: float,
    ) -> Float[Tensor, "B T Q E"]:
        """What each token reads of its path."""
        grouped = query.shape[1] != key.shape[1]
        read = _compiled()(query, key, value, block_mask=self.mask, scale=scale, enable_gqa=grouped)
        return read.transpose(1, 2)


def _folded(x: Tensor, part: Part, span: slice) -> Tensor:
    """``[B, H, T, …]`` → ``[count, H, T of one run, …]``, a view."""
    return x[part.sequence, :, span].unflatten(1, (part.count, -1)).transpose(0, 1)


class _TreeAttention(torch.autograd.Function):
    """Parts joined by their normalisers; only the result and one normaliser a query are kept."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, parts: tuple[Part, ...], scale: float) -> Tensor:
        precise = torch.promote_types(query.dtype, torch.float32)
        read = torch.zeros(*query.shape[:3], value.shape[-1], dtype=precise)
        normaliser = torch.full(query.shape[:3], float("-inf"), dtype=precise)
        for part in parts:
            new, its = _forward(
                _folded(query, part, part.queries),
                _folded(key, part, part.keys),
                _folded(value, part, part.keys),
                is_causal=part.causal,
                scale=scale,
            )
            so_far, old = _folded(read, part, part.queries), _folded(normaliser, part, part.queries)
            joined = torch.logaddexp(old, its)
            so_far.mul_((old - joined).exp_()[..., None]).addcmul_(new, (its - joined).exp_()[..., None])
            old.copy_(joined)
        read = read.to(query.dtype)
        ctx.save_for_backward(query, key, value, read, normaliser)
        ctx.parts, ctx.scale = parts, scale
        return read

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator's type forgets a name
        ctx: Any, *grad_outputs: Any
    ) -> tuple[Tensor | None, ...]:
        query, key, value, read, normaliser = ctx.saved_tensors
        grad = grad_outputs[0]
        # Sums over parts are kept in float32 at least: below many forks a query has as many.
        totals = [torch.zeros_like(x, dtype=normaliser.dtype) for x in (query, key, value)]
        for part in ctx.parts:
            spans = (part.queries, part.keys, part.keys)
            found = _backward(
                _folded(grad, part, part.queries),
                *(_folded(x, part, span) for x, span in zip((query, key, value), spans, strict=True)),
                _folded(read, part, part.queries),
                _folded(normaliser, part, part.queries),
                0.0,
                part.causal,
                scale=ctx.scale,
            )
            for total, span, new in zip(totals, spans, found, strict=True):
                _folded(total, part, span).add_(new)
        return (*(total.to(x.dtype) for total, x in zip(totals, (query, key, value), strict=True)), None, None)
