"""Which continuations are sampled together: what shares a trunk, and how much fits in memory.

A plan is a function of the requests and of the machine, not of what happens to be free: a run that is resumed samples
in the same batches, so that not even the last bit of a logit differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import DynamicCache

from tutelage.memory import total_memory
from tutelage.protocols import SampleRequest
from tutelage.trees import common_prefix, sort_key

MEMORY_SHARE = 0.25
"""Share of the memory that a batch of continuations may take."""

Reading = Literal["trunks", "prefixes", "copies"]
"""What a continuation reads: a ``trunk`` that nested prefixes share, the ``prefix`` of its request, or a ``copy``."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """Requests whose prefixes are beginnings of the first one's."""

    requests: tuple[int, ...]
    """Numbers of the requests, that of the longest prefix first."""
    length: int
    """Tokens of the longest prefix."""
    rows: int
    """Continuations in all."""
    reading: Reading


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

    def holds(self, trunks: int, width: int, rows: int, steps: int, *, copies: bool) -> bool:
        """Whether so many trunks of ``width`` columns fit with ``rows`` continuations of ``steps`` tokens.

        Where each continuation has a copy, that copy takes the trunk's place.
        """
        columns = rows * (width + steps) if copies else trunks * width + rows * steps
        return rows <= self.rows and columns * self.column_bytes + rows * self.row_bytes <= self.bytes

    def most(self, width: int, steps: int, *, copies: bool) -> int:
        """How many continuations of one trunk fit; at least 1."""
        trunk, row = (0, width + steps) if copies else (width, steps)
        left = self.bytes - trunk * self.column_bytes
        return max(1, min(self.rows, int(left // (row * self.column_bytes + self.row_bytes))))


def room_for(trunk: DynamicCache, vocab: int, device: torch.device, rows: int) -> Room:
    """Room on this device, measured on any cache of the model; at most ``rows`` continuations."""
    layers: list[Any] = [layer for layer in trunk.layers if getattr(layer, "keys", None) is not None]
    columns = sum(layer.keys.shape[0] * layer.keys.shape[2] for layer in layers) / max(1, len(layers))
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    # Logits in float32, their log-softmax, and weights and cumulative sums in float64.
    row = 24.0 * vocab + sum(map(_state_bytes, trunk.layers))
    return Room(rows, MEMORY_SHARE * total_memory(device), held / max(1, columns), row)


def _state_bytes(layer: Any) -> float:
    """What a layer holds of one text whatever its length: a recurrent state, which most models have none of."""
    states = [*getattr(layer, "conv_states", {}).values(), *getattr(layer, "recurrent_states", {}).values()]
    return sum(state.nbytes / state.shape[0] for state in states if state is not None)


def split(request: SampleRequest, room: Room, reading: Reading) -> list[SampleRequest]:
    """The request in parts that each fit, by its seeds: the whole of it, as a rule."""
    most = room.most(len(request.prefix), request.max_new_tokens, copies=reading == "copies")
    starts = range(0, len(request.seeds), most)
    return [replace(request, seeds=request.seeds[start : start + most]) for start in starts]


def plan(
    requests: Sequence[SampleRequest], readings: Sequence[Reading], room: Room, *, padded: bool
) -> list[list[Trunk]]:
    """Batches of trunks: equal settings, a like reading and as many continuations each, neighbours in length.

    Only trunks that are read as such hold more than one request. Unless ``padded``, trunks of a batch are equally long.
    A trunk that has no room gets a batch of its own.
    """

    def kind(trunk: Trunk) -> tuple[Reading, tuple[int, float, float], int]:
        return (trunk.reading, _settings(requests[trunk.requests[0]]), trunk.rows)

    batches: list[list[Trunk]] = []
    for trunk in sorted(_trunks(requests, readings, room), key=lambda t: (kind(t), t.length)):
        before = batches[-1][0] if batches else None
        alike = before is not None and kind(before) == kind(trunk) and (padded or before.length == trunk.length)
        count = 1 + (len(batches[-1]) if alike else 0)
        steps, copies = requests[trunk.requests[0]].max_new_tokens, trunk.reading == "copies"
        if not alike or not room.holds(count, trunk.length, count * trunk.rows, steps, copies=copies):
            batches.append([])
        batches[-1].append(trunk)
    return batches


def _settings(request: SampleRequest) -> tuple[int, float, float]:
    return (request.max_new_tokens, request.temperature, request.top_p)


def _trunks(requests: Sequence[SampleRequest], readings: Sequence[Reading], room: Room) -> list[Trunk]:
    """From the longest text of each family of nested prefixes back to its beginnings."""
    order = sorted(
        range(len(requests)), key=lambda i: (_settings(requests[i]), sort_key(requests[i].prefix.array)), reverse=True
    )
    trunks: list[Trunk] = []
    for i in order:
        request, rows = requests[i], len(requests[i].seeds)
        longest = trunks[-1] if trunks and trunks[-1].reading == readings[i] == "trunks" else None
        if longest is not None and _joins(request, requests[longest.requests[0]]):
            together = longest.rows + rows
            if room.holds(1, longest.length, together, request.max_new_tokens, copies=False):
                trunks[-1] = replace(longest, requests=(*longest.requests, i), rows=together)
                continue
        trunks.append(Trunk((i,), len(request.prefix), rows, readings[i]))
    return trunks


def _joins(request: SampleRequest, longest: SampleRequest) -> bool:
    prefix = request.prefix.array
    return _settings(request) == _settings(longest) and common_prefix(prefix, longest.prefix.array) == len(prefix)
