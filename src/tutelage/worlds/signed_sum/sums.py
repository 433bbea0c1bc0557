"""All sums of a world at once, as tables: every choice of numbers, every choice of signs."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

MOST_SUMS = 4_000_000
"""Running sums that the tables of a world may hold; four numbers modulo 7 make 82,944."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """M choices of N numbers, each with its S = 2ᴺ choices of signs."""

    numbers: NDArray[np.int64]
    """Shape ``(M, N)``."""
    minus: NDArray[np.bool_]
    """Which numbers a choice of signs subtracts, shape ``(S, N)``."""
    running: NDArray[np.int64]
    """The sums modulo the world's modulus, shape ``(M, S, N)``."""
    solutions: NDArray[np.int64]
    """How many choices of signs reach a target, shape ``(M, modulus)``."""

    def solving(self, row: int, target: int) -> NDArray[np.int64]:
        """The choices of signs by which the numbers of ``row`` make ``target``."""
        return np.flatnonzero(self.running[row, :, -1] == target)

    def failing(self, row: int, target: int) -> NDArray[np.int64]:
        """All other choices of signs; there are some, for another last sign makes another sum where moduli are odd."""
        return np.flatnonzero(self.running[row, :, -1] != target)


def size_of(count: int, modulus: int) -> int:
    """How many running sums the tables hold for ``count`` numbers."""
    return (modulus - 1) ** count * 2**count * count


def make_sums(count: int, modulus: int) -> Sums:
    """The tables for ``count`` numbers from 1 to ``modulus - 1``."""
    numbers = np.array(list(product(range(1, modulus), repeat=count)), np.int64)
    minus = np.array(list(product((False, True), repeat=count)), np.bool_)
    running = np.cumsum(np.where(minus[None], -numbers[:, None], numbers[:, None]), axis=2) % modulus
    solutions = (running[:, :, -1:] == np.arange(modulus)).sum(axis=1)
    return Sums(numbers, minus, running, solutions)
