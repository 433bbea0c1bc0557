"""Comparisons where the ends of a pool are still open: a knock-out first, then by expected improvement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tutelage.maths.bradley_terry import Belief, Indices, Numbers
from tutelage.schedules.bracket import Bracket
from tutelage.schedules.contract import Seat, mean_points
from tutelage.schedules.knockout import check_spread


@dataclass(frozen=True, slots=True)
class Adaptive:
    """A double knock-out, then whoever may still surpass the leader at either end meets it [I].

    A Gaussian belief under a Bradley-Terry model says by how much each candidate may be expected to surpass the
    leader (expected improvement), at the top and at the bottom; each round asks about the largest. Scores are win
    rates estimated by the model, in the order of its means.
    """

    budget: float = 0.3
    """Most comparisons, as a share of all pairs; never fewer than K − 1."""
    repeats: int = 2
    """How often two candidates may be compared. What a judge says twice of one pair is worth less than of two pairs."""
    breadth: int = 8
    """A round after the knock-out asks one question for every so many candidates. Fewer a round are better chosen."""
    tolerance: float = 0.05
    """A pool stops when the expected improvements of both ends sum to less than this share of ``spread``."""
    spread: float = 2.0
    """Standard deviation of quality within a pool, in logits, before anything was compared [I]."""

    def __post_init__(self) -> None:
        check_spread("Adaptive", self.spread)
        if not 0.0 < self.budget <= 1.0 or self.repeats < 1 or self.breadth < 1 or not self.tolerance >= 0.0:
            raise ValueError(
                "Adaptive needs a budget in (0, 1], repeats and breadth of at least 1 and a tolerance of at least 0; "
                f"got {self.budget}, {self.repeats}, {self.breadth} and {self.tolerance}"
            )

    def calls(self, num: int) -> int:
        """Most comparisons of a pool of ``num`` candidates."""
        pairs = num * (num - 1) // 2
        # A share such as 0.3 of 120 is 36, whatever the last bit of the product.
        return max(num - 1, int(self.budget * pairs + 1e-9))

    def begin(self, pools: Sequence[Sequence[Seat]]) -> "Search":
        """The first round of the knock-out."""
        count, num = len(pools), len(pools[0])
        met, bracket = np.zeros((count, num, num), np.int64), Bracket.of(count, num)
        pairs = bracket.pairs[:, : self.calls(num)]
        return Search(self, bracket, Belief.prior(count, num, self.spread), met, pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """``Adaptive`` being played."""

    spec: Adaptive
    bracket: Bracket | None
    """``None`` when the knock-out is over."""
    belief: Belief
    met: Indices
    """How often two seats were compared, shape ``(P, K, K)``, symmetric."""
    pairs: Indices

    def after(self, won: Numbers, answers: Numbers) -> "Search":
        """The next round, by the belief so far."""
        points, met = mean_points(won, answers), self.met.copy()
        rows, columns = np.nonzero(self.pairs[:, :, 0] >= 0)
        first, second = self.pairs[rows, columns].T
        np.add.at(met, (rows, first, second), 1)
        np.add.at(met, (rows, second, first), 1)
        belief = self.belief.after(self.pairs, points)
        left = self.spec.calls(met.shape[1]) - met.sum((1, 2)) // 2
        if self.bracket is not None:
            # All pools are at the same place of their cups, and have asked the same number of questions.
            whole = points.shape[1] == self.bracket.pairs.shape[1]
            bracket = self.bracket.after(points) if whole else None
            pairs = bracket.pairs[:, : int(left[0])] if bracket is not None else self.pairs[:, :0]
            if pairs.shape[1] or not left[0]:
                return replace(self, bracket=bracket, belief=belief, met=met, pairs=pairs)
        return replace(self, bracket=None, belief=belief, met=met, pairs=_open(self.spec, belief, met, left))

    @property
    def scores(self) -> Numbers:
        """Estimated win rates."""
        return self.belief.win_rates()


def _open(spec: Adaptive, belief: Belief, met: Indices, left: Indices) -> Indices:
    """The questions with the largest expected improvements, both ends together, shape ``(P, R, 2)``."""
    pools, num = belief.mean.shape
    rows, everybody = np.arange(pools), np.arange(num)
    best, above = belief.improvements(1)
    worst, below = belief.improvements(-1)
    below[rows, best] = -np.inf  # that pair stands at the top already
    unsettled = above.max(1) + np.maximum(below.max(1), 0.0) >= spec.tolerance * spec.spread
    gains = np.concatenate([above, below], axis=1)
    gains[np.concatenate([met[rows, best], met[rows, worst]], axis=1) >= spec.repeats] = -np.inf
    width = min(-(-num // spec.breadth), 2 * num)
    chosen = np.argsort(-gains, axis=1, kind="stable")[:, :width]
    leaders = np.where(chosen < num, best[:, None], worst[:, None])
    pairs = np.stack([leaders, np.tile(everybody, 2)[chosen]], axis=2)
    asked = np.isfinite(np.take_along_axis(gains, chosen, 1)) & unsettled[:, None]
    pairs[~(asked & (np.arange(width) < left[:, None]))] = -1
    return pairs
