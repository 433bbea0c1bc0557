"""Double knock-out: two cups that share their first round."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.maths.bradley_terry import Belief, Indices, Numbers
from tutelage.schedules.bracket import Bracket
from tutelage.schedules.contract import Seat, mean_points


@dataclass(frozen=True, slots=True)
class KnockOut:
    """Winners meet winners until one is left, losers meet losers: about 3 K / 2 comparisons [I].

    A judge without noise finds best and worst. Scores are win rates estimated by a Bradley-Terry model.
    """

    spread: float = 2.0
    """Standard deviation of quality within a pool, in logits, before anything was compared [I]."""

    def __post_init__(self) -> None:
        check_spread("KnockOut", self.spread)

    def begin(self, pools: Sequence[Sequence[Seat]]) -> "Cups":
        """The first round: neighbours by seat."""
        count, num = len(pools), len(pools[0])
        return Cups(Bracket.of(count, num), Belief.prior(count, num, self.spread))


@dataclass(frozen=True, slots=True, eq=False)
class Cups:
    """``KnockOut`` being played."""

    bracket: Bracket
    belief: Belief

    @property
    def pairs(self) -> Indices:
        """The round of both cups."""
        return self.bracket.pairs

    def after(self, won: Numbers, answers: Numbers) -> "Cups":
        """The next round."""
        points = mean_points(won, answers)
        return Cups(self.bracket.after(points), self.belief.after(self.pairs, points))

    @property
    def scores(self) -> Numbers:
        """Estimated win rates."""
        return self.belief.win_rates()


def check_spread(name: str, spread: float) -> None:
    """Refuse a spread that is no standard deviation."""
    if not 0.0 < spread <= 100.0:
        raise ValueError(f"{name} needs a spread in (0, 100], a standard deviation in logits; got {spread}")
