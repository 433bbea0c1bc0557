"""Rows that begin alike as one tree: every token that they share stands once.

Tokens are laid out depth first, so that a subtree is a run of columns. Then one number a token, the last column of its
subtree, says all about who sees whom: column q sees column k where k ≤ q ≤ last[k].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.types import Row

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Rows merged token by token.

    Letters: T columns of the tree · L tokens of a row.
    """

    rows: tuple[Row, ...]
    columns: tuple[Ints, ...]
    """For every row, the column of each of its tokens, shape ``(L,)``: its path from the root."""
    tokens: Ints
    """Shape ``(T,)``."""
    positions: Ints
    """Number of tokens on the path before each column, shape ``(T,)``."""
    last: Ints
    """The last column of each token's subtree, shape ``(T,)``."""

    @property
    def length(self) -> int:
        """T."""
        return len(self.tokens)

    @property
    def is_chain(self) -> bool:
        """Whether no row leaves another's path."""
        return bool((self.last == self.length - 1).all())


def common_prefix(a: NDArray[np.integer], b: NDArray[np.integer]) -> int:
    """How many tokens two texts have in common from the first on."""
    size = min(len(a), len(b))
    different = np.flatnonzero(a[:size] != b[:size])
    return int(different[0]) if len(different) else size


def text_of(row: Row) -> NDArray[np.int32]:
    """The row's tokens, shape ``(L,)``."""
    return np.concatenate([segment.tokens.array for segment in row.segments])


def sort_key(text: NDArray[np.int32]) -> bytes:
    """Bytes that order texts token by token: of all texts, a neighbour then shares the longest beginning."""
    return text.astype(">u4").tobytes()


def grow(rows: Sequence[Row]) -> Tree:
    """Merge rows into a tree; rows without a common first token are trees side by side."""
    texts = [text_of(row) for row in rows]
    columns: list[Ints] = [np.empty(0, np.int64)] * len(rows)
    room = sum(map(len, texts))
    tokens, positions, last = (np.empty(room, np.int64) for _ in range(3))
    size, path, before = 0, np.empty(0, np.int64), np.empty(0, np.int32)
    for i in sorted(range(len(rows)), key=lambda i: sort_key(texts[i])):
        text = texts[i]
        shared = common_prefix(before, text)
        last[path[shared:]] = size - 1
        new = np.arange(size, size + len(text) - shared)
        tokens[new], positions[new] = text[shared:], np.arange(shared, len(text))
        path = np.concatenate([path[:shared], new])
        columns[i], before, size = path, text, size + len(new)
    last[path] = size - 1
    return Tree(tuple(rows), tuple(columns), tokens[:size], positions[:size], last[:size])


@dataclass(frozen=True, slots=True)
class Run:
    """A run of columns without a fork: ``start`` to ``stop`` (excluded), seen by every column up to ``last``."""

    start: int
    stop: int
    last: int


def runs_of(last: Ints) -> tuple[Run, ...]:
    """A sequence's runs from left to right; a run and those behind it up to its ``last`` are its subtree."""
    starts = np.flatnonzero(np.diff(last, prepend=-1))
    stops = np.append(starts[1:], len(last))
    return tuple(Run(int(a), int(b), int(last[a])) for a, b in zip(starts, stops, strict=True))
