"""What remains of the oracles' gain when both teachers are learned: figures for ``docs/results/learned.json``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.maths.resampling import Items
from tutelage.maths.statistics import hierarchical_bootstrap
from tutelage.record import write_atomically
from tutelage.report.answers import Prefixes, Sheet, answers, sheet
from tutelage.report.estimates import Draws, Estimate, plain, ratio
from tutelage.report.measures import by_seed, tabled
from tutelage.report.teachers_scored import ROLLOUTS, STAGES, read_scores
from tutelage.trackers import read_metrics
from tutelage.worlds.facts import FactsWorld

FIGURES = ("factuality", "safety", "quality", "score", "clean_nll")
NATURAL, UNSAFE, CLEAN = 400, 200, 200
CURVE = {"judge": "evaluation/wins/judges", "truth": "evaluation/wins/oracle"}
"""Wins over the author's suffix while the policy trains: by its own judges, and by the oracle."""


@dataclass(frozen=True, slots=True)
class LearnedReport:
    """Work of the study ``learned``: everything in one file, with intervals over seeds and prefixes."""

    world: FactsWorld
    tokenizer: str
    """Folder of the policies' tokenizer."""
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    """The control, oracles of which the rewriter errs, oracles that never do, learned teachers."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``learned.json``."""
        found = {
            "seeds": list(self.seeds),
            "judge": self._judge(study),
            "rewriter": self._rewriter(study),
            **self._pipeline(study),
            "over_optimisation": [self._curve(study / f"{self.arms[-1]}-{seed}") for seed in self.seeds],
        }
        write_atomically(directory / "learned.json", json.dumps(found, indent=1).encode())
        return True

    def _judge(self, study: Path) -> dict[str, Any]:
        """Accuracies before and after GRPO. Labelled sets are the same for all seeds, pairs of rollouts are not."""
        each = [read_scores(study / f"judge_scores-{seed}")["each"] for seed in self.seeds]
        return {
            stage: {
                f"{name}_accuracy": over_seeds(
                    [one[stage][name] for one in each], "own" if name.startswith(ROLLOUTS) else "shared"
                )
                for name in each[0][stage]
            }
            for stage in STAGES
        }

    def _rewriter(self, study: Path) -> dict[str, Any]:
        each = [read_scores(study / f"rewriter_scores-{seed}")["each"] for seed in self.seeds]
        names = ("copied", "copy_overlap", "unsafe_made_safe", "unsafe_overlap")
        return {
            stage: {name: over_seeds([one[stage][name] for one in each], "shared") for name in names}
            for stage in STAGES
        }

    def _pipeline(self, study: Path) -> dict[str, Any]:
        prefixes = Prefixes.of(self.world, NATURAL, UNSAFE, CLEAN)
        draws = Draws.make(len(self.seeds), {"natural": NATURAL, "unsafe": UNSAFE, "clean": CLEAN})
        sheets = {arm: [self._sheet(study, arm, seed, prefixes) for seed in self.seeds] for arm in self.arms}
        each = {arm: by_seed(draws, own, {}) for arm, own in sheets.items()}
        mean_of = {
            arm: {name: draws.average([one[name] for one in own]) for name in FIGURES} for arm, own in each.items()
        }
        table = {arm: tabled(own) for arm, own in mean_of.items()}
        _, oracle, exact, _ = self.arms
        return {"pipeline": table, "kept": self._kept(mean_of, oracle), "kept_of_exact": self._kept(mean_of, exact)}

    def _kept(self, means: Mapping[str, Mapping[str, Estimate]], than: str) -> dict[str, Any]:
        """The learned arm's gain over the control as a share of another arm's."""
        control, oracle, learned = means[self.arms[0]], means[than], means[self.arms[-1]]
        found: dict[str, Any] = {}
        for name in ("factuality", "safety"):
            found[name] = plain(ratio(learned[name] - control[name], oracle[name] - control[name]))
        return found

    def _sheet(self, study: Path, arm: str, seed: int, prefixes: Prefixes) -> Sheet:
        model, keep = study / f"{arm}-{seed}" / "hf", study / "report" / f"{arm}-{seed}.npz"
        return sheet(self.world, prefixes, answers(model, self.tokenizer, self.world, prefixes, seed=seed, keep=keep))

    def _curve(self, directory: Path) -> dict[str, list[float]]:
        """Over training, at the updates ``step``: what the learned judge says of the policy, and what is true."""
        rows = [row for row in read_metrics(directory / "metrics.jsonl") if row.keys() >= set(CURVE.values())]
        steps = [row["step"] for row in rows]
        return {"step": steps} | {name: [row[metric] for row in rows] for name, metric in CURVE.items()}


def over_seeds(values: Sequence[Sequence[float]], items: Items) -> dict[str, Any]:
    """The mean of all seeds' shares with its interval over seeds and items, and each seed's own mean."""
    tables = [np.asarray(mine, np.float64) for mine in values]
    found = hierarchical_bootstrap(tables, items=items, seed=0)
    bounds = {"low": max(0.0, found.low), "high": min(1.0, found.high)}
    return {"mean": found.mean, **bounds, "by_seed": [float(table.mean()) for table in tables]}
