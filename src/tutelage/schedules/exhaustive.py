"""Schedules of one round: everybody against everybody, and everybody against one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.maths import schedules
from tutelage.maths.bradley_terry import Indices, Numbers
from tutelage.schedules.contract import Seat, mean_points


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Compare every two candidates once: what the paper does [P §4.3]."""

    def begin(self, pools: Sequence[Sequence[Seat]]) -> "OneRound":
        """All pairs of every pool."""
        num = len(pools[0])
        pairs = np.array(schedules.all_pairs(num), np.int64)
        return OneRound.of(np.tile(pairs, (len(pools), 1, 1)), num)


@dataclass(frozen=True, slots=True)
class Pivot:
    """Compare every candidate with one only: cheaper, and clearly worse in the paper [P Tables 21-23]."""

    source: str = "suffix"
    """The first candidate of this source is the one; a pool without it is not judged."""

    def begin(self, pools: Sequence[Sequence[Seat]]) -> "OneRound":
        """The pairs with the pivot; none in a pool that lacks one."""
        num = len(pools[0])
        return OneRound.of(np.array([self._round(own) for own in pools], np.int64), num)

    def _round(self, seats: Sequence[Seat]) -> list[tuple[int, int]]:
        places = [(seat.index, number) for number, seat in enumerate(seats) if seat.source == self.source]
        return schedules.pivot(len(seats), min(places)[1]) if places else [(-1, -1)] * (len(seats) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class OneRound:
    """A tournament that asks all its questions at once; the score is the share of answers won [P]."""

    pairs: Indices
    points: Numbers
    """Won so far by seat, shape ``(P, K)``."""
    answers: Numbers

    @classmethod
    def of(cls, pairs: Indices, num: int) -> "OneRound":
        """Before anything was asked."""
        return cls(pairs, np.zeros((len(pairs), num)), np.zeros((len(pairs), num)))

    def after(self, won: Numbers, answers: Numbers) -> "OneRound":
        """The end."""
        points, total = self.points.copy(), self.answers.copy()
        rows, columns = np.nonzero(self.pairs[:, :, 0] >= 0)
        first, second = self.pairs[rows, columns].T
        for seats, own in ((first, won), (second, answers - won)):
            np.add.at(points, (rows, seats), own[rows, columns])
            np.add.at(total, (rows, seats), answers[rows, columns])
        return OneRound(self.pairs[:, :0], points, total)

    @property
    def scores(self) -> Numbers:
        """Win rates."""
        return mean_points(self.points, self.answers)
