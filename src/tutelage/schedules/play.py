"""Playing a schedule over pools of any size, all of them side by side."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tutelage import rng
from tutelage.maths.bradley_terry import Indices, Numbers
from tutelage.schedules.contract import Schedule, Seat, Tournament, take
from tutelage.types import Pool


@dataclass(frozen=True, slots=True)
class Match:
    """Two candidates of a pool to be compared."""

    pool: int
    """Index of the pool."""
    first: int
    """Index of a candidate in its pool, the lower of the two."""
    second: int
    repeat: int
    """How often these two were compared before: part of the key of whatever is drawn for the comparison."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the candidates of one pool came out, in the pool's order."""

    scores: tuple[float, ...]
    """Higher is better; NaN where there was no comparison."""
    comparisons: tuple[int, ...]
    """Valid answers about each candidate."""


Compare = Callable[[Sequence[Match]], Sequence[tuple[float, int]]]
"""Points of each match's first, summed over its valid answers, and how many answers were valid."""


def play(schedule: Schedule, pools: Sequence[Pool], seed: int, compare: Compare) -> list[Standing]:
    """Compare the candidates of all ``pools`` as ``schedule`` says, one call of ``compare`` a round for all of them.

    Args:
        schedule: Who meets whom.
        pools: Pools of any number of candidates; those of fewer than two are not compared.
        seed: The run's, for the order of seats.
        compare: Asks the judge.
    """
    tables = _tables(schedule, pools, seed)
    while any(rounds := [table.matches for table in tables]):
        answers = iter(compare([match for matches in rounds for match in matches]))
        tables = [
            table.after([next(answers) for _ in matches]) if matches else table
            for table, matches in zip(tables, rounds, strict=True)
        ]
    found = {pool: standing for table in tables for pool, standing in table.standings()}
    return [found.get(i, _unmet(len(pool.candidates))) for i, pool in enumerate(pools)]


def seats(pool: Pool, seed: int) -> tuple[int, ...]:
    """The candidates of ``pool`` by seat, as indices: an order that depends on their texts and not on the pool's."""
    keyed = (
        (rng.seed(seed, "seat", *pool.chunk.key, candidate.tokens.digest), candidate.source, index)
        for index, candidate in enumerate(pool.candidates)
    )
    return tuple(index for _, _, index in sorted(keyed))


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The pools of one size."""

    pools: tuple[int, ...]
    order: Indices
    """Candidate by seat, shape ``(P, K)``."""
    met: Indices
    """How often two candidates were compared, shape ``(P, K, K)``, the lower one first."""
    comparisons: Indices
    """Valid answers by candidate, shape ``(P, K)``."""
    tournament: Tournament

    @property
    def matches(self) -> list[Match]:
        """The round by candidates, pool after pool."""
        rows, low, high, _ = self._round()
        found: list[Match] = []
        repeats: dict[tuple[int, int, int], int] = defaultdict(int)
        for row, first, second in zip(rows.tolist(), low.tolist(), high.tolist(), strict=True):
            key = (row, first, second)
            found.append(Match(self.pools[row], first, second, int(self.met[key]) + repeats[key]))
            repeats[key] += 1
        return found

    def after(self, results: Sequence[tuple[float, int]]) -> "_Table":
        """The tables when every match has its points and its number of answers."""
        rows, low, high, swapped = self._round()
        points = np.array(results, dtype=np.float64)
        counts = points[:, 1].astype(np.int64)
        met, comparisons = self.met.copy(), self.comparisons.copy()
        np.add.at(met, (rows, low, high), 1)
        np.add.at(comparisons, (rows, low), counts)
        np.add.at(comparisons, (rows, high), counts)
        pairs = self.tournament.pairs
        won, answers = np.zeros(pairs.shape[:2]), np.zeros(pairs.shape[:2])
        asked = pairs[:, :, 0] >= 0
        won[asked] = np.where(swapped, points[:, 1] - points[:, 0], points[:, 0])
        answers[asked] = points[:, 1]
        return replace(self, met=met, comparisons=comparisons, tournament=self.tournament.after(won, answers))

    def standings(self) -> list[tuple[int, Standing]]:
        """How each pool came out."""
        scores: Numbers = np.empty(self.order.shape)
        np.put_along_axis(scores, self.order, self.tournament.scores, axis=1)
        rows = zip(self.pools, scores.tolist(), self.comparisons.tolist(), strict=True)
        return [(pool, Standing(tuple(own), tuple(counts))) for pool, own, counts in rows]

    def _round(self) -> tuple[Indices, Indices, Indices, NDArray[np.bool_]]:
        """Row of the pool, lower and higher candidate of every match, and whether the pair names them the other way."""
        pairs = self.tournament.pairs
        rows, columns = np.nonzero(pairs[:, :, 0] >= 0)
        met = take(self.order, np.maximum(pairs, 0).reshape(len(pairs), -1)).reshape(pairs.shape)[rows, columns]
        return rows, met.min(1), met.max(1), met[:, 0] > met[:, 1]


def _tables(schedule: Schedule, pools: Sequence[Pool], seed: int) -> list[_Table]:
    sizes: dict[int, list[int]] = defaultdict(list)
    for index, pool in enumerate(pools):
        sizes[len(pool.candidates)].append(index)
    tables: list[_Table] = []
    for num, indices in sizes.items():
        if num < 2:
            continue
        order = [seats(pools[index], seed) for index in indices]
        seated = [
            [Seat(pools[index].candidates[place].source, place) for place in own]
            for index, own in zip(indices, order, strict=True)
        ]
        met, none = np.zeros((len(indices), num, num), np.int64), np.zeros((len(indices), num), np.int64)
        tables.append(_Table(tuple(indices), np.array(order, np.int64), met, none, schedule.begin(seated)))
    return tables


def _unmet(num: int) -> Standing:
    return Standing((float("nan"),) * num, (0,) * num)
