"""The verdicts: every claim's contrasts, and the figures and costs of every arm."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tutelage.evidence.arms import Arm
from tutelage.evidence.controls import CLAIMS
from tutelage.evidence.every_arm import every_arm
from tutelage.evidence.figures import Figures
from tutelage.evidence.settings import Setting
from tutelage.evidence.spent import cost
from tutelage.evidence.verdicts import row
from tutelage.record import write_atomically
from tutelage.report.history import curves, histories

COMMAND = "tutelage train evidence --only {id} --directory runs/evidence"
WATCHED = (
    "evaluation/facts_true_score",
    "evaluation/facts_true_factuality",
    "evaluation/facts_true_quality",
    "evaluation/facts_clean_nll",
    "score/factuality/rollout",
    "score/quality/rollout",
    "score/safety/rollout",
)
"""Kept over training, of arms that are watched: what is true beside what the judge says."""


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """Reads a study's runs; writes ``STUDY/pretraining.json``, the rows, and ``STUDY/arms.json``: figures and costs."""

    setting: Setting
    claims: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    """Of every arm."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Count, judge, write."""
        figures = Figures.of(self.setting.world, study, self.seeds)
        rows = [row(claim, figures, COMMAND) for claim in CLAIMS if claim.id in self.claims]
        write_atomically(study / "pretraining.json", _json(rows))
        arms = every_arm(self.setting)
        found = {name: self._arm(name, arms.get(name), figures, study) for name in self.seeds}
        write_atomically(study / "arms.json", _json(found))
        return True

    def _arm(self, name: str, arm: Arm | None, figures: Figures, study: Path) -> dict[str, Any]:
        found: dict[str, Any] = {
            "seeds": list(self.seeds[name]),
            "figures": figures.tabled(name, figures.names(name)),
        }
        if arm is not None:
            runs = histories([study / f"{name}-{seed}" for seed in self.seeds[name]])
            found["cost"] = asdict(cost(self.setting, runs, arm))
            if arm.watched_every:
                found["curves"] = curves(runs, WATCHED, points=45)
        return found


def _json(found: Any) -> bytes:
    return (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
