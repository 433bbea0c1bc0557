"""What a schedule of comparisons is.

A schedule works on *seats*: the candidates of a pool in an order drawn by key. So it needs no randomness of its own,
ties go to the lower seat, and neither resume nor the order of a pool changes a comparison. P pools of K candidates
stand side by side, and a round holds R pairs a pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tutelage.maths.bradley_terry import Indices, Numbers


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits there, as far as a schedule may know."""

    source: str
    """Who wrote the candidate."""
    index: int
    """Its place in the pool, by which only a pivot goes."""


@runtime_checkable
class Tournament(Protocol):
    """Where the comparisons of P pools stand. Immutable: a function of the schedule and of the results so far."""

    @property
    def pairs(self) -> Indices:
        """Seats to compare next, shape ``(P, R, 2)``; -1 where a pool asks for less. Without any pair it is done."""
        ...

    def after(self, won: Numbers, answers: Numbers) -> "Tournament":
        """Where they stand when the round is over.

        Args:
            won: Points of the first of every pair, summed over its answers, each in ``[0, 1]``; shape ``(P, R)``.
            answers: How many answers were valid, shape ``(P, R)``; with 0 there is no verdict, and none is made up.
        """
        ...

    @property
    def scores(self) -> Numbers:
        """A number a seat in ``[0, 1]``, higher is better, shape ``(P, K)``; NaN where there was no comparison."""
        ...


@runtime_checkable
class Schedule(Protocol):
    """Which candidates of a pool are compared, round by round."""

    def begin(self, pools: Sequence[Sequence[Seat]]) -> Tournament:
        """The first round of P pools of K ≥ 2 candidates each."""
        ...


def mean_points(won: Numbers, answers: Numbers) -> Numbers:
    """Points an answer, NaN where there was none."""
    return np.divide(won, answers, out=np.full(won.shape, np.nan), where=answers > 0)


def take(tables: Indices, seats: Indices) -> Indices:
    """``tables[p, seats[p, ...]]`` for every pool p."""
    rows = np.arange(len(tables)).reshape(-1, *([1] * (seats.ndim - 1)))
    return tables[rows, seats]
