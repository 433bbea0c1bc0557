"""What remains of the oracles' gain when both teachers are learned: figures for ``docs/results/learned.json``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tutelage.record import write_atomically
from tutelage.report.answers import Prefixes, Sheet, answers, sheet
from tutelage.report.estimates import Draws, Estimate, plain, ratio
from tutelage.report.measures import by_seed
from tutelage.report.teachers_scored import read_scores
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
    """The control first, then oracles, then learned teachers."""

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
        """Accuracies before and after GRPO: the mean over seeds, each seed's share with its interval."""
        scores = [read_scores(study / f"judge_scores-{seed}") for seed in self.seeds]
        names = list(scores[0]["after"])
        return {
            stage: {f"{name}_accuracy": _over_seeds([one[stage][name]["accuracy"] for one in scores]) for name in names}
            for stage in ("before", "after")
        }

    def _rewriter(self, study: Path) -> dict[str, Any]:
        scores = [read_scores(study / f"rewriter_scores-{seed}") for seed in self.seeds]
        names = ("copied", "copy_overlap", "unsafe_made_safe", "unsafe_overlap")
        return {
            stage: {name: _over_seeds([one[stage][name] for one in scores]) for name in names}
            for stage in ("before", "after")
        }

    def _pipeline(self, study: Path) -> dict[str, Any]:
        prefixes = Prefixes.of(self.world, NATURAL, UNSAFE, CLEAN)
        draws = Draws.make(len(self.seeds), {"natural": NATURAL, "unsafe": UNSAFE, "clean": CLEAN})
        sheets = {arm: [self._sheet(study, arm, seed, prefixes) for seed in self.seeds] for arm in self.arms}
        each = {arm: by_seed(draws, own, {}) for arm, own in sheets.items()}
        mean_of = {
            arm: {name: draws.average([one[name] for one in own]) for name in FIGURES} for arm, own in each.items()
        }
        table = {arm: {name: plain(value) for name, value in own.items()} for arm, own in mean_of.items()}
        return {"pipeline": table, "kept": self._kept(mean_of)}

    def _kept(self, means: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
        """The learned arm's gain over the control as a share of the oracles'."""
        control, oracle, learned = (means[arm] for arm in self.arms)
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


def _over_seeds(intervals: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The mean of the seeds' figures, and of their bounds: an interval as wide as one seed's; and the figures."""
    return {
        "mean": mean(one["mean"] for one in intervals),
        "low": mean(one["low"] for one in intervals),
        "high": mean(one["high"] for one in intervals),
        "by_seed": [one["mean"] for one in intervals],
    }
