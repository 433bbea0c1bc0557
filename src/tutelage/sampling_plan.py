"""Which continuations are sampled together: what shares a trunk, and how much fits in memory.

A plan is a function of the requests and of the machine, not of what happens to be free: a run that is resumed samples
in the same batches, so that not even the last bit of a logit differs.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from tutelage.protocols import SampleRequest
from tutelage.trees import common_prefix, sort_key

MEMORY_SHARE = 0.25
"""Share of the memory that a batch of continuations may take."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """Requests whose prefixes are beginnings of the first one's."""

    requests: tuple[int, ...]
    """Numbers of the requests, that of the longest prefix first."""
    length: int
    """Tokens of the longest prefix."""
    rows: int
    """Continuations in all."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a batch may hold."""

    rows: int
    """Most continuations."""
    bytes: float
    """Most memory."""
    column_bytes: float
    """Keys and values of one token, over all layers."""
    row_bytes: float
    """Logits of one continuation and what is computed from them."""

    def holds(self, trunks: int, width: int, rows: int, steps: int) -> bool:
        """Whether so many trunks of ``width`` columns fit with ``rows`` continuations of ``steps`` tokens."""
        needed = (trunks * width + rows * steps) * self.column_bytes + rows * self.row_bytes
        return rows <= self.rows and needed <= self.bytes


def room_for(trunk: DynamicCache, vocab: int, device: torch.device, rows: int) -> Room:
    """Room on this device, measured on any cache of the model; at most ``rows`` continuations."""
    layers: list[Any] = [layer for layer in trunk.layers if getattr(layer, "keys", None) is not None]
    columns = sum(layer.keys.shape[0] * layer.keys.shape[2] for layer in layers) / len(layers)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    # Logits in float32, their log-softmax, and weights and cumulative sums in float64.
    return Room(rows, MEMORY_SHARE * _memory(device), held / columns, 24.0 * vocab)


def _memory(device: torch.device) -> float:
    """Bytes that the device has in all."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def plan(requests: Sequence[SampleRequest], room: Room, *, share: bool) -> list[list[Trunk]]:
    """Batches of trunks: equal settings and as many continuations each, neighbours in length.

    Without ``share`` every request is a trunk of its own. A trunk that has no room gets a batch of its own.
    """
    trunks = sorted(
        _trunks(requests, room, share), key=lambda t: (_settings(requests[t.requests[0]]), t.rows, t.length)
    )
    batches: list[list[Trunk]] = []
    for trunk in trunks:
        before = batches[-1][0] if batches else None
        settings = _settings(requests[trunk.requests[0]])
        alike = before is not None and _settings(requests[before.requests[0]]) == settings and before.rows == trunk.rows
        count = 1 + (len(batches[-1]) if alike else 0)
        if not alike or not room.holds(count, trunk.length, count * trunk.rows, settings[0]):
            batches.append([])
        batches[-1].append(trunk)
    return batches


def _settings(request: SampleRequest) -> tuple[int, float, float]:
    return (request.max_new_tokens, request.temperature, request.top_p)


def _trunks(requests: Sequence[SampleRequest], room: Room, share: bool) -> list[Trunk]:
    """From the longest text of each family of nested prefixes back to its beginnings."""
    order = sorted(
        range(len(requests)), key=lambda i: (_settings(requests[i]), sort_key(requests[i].prefix.array)), reverse=True
    )
    trunks: list[Trunk] = []
    for i in order:
        request, rows = requests[i], len(requests[i].seeds)
        longest = trunks[-1] if share and trunks else None
        if longest is not None and _joins(request, requests[longest.requests[0]]):
            together = longest.rows + rows
            if room.holds(1, longest.length, together, request.max_new_tokens):
                trunks[-1] = Trunk((*longest.requests, i), longest.length, together)
                continue
        trunks.append(Trunk((i,), len(request.prefix), rows))
    return trunks


def _joins(request: SampleRequest, longest: SampleRequest) -> bool:
    prefix = request.prefix.array
    return _settings(request) == _settings(longest) and common_prefix(prefix, longest.prefix.array) == len(prefix)
