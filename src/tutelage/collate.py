"""Rows to tensors. Rows that begin alike become one tree: the trunk once, each continuation a branch.

A branch's positions go on from its fork; it sees its own path to the root and nothing else. So a packed tree gives the
same log-probabilities, losses and gradients as its rows would one by one, and the prefix of K candidates is computed
once, as is that of several cuts of one document. Several trees may share one sequence. Where a model cannot take such
a mask, rows are laid out flat.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from tutelage.trees import Ints, Tree, grow, text_of
from tutelage.types import Group, Item, Pair, Row

Layout = Literal["trees", "flat"]

log = logging.getLogger(__name__)

SHARED_TOKENS = 32
"""Items whose rows begin with as many equal tokens become one tree: cuts of one document, prompts on one problem."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A micro-batch: the only place where nouns become tensors.

    A *target* is a token of a row that some loss looks at. ``source`` is the flat index (into B·T) of the hidden state
    that predicts it: its predecessor on the path from the root, which for a branch's first token is the trunk's last.
    """

    tokens: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]
    last: Int[Tensor, "B T"] | None
    """Last column of each token's subtree: column q sees column k where k ≤ q ≤ last[k]. ``None`` where every sequence
    is one chain and plain causal attention will do."""
    source: Int[Tensor, " N"]
    target: Int[Tensor, " N"]
    scored: Int[Tensor, " M"]
    """One target of each column: rows that share a token of their path, each with its own credit, score it once."""
    score: Int[Tensor, " N"]
    """Which of the M scores is a target's."""
    row: Int[Tensor, " N"]
    """Row that the target belongs to, counted over the micro-batch."""
    trained: Bool[Tensor, " N"]
    advantage: Float[Tensor, " N"]
    kl_weight: Float[Tensor, " N"]
    ntp_weight: Float[Tensor, " N"]
    behaviour: Float[Tensor, " N"]
    """Behaviour log-probabilities; NaN where none was recorded, so that a wrong use cannot pass unseen."""
    turn: Int[Tensor, " N"]
    """Which attempt of an episode the target belongs to, counted from 1; 0 where it is none."""
    pairs: Int[Tensor, "P 2"]
    """Row numbers of (chosen, rejected)."""
    num_rows: int
    items: tuple[int, ...]
    """Numbers of the items that are here, as they were given to ``collate``, in the order of their rows: items that
    begin alike are brought together."""
    num_tokens: int
    """Tokens of the packed trees, padding not counted."""

    @property
    def num_items(self) -> int:
        """How many items are here."""
        return len(self.items)

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if isinstance(v, Tensor)})


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """Items that are packed together; never split over micro-batches."""

    numbers: tuple[int, ...]
    items: tuple[Item, ...]
    layout: Layout
    trees: tuple[Tree, ...]
    """One of all rows, or in the flat layout one a row; rows in the items' order."""

    @property
    def width(self) -> int:
        return max(tree.length for tree in self.trees)

    def columns(self, width: int) -> int:
        """What it takes of a micro-batch whose longest sequence is ``width``: flat rows are padded to that."""
        return len(self.trees) * width if self.layout == "flat" else self.width


def rows_of(item: Item) -> tuple[Row, ...]:
    """The rows of an item, a pair's chosen one first."""
    match item:
        case Pair(chosen, rejected):
            return (chosen, rejected)
        case Group(rows):
            return rows


def collate(
    items: Sequence[Item], *, max_tokens: int, layout: Layout = "trees", tree_limit: int | None = None
) -> list[Batch]:
    """Pack items into micro-batches of at most ``max_tokens`` packed tokens each, with padding where they lie flat.

    An item is never split; one that is larger than ``max_tokens`` gets a micro-batch of its own. The order of items
    and the number of micro-batches do not change the gradient, since losses are divided by counts over the whole step.
    No tree is longer than ``tree_limit`` (a model's attention window): an item that is so by itself is laid out flat.

    Raises:
        ValueError: an item has a row without tokens.
    """
    units = _units(items, max_tokens, layout, tree_limit)
    trees = [unit for unit in units if unit.layout == "trees"]
    # The longest first, so that rows are padded to the length of others like them.
    flat = sorted((unit for unit in units if unit.layout == "flat"), key=lambda unit: -unit.width)
    batches = [_batch(some) for some in _filled(trees, max_tokens)]
    return batches + [_batch(sorted(some, key=lambda unit: unit.numbers)) for some in _filled(flat, max_tokens)]


def _filled(units: Sequence[_Unit], max_tokens: int) -> Iterator[list[_Unit]]:
    """Micro-batches of units of one layout, flat ones the longest first."""
    waiting: list[_Unit] = []
    size = 0
    for unit in units:
        takes = unit.columns(waiting[0].width if waiting else unit.width)
        if waiting and size + takes > max_tokens:
            yield waiting
            waiting, size, takes = [], 0, unit.columns(unit.width)
        waiting.append(unit)
        size += takes
    if waiting:
        yield waiting


def _units(items: Sequence[Item], max_tokens: int, layout: Layout, tree_limit: int | None) -> list[_Unit]:
    """Items by themselves, or together where they begin alike, in the order of their first ones."""
    if any(row.length == 0 for item in items for row in rows_of(item)):
        raise ValueError("an item holds a row without tokens; objectives must leave such candidates out")
    if layout == "flat":
        return [_flat(i, item) for i, item in enumerate(items)]
    return [unit for alike in _alike(items) for unit in _within(alike, items, max_tokens, tree_limit)]


def _flat(number: int, item: Item) -> _Unit:
    """Every row by itself."""
    return _Unit((number,), (item,), "flat", tuple(grow((row,)) for row in rows_of(item)))


def _alike(items: Sequence[Item]) -> list[tuple[int, ...]]:
    """Groups of numbers of items whose first rows begin with the same ``SHARED_TOKENS`` tokens."""
    groups: dict[bytes | int, list[int]] = {}
    for number, item in enumerate(items):
        start = text_of(rows_of(item)[0])[:SHARED_TOKENS]
        groups.setdefault(start.tobytes() if len(start) == SHARED_TOKENS else number, []).append(number)
    return [tuple(group) for group in groups.values()]


@cache
def _tell(limit: int) -> None:
    log.warning(
        "items longer than the model's attention window of %d tokens are laid out flat, each row with its own prefix, "
        "which is slower and trains the same",
        limit,
    )


def _within(
    numbers: tuple[int, ...], items: Sequence[Item], max_tokens: int, tree_limit: int | None
) -> Iterator[_Unit]:
    """One unit of all of these if it is small enough, else one of each half; an item alone may be larger."""
    mine = tuple(items[i] for i in numbers)
    tree = grow([row for item in mine for row in rows_of(item)])
    too_long = tree_limit is not None and tree.length > tree_limit
    if len(numbers) == 1:
        if too_long:
            _tell(tree_limit)
        yield _flat(numbers[0], mine[0]) if too_long else _Unit(numbers, mine, "trees", (tree,))
    elif tree.length <= max_tokens and not too_long:
        yield _Unit(numbers, mine, "trees", (tree,))
    else:
        middle = len(numbers) // 2
        yield from _within(numbers[:middle], items, max_tokens, tree_limit)
        yield from _within(numbers[middle:], items, max_tokens, tree_limit)


def _place(trees: Sequence[Tree], capacity: int, layout: Layout) -> list[tuple[int, int]]:
    """(sequence, first column) of every tree: first fit, longest first; one a sequence where the layout is flat."""
    placed: list[tuple[int, int]] = [(0, 0)] * len(trees)
    used: list[int] = []
    for index in sorted(range(len(trees)), key=lambda i: -trees[i].length):
        length = trees[index].length
        fits = (b for b, n in enumerate(used) if n + length <= capacity) if layout == "trees" else iter(())
        sequence = next(fits, len(used))
        if sequence == len(used):
            used.append(0)
        placed[index] = (sequence, used[sequence])
        used[sequence] += length
    return placed


def _batch(units: Sequence[_Unit]) -> Batch:
    """A micro-batch of units of one layout."""
    trees = [tree for unit in units for tree in unit.trees]
    width = max(tree.length for tree in trees)
    places = _place(trees, width, units[0].layout)
    count = 1 + max(sequence for sequence, _ in places)
    tokens, positions = np.zeros((2, count, width), np.int64)
    # Padding is a chain behind the last tree, so that no softmax is empty.
    last = np.full((count, width), width - 1, np.int64)
    for tree, (b, first) in zip(trees, places, strict=True):
        span = slice(first, first + tree.length)
        tokens[b, span], positions[b, span], last[b, span] = tree.tokens, tree.positions, first + tree.last
    simple = len(trees) == count and all(tree.is_chain for tree in trees)
    items = [item for unit in units for item in unit.items]
    starts = np.cumsum([0, *(len(rows_of(item)) for item in items)]).tolist()
    pairs = [(start, start + 1) for item, start in zip(items, starts, strict=False) if isinstance(item, Pair)]
    return Batch(
        tokens=torch.from_numpy(tokens),
        positions=torch.from_numpy(positions),
        last=None if simple else torch.from_numpy(last),
        **_targets(trees, places, width),
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        num_rows=starts[-1],
        items=tuple(number for unit in units for number in unit.numbers),
        num_tokens=sum(tree.length for tree in trees),
    )


def _targets(trees: Sequence[Tree], places: Sequence[tuple[int, int]], width: int) -> dict[str, Tensor]:
    """The targets of every row, in row order. A row's first token has no predictor and is never a target."""
    found: list[tuple[NDArray[np.generic], ...]] = []
    number = 0
    for tree, (b, first) in zip(trees, places, strict=True):
        for row, columns in zip(tree.rows, tree.columns, strict=True):
            found.extend(_row_targets(row, b * width + first + columns, number))
            number += 1
    names = ("source", "target", "row", "trained", "advantage", "kl_weight", "ntp_weight", "behaviour", "turn")
    kinds = (torch.int64, torch.int64, torch.int64, torch.bool, *(torch.float32,) * 4, torch.int64)
    joined = {n: np.concatenate([t[i] for t in found]) if found else np.empty(0) for i, n in enumerate(names)}
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(joined[name])).to(kind)
        for name, kind in zip(names, kinds, strict=True)
    }
    # A column has one token and one predecessor, so that these two say which column is meant.
    columns = joined["source"].astype(np.int64) << 32 | joined["target"].astype(np.int64)
    _, scored, score = np.unique(columns, return_index=True, return_inverse=True)
    return tensors | {"scored": torch.from_numpy(scored), "score": torch.from_numpy(score)}


def _row_targets(row: Row, columns: Ints, number: int) -> Iterator[tuple[NDArray[np.generic], ...]]:
    """What a row's segments have of targets; ``columns`` are flat indices."""
    end = 0
    for segment in row.segments:
        start, end = end, end + len(segment.tokens)
        low = max(start, 1)
        if low >= end or not (segment.trained or segment.ntp_weight or segment.kl_weight):
            continue
        same = np.ones(end - low)
        yield (
            columns[low - 1 : end - 1],
            segment.tokens.array[low - start :],
            same * number,
            same * segment.trained,
            same * segment.advantage,
            same * segment.kl_weight,
            same * segment.ntp_weight,
            same * np.nan if segment.logprobs is None else segment.logprobs.array[low - start :],
            same * segment.turn,
        )
