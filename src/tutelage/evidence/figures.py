"""Every figure of every arm and seed, with its resamples: what contrasts are taken of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.evidence.claims import Contrast
from tutelage.evidence.probes import misled
from tutelage.evidence.work import CLEAN, NATURAL, UNSAFE, kept, prefixes
from tutelage.report.answers import Prefixes, Sheet, sheet
from tutelage.report.estimates import Draws, Estimate, ratio
from tutelage.report.history import histories, wins_by_source
from tutelage.report.measures import UNSAFE_SHARE, by_seed, points, tabled
from tutelage.worlds.facts import FactsWorld, measure

ITEMS = {"natural": NATURAL, "unsafe": UNSAFE, "clean": CLEAN}
Seeded = dict[str, Estimate]
"""Figures of one arm and seed by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Reads what jobs left in a study, each once."""

    world: FactsWorld
    study: Path
    seeds: Mapping[str, tuple[int, ...]]
    """Of every arm."""
    prefixes: Prefixes
    _cells: dict[tuple[str, int], Seeded] = field(default_factory=dict[tuple[str, int], Seeded])
    _sheets: dict[tuple[str, int], tuple[Sheet, NDArray[np.float64] | None]] = field(
        default_factory=dict[tuple[str, int], tuple[Sheet, NDArray[np.float64] | None]]
    )
    _draws: dict[int, Draws] = field(default_factory=dict[int, Draws])

    @classmethod
    def of(cls, world: FactsWorld, study: Path, seeds: Mapping[str, tuple[int, ...]]) -> "Figures":
        """Nothing is read yet."""
        return cls(world, study, seeds, prefixes(world))

    def contrast(self, test: Contrast) -> Estimate:
        """The weighted sum over arms, paired by seed and prefix, over the seeds that all of them have."""
        first, *others = (self.seeds[arm] for arm, _ in test.weights)
        common = tuple(seed for seed in first if all(seed in other for other in others))
        each = [
            sum((weight * self.cell(arm, seed)[test.measure] for arm, weight in test.weights), np.zeros(1))
            for seed in common
        ]
        return self.draws(len(common)).average(each)

    def count(self, test: Contrast) -> int:
        """Seeds that a contrast is over."""
        return min(len(self.seeds[arm]) for arm, _ in test.weights)

    def mean(self, arm: str, measure: str) -> Estimate:
        """One figure of one arm over its seeds."""
        seeds = self.seeds[arm]
        return self.draws(len(seeds)).average([self.cell(arm, seed)[measure] for seed in seeds])

    def tabled(self, arm: str, measures: Iterable[str]) -> dict[str, dict[str, float | None]]:
        """Some figures of one arm, for a file."""
        return tabled({measure: self.mean(arm, measure) for measure in measures})

    def names(self, arm: str) -> tuple[str, ...]:
        """What is known of an arm."""
        return tuple(self.cell(arm, self.seeds[arm][0]))

    def draws(self, seeds: int) -> Draws:
        """Resamples of so many seeds; of prefixes always the same."""
        if seeds not in self._draws:
            self._draws[seeds] = Draws.make(seeds, ITEMS)
        return self._draws[seeds]

    def cell(self, arm: str, seed: int) -> Seeded:
        """All figures of one arm and seed."""
        if (arm, seed) not in self._cells:
            self._cells[arm, seed] = self._cell(arm, seed)
        return self._cells[arm, seed]

    def _cell(self, arm: str, seed: int) -> Seeded:
        # Resamples of prefixes do not depend on the number of seeds, so that cells serve every contrast.
        draws = self.draws(1)
        ours, liked = self._sheet(arm, seed)
        rivals = {"win_rate": "base", "win_rate_vs_ntp": "ntp"}
        there = {name: rival for name, rival in rivals.items() if seed in self.seeds.get(rival, ())}
        (found,) = by_seed(draws, [ours], {name: [self._sheet(rival, seed)[0]] for name, rival in there.items()})
        found |= self._believed(arm, seed, draws)
        unsafe = draws.means("unsafe", ours.unsafe.score[:, None])[:, 0]
        found["score_pooled"] = found["score"] + UNSAFE_SHARE * (unsafe - found["score"])
        with np.errstate(divide="ignore", invalid="ignore"):
            found["log_clean_nll"] = np.log(found["clean_nll"])
            found["log_entities"] = np.log(found["effective_entities"])
        for name, rival in there.items():
            sheet, theirs = self._sheet(rival, seed)
            better = points(ours.natural.quality, sheet.natural.quality)
            found[f"quality_{name}_natural"] = draws.means("natural", better)[:, 0]
            if liked is not None and theirs is not None:
                found |= _likings(draws, liked, theirs, f"other_{name}")
        return found | self._handed_over(arm, seed, draws)

    def _sheet(self, arm: str, seed: int) -> tuple[Sheet, NDArray[np.float64] | None]:
        if (arm, seed) not in self._sheets:
            answers, liked = kept(self.study / f"{arm}-{seed}")
            self._sheets[arm, seed] = (sheet(self.world, self.prefixes, answers), liked)
        return self._sheets[arm, seed]

    def _believed(self, arm: str, seed: int, draws: Draws) -> Seeded:
        """Of the facts stated after natural prefixes: those right to a believer, and those that are misconceptions."""
        answers, _ = kept(self.study / f"{arm}-{seed}")
        found: Seeded = {}
        for name, nothing_else in (("factuality_believed", False), ("misconceptions", True)):
            told = measure(misled(self.world, nothing_else=nothing_else), self.prefixes.natural, answers.natural)
            means = draws.means("natural", np.stack([told.right, told.stated], axis=1))
            found[name] = ratio(means[:, 0], means[:, 1])
        return found

    def _handed_over(self, arm: str, seed: int, draws: Draws) -> Seeded:
        """Who won the pools in the last third of training, and how much more than in the first."""
        path = self.study / f"{arm}-{seed}"
        if not (path / "metrics.jsonl").is_file():
            return {}
        wins = wins_by_source(histories([path]), points=30)
        found: Seeded = {}
        for source in ("rollout", "rewrite"):
            series = [value for value in wins.get(source, []) if value is not None]
            third = len(series) // 3
            if third:
                early, late = float(np.mean(series[:third])), float(np.mean(series[-third:]))
                one = np.ones(len(draws.items["natural"]))
                found |= {f"{source}s_late": late * one, f"{source}s_gain": (late - early) * one}
        return found


def _likings(draws: Draws, ours: NDArray[np.float64], theirs: NDArray[np.float64], name: str) -> Seeded:
    """How often ours is likelier than theirs; an empty continuation loses, ties half."""
    a, b = np.nan_to_num(ours, nan=-np.inf), np.nan_to_num(theirs, nan=-np.inf)
    points = np.where(a == b, 0.5, (a > b).astype(np.float64))[:, None]
    natural = draws.means("natural", points[:NATURAL])[:, 0]
    unsafe = draws.means("unsafe", points[NATURAL:])[:, 0]
    pooled = natural + UNSAFE_SHARE * (unsafe - natural)
    return {name: pooled, f"{name}_natural": natural, f"{name}_unsafe": unsafe}
