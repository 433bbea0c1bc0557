"""Trunks computed once, and how branches are decoded: on the trunk in place, step by step or recorded; on copies."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache

from tutelage.attention import NAME, given
from tutelage.branches import Branches, FixedBranches
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest

Advance = Callable[[int, Tensor, Tensor], Tensor]
"""(step, one token a row, their positions) → logits of the next token."""
Branching = Callable[[PreTrainedModel, "Prefilled", int], AbstractContextManager[Advance]]
"""(model, trunks, steps) → how to advance their branches."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefilled:
    """Trunks with their keys and values, and where branches leave them. B trunks, K branches of each, P columns."""

    cache: DynamicCache
    logits: Float[Tensor, "R V"]
    """What follows each fork; R = B·K."""
    first: Int[Tensor, " B"]
    """First column that is no padding."""
    fork: Int[Tensor, "B K"]
    """First column behind each fork."""

    @property
    def positions(self) -> Int[Tensor, " R"]:
        """Tokens before each branch."""
        return (self.fork - self.first[:, None]).reshape(-1)


def prefill(policy: Policy, trunks: Sequence[Sequence[SampleRequest]]) -> Prefilled:
    """Keys and values of every trunk's longest prefix, and the logits behind each request's own."""
    model, device = policy.model, policy.device
    lengths = [len(trunk[0].prefix) for trunk in trunks]
    width = max(lengths)
    ids = np.zeros((len(trunks), width), np.int64)
    for i, trunk in enumerate(trunks):
        ids[i, width - lengths[i] :] = trunk[0].prefix.array
    first = width - torch.tensor(lengths, device=device)
    forks = [[len(r.prefix) + width - n for r in t for _ in r.seeds] for t, n in zip(trunks, lengths, strict=True)]
    fork = torch.tensor(forks, device=device)
    real = (torch.arange(width, device=device) >= first[:, None]).long()
    cache, positions = DynamicCache(config=model.config), (real.cumsum(1) - 1).clamp(min=0)
    tokens = torch.from_numpy(ids).to(device)
    if not policy.ways.separate_head:
        logits = _last_logits(model, cache, real, tokens, positions).repeat_interleave(fork.shape[1], 0)
        return Prefilled(cache, logits, first, fork)
    out = model.base_model(
        input_ids=tokens, attention_mask=real, position_ids=positions, past_key_values=cache, use_cache=True
    )
    # Once a fork, not once a branch: seeds of a request leave the trunk together.
    columns, which = torch.unique(
        torch.arange(len(trunks), device=device)[:, None] * width + fork - 1, return_inverse=True
    )
    head = model.get_output_embeddings()
    assert head is not None
    states = out.last_hidden_state.reshape(len(trunks) * width, -1)[columns]
    return Prefilled(cache, head(states)[which.reshape(-1)], first, fork)


def _last_logits(
    model: PreTrainedModel, cache: Cache, mask: Tensor, tokens: Int[Tensor, "R T"], positions: Int[Tensor, "R T"]
) -> Float[Tensor, "R V"]:
    """Run ``tokens`` through the model, their keys and values into ``cache``; what follows the last of them."""
    out = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1]


@contextmanager
def shared_trunk(model: PreTrainedModel, prefilled: Prefilled, steps: int) -> Generator[Advance]:
    """Branches read the trunk's keys and values in place."""
    branches = Branches(prefilled.cache, prefilled.first, prefilled.fork, steps)
    mask = _given(model, branches)

    def advance(step: int, tokens: Tensor, positions: Tensor) -> Tensor:
        branches.go_to(step)
        return _last_logits(model, branches, mask, tokens, positions)

    yield advance


@contextmanager
def fixed_steps(model: PreTrainedModel, prefilled: Prefilled, steps: int) -> Generator[Advance]:
    """As ``shared_trunk``, in steps of equal shape."""
    yield _fixed(model, prefilled, steps, lambda step: step)


@contextmanager
def recorded(model: PreTrainedModel, prefilled: Prefilled, steps: int) -> Generator[Advance]:
    """As ``fixed_steps``; one step is recorded as a CUDA graph and played again for each of the others.

    Decoding one token a branch is bound by the launching of kernels, which a graph does at once.
    """
    yield _fixed(model, prefilled, steps, _record)


def ways_to_share(device: torch.device) -> tuple[Branching, ...]:
    """How branches may read their trunk in place on a device, the fastest first."""
    match device.type:
        case "cpu":
            return (shared_trunk,)
        case "cuda":
            return (recorded, fixed_steps)
        case _:
            return (fixed_steps,)


def _fixed(
    model: PreTrainedModel,
    prefilled: Prefilled,
    steps: int,
    made: Callable[[Callable[[], Tensor]], Callable[[], Tensor]],
) -> Advance:
    branches = FixedBranches(prefilled.cache, prefilled.first, prefilled.fork, steps)
    mask = _given(model, branches)
    tokens, positions = (torch.zeros_like(prefilled.positions)[:, None] for _ in range(2))
    play = made(lambda: _last_logits(model, branches, mask, tokens, positions))

    def advance(step: int, new: Tensor, at: Tensor) -> Tensor:
        branches.go_to(step)
        tokens.copy_(new)
        positions.copy_(at)
        return play()

    return advance


def _record(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A CUDA graph of ``step``, which reads and writes tensors that stay where they are."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what is allocated and tuned on a first call must not be recorded
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Judges may launch kernels from their own thread meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        logits = step()

    def play() -> Tensor:
        graph.replay()
        return logits

    return play


def _given(model: PreTrainedModel, branches: Branches) -> Tensor:
    if getattr(model.config, "_attn_implementation", None) != NAME:
        raise ValueError(f"{type(model).__name__} computes its attention by itself")
    return given(branches.attend, next(model.parameters()).device)


@contextmanager
def own_copies(model: PreTrainedModel, prefilled: Prefilled, steps: int) -> Generator[Advance]:
    """Every branch gets a copy of its trunk's cache: for models that cannot share. No fork may lie inside a trunk."""
    trunks, count = prefilled.fork.shape
    width = int(prefilled.fork[0, 0])
    # A recurrent state, which some layers have instead of keys and values, knows of copies only as a reordering.
    rows: Any = torch.arange(trunks, device=prefilled.fork.device).repeat_interleave(count)
    prefilled.cache.reorder_cache(rows)
    columns = torch.arange(width + steps, device=prefilled.fork.device)
    mask = (columns >= prefilled.first[:, None]).repeat_interleave(count, 0).long()

    def advance(step: int, tokens: Tensor, positions: Tensor) -> Tensor:
        return _last_logits(model, prefilled.cache, mask[:, : width + step + 1], tokens, positions)

    yield advance
