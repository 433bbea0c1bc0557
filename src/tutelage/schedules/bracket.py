"""A double knock-out: those who have won so far look for the best, those who have lost so far for the worst."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.bradley_terry import Indices, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Bracket:
    """Who is still in, of P pools.

    A candidate that has a bye in the first round stands in both halves until it is compared; they never hold the same
    pair. Pairs are neighbours; with an odd number the last one waits, and stands first in the next round.
    """

    top: Indices
    """Seats that have not lost, shape ``(P, a)``."""
    bottom: Indices
    """Seats that have not won, shape ``(P, b)``."""
    opening: bool
    """Whether nobody was compared yet: the two halves are the same, and the first round serves both."""

    @classmethod
    def of(cls, pools: int, num: int) -> "Bracket":
        """Everybody, by seat."""
        everybody = np.tile(np.arange(num, dtype=np.int64), (pools, 1))
        return cls(everybody, everybody, True)

    @property
    def pairs(self) -> Indices:
        """The next round, shape ``(P, R, 2)``; ``R = 0`` when one is left at each end."""
        halves = (self.top,) if self.opening else (self.top, self.bottom)
        return np.concatenate([_neighbours(half) for half in halves], axis=1)

    def after(self, points: Numbers) -> "Bracket":
        """Winners go on in the top half, losers in the bottom half, shape ``(P, R)``; the lower seat of a tie goes on.

        So does the lower seat of a pair without a verdict. That decides who is asked about next, and no score.
        """
        ahead = self.top.shape[1] // 2
        above, below = (points, points) if self.opening else (points[:, :ahead], points[:, ahead:])
        wins, losses = _ahead(self.top, above), _ahead(self.bottom, 1.0 - below)
        if self.opening:
            losses = ~wins  # of two that tie each goes its way, or one would stand in both halves
        return Bracket(_onward(self.top, wins), _onward(self.bottom, losses), False)


def _neighbours(half: Indices) -> Indices:
    even = half.shape[1] // 2 * 2
    return half[:, :even].reshape(len(half), -1, 2)


def _ahead(half: Indices, points: Numbers) -> NDArray[np.bool_]:
    pairs = _neighbours(half)
    return np.where((points == 0.5) | np.isnan(points), pairs[:, :, 0] < pairs[:, :, 1], points > 0.5)


def _onward(half: Indices, ahead: NDArray[np.bool_]) -> Indices:
    pairs = _neighbours(half)
    waiting = half[:, pairs.shape[1] * 2 :]
    return np.concatenate([waiting, np.where(ahead, pairs[:, :, 0], pairs[:, :, 1])], axis=1)
