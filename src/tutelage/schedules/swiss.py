"""Swiss rounds: everybody plays in every round, against somebody who stands alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.maths.bradley_terry import Belief, Indices, Numbers
from tutelage.schedules.contract import Seat, mean_points
from tutelage.schedules.knockout import check_spread


@dataclass(frozen=True, slots=True)
class Swiss:
    """Some rounds of neighbours by a Bradley-Terry fit, met before only where nobody else is left [I].

    Good for a whole ranking; best and worst alone are had for less by ``Adaptive``.
    """

    rounds: int = 4
    """Each compares ⌊K / 2⌋ pairs."""
    spread: float = 2.0
    """Standard deviation of quality within a pool, in logits, before anything was compared [I]."""

    def __post_init__(self) -> None:
        check_spread("Swiss", self.spread)
        if self.rounds < 1:
            raise ValueError(f"Swiss needs rounds of at least 1, got {self.rounds}")

    def begin(self, pools: Sequence[Sequence[Seat]]) -> "SwissRounds":
        """The first round: neighbours by seat."""
        count, num = len(pools), len(pools[0])
        met = np.zeros((count, num, num), np.int64)
        belief = Belief.prior(count, num, self.spread)
        return SwissRounds(belief, met, self.rounds, _pairing(belief.mean, met))


@dataclass(frozen=True, slots=True, eq=False)
class SwissRounds:
    """``Swiss`` being played."""

    belief: Belief
    met: Indices
    """How often two seats were compared, shape ``(P, K, K)``, symmetric."""
    left: int
    """Rounds to come, this one included."""
    pairs: Indices

    def after(self, won: Numbers, answers: Numbers) -> "SwissRounds":
        """The next round, by the fit so far."""
        belief, met = self.belief.after(self.pairs, mean_points(won, answers)), self.met.copy()
        rows = np.arange(len(met))[:, None]
        for first, second in ((0, 1), (1, 0)):
            met[rows, self.pairs[:, :, first], self.pairs[:, :, second]] += 1
        pairs = _pairing(belief.mean, met) if self.left > 1 else self.pairs[:, :0]
        return SwissRounds(belief, met, self.left - 1, pairs)

    @property
    def scores(self) -> Numbers:
        """Estimated win rates."""
        return self.belief.win_rates()


def _pairing(mean: Numbers, met: Indices) -> Indices:
    """From the top: the next one free with the nearest one free that it met least often, shape ``(P, ⌊K / 2⌋, 2)``."""
    pools, num = mean.shape
    rows = np.arange(pools)
    ranked = np.argsort(-mean, axis=1, kind="stable")
    # With an odd number somebody sits out: the one that was compared most often, the one in the middle of equals.
    free = np.ones((pools, num), bool)
    if num % 2:
        games = np.take_along_axis(met.sum(2), ranked, 1) * num - np.abs(np.arange(num) - num // 2)
        free[rows, games.argmax(1)] = False
    pairs: list[Indices] = []
    for _ in range(num // 2):
        first = free.argmax(1)
        free[rows, first] = False
        before = np.take_along_axis(met[rows, ranked[rows, first]], ranked, 1)
        second = np.where(free, before * num + np.arange(num), np.iinfo(np.int64).max).argmin(1)
        free[rows, second] = False
        pairs.append(np.stack([ranked[rows, first], ranked[rows, second]], axis=1))
    return np.stack(pairs, axis=1)
