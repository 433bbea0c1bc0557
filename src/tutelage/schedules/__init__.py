"""Schedules: which candidates of a pool a judge compares. Best and worst are wanted, not a ranking."""

from tutelage.schedules.adaptive import Adaptive
from tutelage.schedules.contract import Schedule, Seat, Tournament
from tutelage.schedules.exhaustive import AllPairs, Pivot
from tutelage.schedules.knockout import KnockOut
from tutelage.schedules.play import Match, Standing, play
from tutelage.schedules.swiss import Swiss

__all__ = [
    "Adaptive",
    "AllPairs",
    "KnockOut",
    "Match",
    "Pivot",
    "Schedule",
    "Seat",
    "Standing",
    "Swiss",
    "Tournament",
    "play",
]
