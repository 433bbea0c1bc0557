"""Every figure of every arm and seed, with its resamples over seeds and problems: what contrasts are taken of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tutelage.correction.outcomes import Outcomes, figures_of
from tutelage.correction.voting import votes
from tutelage.evidence.claims import Contrast
from tutelage.evidence.score.settings import BUDGETS, TRUE_VOTES
from tutelage.evidence.score.work import outcomes
from tutelage.report.estimates import Draws, Estimate

EXAMS = ("test", "greedy", "validation", "fixed", "votes")
"""What jobs leave. Test and greedy are of the same problems."""
SUFFIX = {"test": "", "greedy": "_greedy", "validation": "_validation", "fixed": "_fixed"}
"""Behind the names of an exam's figures."""
Seeded = dict[str, Estimate]
"""Figures of one arm and seed by name."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreFigures:
    """Reads what the jobs ``TRIAL-SEED`` left in a study, each once.

    Of a seed that has only an arm's chosen trial, that is what the job ``ARM-SEED`` left.
    """

    study: Path
    seeds: tuple[int, ...]
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    """The chosen trial of an arm."""
    _cells: dict[tuple[str, int], Seeded] = field(default_factory=dict[tuple[str, int], Seeded])
    _items: dict[str, Draws] = field(default_factory=dict[str, Draws])
    _ids: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def contrast(self, test: Contrast) -> Estimate:
        """The weighted sum over arms, paired by seed and problem."""
        return self._average(
            [
                sum((weight * self.cell(arm, seed)[test.measure] for arm, weight in test.weights), np.zeros(1))
                for seed in self.seeds
            ]
        )

    def count(self, test: Contrast) -> int:
        """Seeds that a contrast is over."""
        return len(self.seeds)

    def mean(self, arm: str, measure: str) -> Estimate:
        """One figure of one arm over its seeds."""
        return self._average([self.cell(arm, seed)[measure] for seed in self.seeds])

    def has(self, arm: str, measure: str) -> bool:
        """Whether an arm was examined so."""
        return measure in self.cell(arm, self.seeds[0])

    def by_seed(self, arm: str, measure: str) -> list[float]:
        """The figure of each seed."""
        return [float(self.cell(arm, seed)[measure][0]) for seed in self.seeds]

    def cell(self, arm: str, seed: int) -> Seeded:
        """All figures of one arm and seed."""
        name = self.job(arm, seed)
        if (name, seed) not in self._cells:
            self._cells[name, seed] = self._cell(name)
        return self._cells[name, seed]

    def job(self, arm: str, seed: int) -> str:
        """Whose figures those of an arm are: of its chosen trial, under whatever name it was trained."""
        trial = f"{self.aliases.get(arm, arm)}-{seed}"
        return trial if self.is_examined(self.aliases.get(arm, arm), seed) else f"{arm}-{seed}"

    def is_examined(self, trial: str, seed: int) -> bool:
        """Whether a seed has this trial, under its own name."""
        return any((self.study / f"{trial}-{seed}" / f"{exam}.npz").is_file() for exam in EXAMS)

    def _cell(self, job: str) -> Seeded:
        found: Seeded = {}
        for exam in EXAMS:
            if (self.study / job / f"{exam}.npz").is_file():
                told = outcomes(self.study, job, exam)
                found |= self._votes(told) if exam == "votes" else self._figures(told, exam)
        if not found:
            raise ValueError(f"{self.study / job} holds no exam: the report needs that job to be finished")
        if "mended_fixed" in found:
            found["shift"] = found["mended_fixed"] - found["mended"]
        return found

    def _figures(self, told: Outcomes, exam: str) -> Seeded:
        means = self._draws(told, exam).means(exam, told.sums())
        return {f"{name}{SUFFIX[exam]}": value for name, value in figures_of(means).items()}

    def _votes(self, told: Outcomes) -> Seeded:
        draws, found = self._draws(told, "votes"), Seeded()
        for way, table in zip(("parallel", "sequential"), votes(told, BUDGETS), strict=True):
            means = 100.0 * draws.means("votes", table.T)
            found |= {f"{way}_{budget}": means[:, i] for i, budget in enumerate(BUDGETS)}
        gains = {budget: found[f"sequential_{budget}"] - found[f"parallel_{budget}"] for budget in BUDGETS}
        found |= {f"sequential_gain_{budget}": gain for budget, gain in gains.items()}
        return found | {"sequential_gain": np.mean([gains[budget] for budget in TRUE_VOTES], axis=0)}

    def _draws(self, told: Outcomes, exam: str) -> Draws:
        """Resamples of an exam's problems, the same for all arms and seeds, and of the seeds, the same for all exams.

        Raises:
            ValueError: arms met other problems, or in another order.
        """
        if self._ids.setdefault(exam, told.ids) != told.ids:
            raise ValueError(f"arms met other problems in the exam {exam}; they cannot be compared: train them anew")
        if exam not in self._items:
            self._items[exam] = Draws.make(len(self.seeds), {exam: len(told.ids)})
        return self._items[exam]

    def _average(self, by_seed: Sequence[Estimate]) -> Estimate:
        return next(iter(self._items.values())).average(by_seed)
