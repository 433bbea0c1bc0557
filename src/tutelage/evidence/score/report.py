"""What came of it: ``summary.json`` with table and page of the demo; rows of claims and all trials of the evidence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.evidence.score.choosing import CHOSEN_BY, choose, validated
from tutelage.evidence.score.claims import CLAIMS, NAIVE, SCORE, kl
from tutelage.evidence.score.figures import ScoreFigures
from tutelage.evidence.score.settings import BUDGETS, KLS
from tutelage.evidence.verdicts import row
from tutelage.record import write_atomically
from tutelage.report.estimates import interval, plain
from tutelage.report.history import History, curves, histories, spending
from tutelage.report.score_page import score_table, write_score_page

COMMAND = "tutelage train score_evidence --only {id} --directory runs/score-evidence"
COLUMNS = ("t1", "t2", "delta", "i_to_c", "c_to_i", "change_rate")
WATCHED = (
    *("accuracy/turn1", "accuracy/turn2", "correction/delta", "correction/change_rate", "kl/turn1", "kl/turn2"),
    *(f"evaluation/{name}/correction/i_to_c" for name in ("own", "fixed")),
    *(f"evaluation/{name}/accuracy/turn1" for name in ("own", "fixed")),
)
"""Kept over training; of the own and the fixed attempts only what is evaluated has any."""
DRAWN = ("episodes", "attempts")
"""What is sampled to learn from: an episode of single-turn RL is one attempt, that of others are two."""
MOST_BASE_DELTA, LEAST_DELTA = 3.0, 8.0
"""In points, at temperature 1: what must hold of the base and of SCoRe."""


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """Reads the exams of ``ARM-SEED``; writes ``summary.json``, ``bars.json``, ``table.md`` and ``report.html``."""

    seeds: tuple[int, ...]
    shown: Mapping[str, str]
    """The trial behind every name of an arm, in the order of the table."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Count and write."""
        figures = ScoreFigures(study, self.seeds, self.shown)
        summary, held = summarise(figures, tuple(self.shown)), bars(figures)
        spent = {name: spent_by(figures, name) for name in self.shown}
        write_atomically(study / "summary.json", _json(summary))
        write_atomically(study / "bars.json", _json(held))
        write_atomically(study / "table.md", score_table(summary, held).encode())
        write_score_page(study / "report.html", summary, held, spent)
        return True


@dataclass(frozen=True, slots=True)
class ScoreEvidenceReport:
    """Chooses every arm's trial on the validation split; writes ``score.json``, the rows, and ``score_arms.json``."""

    seeds: tuple[int, ...]
    trials: Mapping[str, tuple[str, ...]]
    """The trials of every arm; an arm that is not trained has itself."""
    claims: tuple[str, ...]
    tuned: tuple[int, ...]
    """Seeds that all trials are trained on, and are chosen by."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Choose, count, judge, write."""
        tried = ScoreFigures(study, self.tuned)
        chosen = choose(self.trials, lambda name: validated(tried, name))
        figures = ScoreFigures(study, self.seeds, chosen)
        rows = [row(claim, figures, COMMAND) for claim in CLAIMS if claim.id in self.claims]
        write_atomically(study / "score.json", _json(rows))
        write_atomically(study / "score_arms.json", _json(self._arms(figures, tried)))
        if SCORE in chosen and NAIVE in chosen:
            summary, held = summarise(figures, tuple(self.trials)), bars(self._alike(figures))
            write_atomically(study / "summary.json", _json(summary))
            write_atomically(study / "table.md", score_table(summary, held).encode())
            spent = {name: spent_by(figures, name) for name in chosen}
            write_score_page(study / "report.html", summary, held, spent)
        return True

    def _alike(self, figures: ScoreFigures) -> ScoreFigures:
        """SCoRe and naive RL at the lightest leash, on the seeds that have both: all, where a claim names them."""
        alike = {arm: kl(arm, KLS[0]) for arm in (SCORE, NAIVE)}
        whole = all(figures.is_examined(trial, seed) for trial in alike.values() for seed in self.seeds)
        return ScoreFigures(figures.study, self.seeds if whole else self.tuned, alike)

    def _arms(self, figures: ScoreFigures, tried: ScoreFigures) -> dict[str, Any]:
        """Every trial on the seeds that have it: the chosen ones on all, the others where they were tried."""
        chosen = figures.aliases
        found: dict[str, Any] = {}
        for arm, trials in self.trials.items():
            for name in trials:
                whole = name == chosen[arm] or all(figures.is_examined(name, seed) for seed in self.seeds)
                found[name] = _trial(figures if whole else tried, arm if name == chosen[arm] else name)
        rule = f"highest {CHOSEN_BY} on validation problems, mean over the seeds {', '.join(map(str, self.tuned))}"
        return {"seeds": list(self.seeds), "chosen_by": rule, "chosen": dict(chosen), "arms": found}


def _trial(figures: ScoreFigures, name: str) -> dict[str, Any]:
    return {
        "seeds": list(figures.seeds),
        "figures": {what: plain(figures.mean(name, what)) for what in figures.cell(name, figures.seeds[0])},
        "by_seed": {what: figures.by_seed(name, what) for what in ("t1", "t2", "delta")},
        "cost": spent_by(figures, name),
        "curves": curves(found, WATCHED, points=30) if (found := _runs(figures, name)) else {},
    }


def summarise(figures: ScoreFigures, names: Sequence[str]) -> dict[str, Any]:
    """Points 0 to 100 with 95 % intervals over seeds and problems; votes of SCoRe."""
    return {
        "seeds": list(figures.seeds),
        "arms": {name: {what: plain(figures.mean(name, what)) for what in COLUMNS} for name in names},
        "arms_greedy": {
            name: {what: plain(figures.mean(name, f"{what}_greedy")) for what in COLUMNS}
            for name in names
            if figures.has(name, "t1_greedy")
        },
        "scaling": {
            "budget": list(BUDGETS),
            **{
                way: [float(figures.mean(SCORE, f"{way}_{budget}")[0]) for budget in BUDGETS]
                for way in ("parallel", "sequential")
            },
        },
    }


def bars(figures: ScoreFigures) -> list[dict[str, Any]]:
    """What must hold, set before the runs; of SCoRe and naive RL with a leash of .01."""
    base, delta, gain = (
        figures.mean(*which) for which in (("base", "delta"), (SCORE, "delta"), (SCORE, "sequential_gain"))
    )
    ours, theirs = (interval(figures.mean(arm, "t2")) for arm in (SCORE, NAIVE))
    apart = ours is not None and theirs is not None and ours.low > theirs.high
    told = (
        (f"the base's |Δ| is at most {MOST_BASE_DELTA:g}", plain(base), abs(float(base[0])) <= MOST_BASE_DELTA),
        (f"SCoRe's Δ is at least {LEAST_DELTA:g}", plain(delta), float(delta[0]) >= LEAST_DELTA),
        (
            "SCoRe's t2 is above naive multi-turn RL's, intervals apart",
            plain(figures.mean(SCORE, "t2") - figures.mean(NAIVE, "t2")),
            apart,
        ),
        ("sequential beats parallel sampling for SCoRe, mean over votes of four and more", plain(gain), gain[0] > 0),
    )
    return [{"text": text, "found": found, "passed": bool(passed)} for text, found, passed in told]


def spent_by(figures: ScoreFigures, arm: str) -> dict[str, Any] | None:
    """What the runs of an arm took, and how much they sampled, means over seeds; nothing where it trained nothing."""
    runs = _runs(figures, arm)
    if not runs:
        return None
    sampled = {what: sum(row.get(f"{what}/sampled", 0.0) for run in runs for row in run) / len(runs) for what in DRAWN}
    return spending(runs).plain() | sampled


def _runs(figures: ScoreFigures, arm: str) -> list[History]:
    """The metrics of an arm's runs; none where it trained nothing."""
    directories = [figures.study / figures.job(arm, seed) for seed in figures.seeds]
    trained = all((directory / "metrics.jsonl").is_file() for directory in directories)
    return histories(directories) if trained else []


def _json(found: Any) -> bytes:
    return (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
