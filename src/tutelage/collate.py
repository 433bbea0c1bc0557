"""Rows to tensors. Rows of one item that begin alike become one tree: the trunk once, each continuation a branch.

A branch's positions go on from its fork; it sees its own path to the root and nothing else. So a packed tree gives the
same log-probabilities, losses and gradients as its rows would one by one, and the prefix of K candidates is computed
once. Several trees may share one sequence. Where a model cannot take such a mask, rows are laid out flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from tutelage.types import Group, Item, Pair, Row, Tokens

Layout = Literal["trees", "flat"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A micro-batch: the only place where nouns become tensors.

    A *target* is a token that some loss looks at. ``source`` is the flat index (into B·T) of the hidden state that
    predicts it: its predecessor on the path from the root, which for a branch's first token is the trunk's last.
    """

    tokens: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]
    visible: Bool[Tensor, "B T T"] | None
    """Which columns a token sees; ``None`` where every sequence is one chain and plain causal attention will do."""
    source: Int[Tensor, " N"]
    target: Int[Tensor, " N"]
    row: Int[Tensor, " N"]
    """Row that the target belongs to, counted over the micro-batch."""
    trained: Bool[Tensor, " N"]
    advantage: Float[Tensor, " N"]
    kl_weight: Float[Tensor, " N"]
    ntp_weight: Float[Tensor, " N"]
    behaviour: Float[Tensor, " N"]
    """Behaviour log-probabilities; NaN where none was recorded, so that a wrong use cannot pass unseen."""
    pairs: Int[Tensor, "P 2"]
    """Row numbers of (chosen, rejected)."""
    num_rows: int
    num_items: int
    num_tokens: int
    """Tokens of the packed trees, padding not counted."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if isinstance(v, Tensor)})


@dataclass(frozen=True, slots=True)
class _Node:
    """A segment's place in a tree."""

    tokens: Tokens
    parent: int
    start: int
    """First column inside the tree."""
    position: int
    """Number of tokens on the path before it."""


@dataclass(frozen=True, slots=True)
class _Tree:
    nodes: tuple[_Node, ...]
    paths: tuple[tuple[int, ...], ...]
    """For every row, the nodes from root to leaf, one a segment."""
    rows: tuple[Row, ...]
    length: int

    @property
    def is_chain(self) -> bool:
        return all(node.parent == i - 1 for i, node in enumerate(self.nodes))


@dataclass(frozen=True, slots=True)
class _Unit:
    """What one item becomes: never split over micro-batches."""

    trees: tuple[_Tree, ...]
    is_pair: bool

    @property
    def length(self) -> int:
        return sum(tree.length for tree in self.trees)


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
    """Pack items into micro-batches of at most ``max_tokens`` packed tokens each.

    An item is never split; one that is larger than ``max_tokens`` gets a micro-batch of its own. The order of items
    and the number of micro-batches do not change the gradient, since losses are divided by counts over the whole step.
    With ``tree_limit`` (a model's attention window), everything is laid out flat where a tree would be longer.

    Raises:
        ValueError: an item has a row without tokens.
    """
    batches: list[Batch] = []
    waiting: list[_Unit] = []
    size = 0
    units = [_unit(item, layout) for item in items]
    if layout == "trees" and tree_limit is not None and any(unit.length > tree_limit for unit in units):
        return collate(items, max_tokens=max_tokens, layout="flat")
    for unit in units:
        if waiting and size + unit.length > max_tokens:
            batches.append(_batch(waiting, layout))
            waiting, size = [], 0
        waiting.append(unit)
        size += unit.length
    if waiting:
        batches.append(_batch(waiting, layout))
    return batches


def _unit(item: Item, layout: Layout) -> _Unit:
    rows = rows_of(item)
    if any(row.length == 0 for row in rows):
        raise ValueError("an item holds a row without tokens; objectives must leave such candidates out")
    trees = (_tree(rows),) if layout == "trees" else tuple(_tree((row,)) for row in rows)
    return _Unit(trees, isinstance(item, Pair))


def _tree(rows: Sequence[Row]) -> _Tree:
    """Merge rows segment by segment: equal segments under the same parent are one node."""
    nodes: list[_Node] = []
    known: dict[tuple[int, Tokens], int] = {}
    paths: list[tuple[int, ...]] = []
    column = 0
    for row in rows:
        parent, path, position = -1, list[int](), 0
        for segment in row.segments:
            key = (parent, segment.tokens)
            if key not in known:
                known[key] = len(nodes)
                nodes.append(_Node(segment.tokens, parent, column, position))
                column += len(segment.tokens)
            parent = known[key]
            path.append(parent)
            position += len(segment.tokens)
        paths.append(tuple(path))
    return _Tree(tuple(nodes), tuple(paths), tuple(rows), column)


def _place(trees: Sequence[_Tree], capacity: int, layout: Layout) -> list[tuple[int, int]]:
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


def _batch(units: Sequence[_Unit], layout: Layout) -> Batch:
    trees = [tree for unit in units for tree in unit.trees]
    width = max(tree.length for tree in trees)
    places = _place(trees, width, layout)
    count = 1 + max(sequence for sequence, _ in places)
    tokens = np.zeros((count, width), np.int64)
    positions = np.zeros((count, width), np.int64)
    for tree, (b, first) in zip(trees, places, strict=True):
        for node in tree.nodes:
            span = slice(first + node.start, first + node.start + len(node.tokens))
            tokens[b, span] = node.tokens.array
            positions[b, span] = np.arange(node.position, node.position + len(node.tokens))
    simple = len(trees) == count and all(tree.is_chain for tree in trees)
    targets = _targets(trees, places, width)
    rows = np.cumsum([0] + [2 if unit.is_pair else sum(len(t.rows) for t in unit.trees) for unit in units])
    pairs = [(first, first + 1) for unit, first in zip(units, rows[:-1].tolist(), strict=True) if unit.is_pair]
    return Batch(
        tokens=torch.from_numpy(tokens),
        positions=torch.from_numpy(positions),
        visible=None if simple else torch.from_numpy(_visible(trees, places, count, width)),
        **targets,
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        num_rows=int(rows[-1]),
        num_items=len(units),
        num_tokens=sum(tree.length for tree in trees),
    )


def _visible(trees: Sequence[_Tree], places: Sequence[tuple[int, int]], count: int, width: int) -> NDArray[np.bool_]:
    """Causal inside a node, and everything of its ancestors. Padding sees itself, so that no softmax is empty."""
    visible = np.zeros((count, width, width), np.bool_)
    visible[:, np.arange(width), np.arange(width)] = True
    for tree, (b, first) in zip(trees, places, strict=True):
        for node in tree.nodes:
            start, size = first + node.start, len(node.tokens)
            visible[b, start : start + size, start : start + size] = np.tri(size, dtype=np.bool_)
            parent = node.parent
            while parent >= 0:
                above = tree.nodes[parent]
                visible[b, start : start + size, first + above.start : first + above.start + len(above.tokens)] = True
                parent = above.parent
    return visible


def _targets(trees: Sequence[_Tree], places: Sequence[tuple[int, int]], width: int) -> dict[str, Tensor]:
    """The targets of every row, in row order. A row's first token has no predictor and is never a target."""
    columns: list[list[NDArray[np.generic]]] = [[] for _ in range(8)]
    row_number = 0
    for tree, (b, first) in zip(trees, places, strict=True):
        for row, path in zip(tree.rows, tree.paths, strict=True):
            before = -1  # flat index of the path's last token so far
            for segment, index in zip(row.segments, path, strict=True):
                node, size = tree.nodes[index], len(segment.tokens)
                flat = b * width + first + node.start + np.arange(size)
                sources = np.concatenate([[before], flat[:-1]])[:size]
                before = int(flat[-1]) if size else before
                if not (segment.trained or segment.ntp_weight or segment.kl_weight):
                    continue
                keep = sources >= 0
                behaviour = np.full(size, np.nan) if segment.logprobs is None else segment.logprobs.array
                ones = np.ones(size)
                values = (
                    *(sources, segment.tokens.array, ones * row_number, ones * segment.trained),
                    *(
                        ones * segment.advantage,
                        ones * segment.kl_weight,
                        ones * segment.ntp_weight,
                        behaviour,
                    ),
                )
                for column, value in zip(columns, values, strict=True):
                    column.append(value[keep])
            row_number += 1
    names = ("source", "target", "row", "trained", "advantage", "kl_weight", "ntp_weight", "behaviour")
    kinds = (torch.int64, torch.int64, torch.int64, torch.bool, *(torch.float32,) * 4)
    joined = [np.concatenate(column) if column else np.empty(0) for column in columns]
    return {
        name: torch.from_numpy(np.ascontiguousarray(value)).to(kind)
        for name, kind, value in zip(names, kinds, joined, strict=True)
    }
