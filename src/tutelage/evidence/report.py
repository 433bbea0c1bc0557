"""The verdicts: every claim's contrasts, and the figures and costs of every arm."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tutelage.evidence.arms import Arm, Book, all_arms
from tutelage.evidence.claims import Claim, Contrast
from tutelage.evidence.controls import CLAIMS
from tutelage.evidence.figures import Figures
from tutelage.evidence.settings import Setting
from tutelage.evidence.spent import cost
from tutelage.maths.statistics import Interval
from tutelage.record import write_atomically
from tutelage.report.estimates import interval, plain
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
        rows = [row(claim, figures) for claim in CLAIMS if claim.id in self.claims]
        write_atomically(study / "pretraining.json", _json(rows))
        arms = all_arms(Book(self.setting))
        found = {name: self._arm(name, arms.get(name), figures, study) for name in self.seeds}
        write_atomically(study / "arms.json", _json(found))
        return True

    def _arm(self, name: str, arm: Arm | None, figures: Figures, study: Path) -> dict[str, Any]:
        found: dict[str, Any] = {
            "seeds": list(self.seeds[name]),
            "figures": {what: plain(figures.mean(name, what)) for what in figures.names(name)},
        }
        if arm is not None:
            runs = histories([study / f"{name}-{seed}" for seed in self.seeds[name]])
            found["cost"] = asdict(cost(self.setting, runs, arm))
            if arm.watched_every:
                found["curves"] = curves(runs, WATCHED, points=45)
        return found


def row(claim: Claim, figures: Figures, command: str = COMMAND) -> dict[str, Any]:
    """A claim with its verdict; ``ours`` is the first test's contrast, ``command`` makes its runs again."""
    tests = [_tested(test, figures) for test in claim.tests]
    failed = [test for test in tests if test["required"] and not test["holds"]]
    first = tests[0]
    return {
        "claim": claim.id,
        "text": claim.text,
        "theirs": claim.theirs,
        "ours": {**{name: first[name] for name in ("mean", "low", "high")}, "seeds": figures.count(claim.tests[0])},
        "verdict": "not reproduced" if failed else "reproduced",
        "why": "; ".join(_said(test) for test in failed) or "every required contrast lies where it must",
        "command": command.format(id=claim.id),
        "tests": tests,
    }


def _tested(test: Contrast, figures: Figures) -> dict[str, Any]:
    found = interval(figures.contrast(test))
    return {
        "text": test.text,
        "measure": test.measure,
        "mean": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "expect": test.expect,
        "bound": test.bound,
        "required": test.required,
        "holds": found is not None and holds(test, found),
    }


def holds(test: Contrast, found: Interval) -> bool:
    """Whether the interval lies where the test wants it."""
    match test.expect:
        case "above":
            return found.low > test.bound
        case "below":
            return found.high < test.bound
        case "not_above":
            return found.low <= test.bound


def _said(test: Mapping[str, Any]) -> str:
    if test["mean"] is None:
        return f"{test['text']} is not defined"
    fault = "above" if test["expect"] == "not_above" else f"not {test['expect']}"
    bound = f"{test['bound']:.3g}"
    return f"{test['text']} is {test['mean']:.3f} [{test['low']:.3f}, {test['high']:.3f}], {fault} {bound}"


def _json(found: Any) -> bytes:
    return (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
