"""The page of a single run: what it was told, how it went, and some of its pools."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import rng
from tutelage.config import load_yaml
from tutelage.report import run_charts
from tutelage.report.history import histories, spending
from tutelage.report.page import write
from tutelage.report.teachers import teachings
from tutelage.samples import TornSamples, read_samples, read_table
from tutelage.study_status import last_metrics

POOLS = 3
"""Pools shown of the first and of the last step whose text was kept."""
CANDIDATES = 6
"""Most candidates shown of a pool: the chosen and the rejected one first."""


@dataclass(frozen=True, slots=True)
class Told:
    """One candidate of a pool, as it was recorded. Its text is untrusted."""

    source: str
    role: str
    total: float | None
    verdicts: str
    words: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownPool:
    """One pool of one step."""

    step: int
    document: str
    prefix: str
    candidates: tuple[Told, ...]
    left_out: int


def write_run_report(directory: Path) -> Path:
    """Write ``report.html`` into a run's directory, finished or not, and return its path.

    Raises:
        ValueError: the directory holds no run, or one without a single step.
    """
    plain: Any = _settings(directory)
    pools, torn = _pools_and_torn(directory / "samples")
    rows = histories([directory])[0]
    if not rows:
        raise ValueError(f"{directory / 'metrics.jsonl'} is empty: there is no step to report yet")
    return write(
        directory / "report.html",
        "run.html",
        name=plain.get("name") or directory.name,
        seed=plain.get("seed", 0),
        phases=[_phase(phase) for phase in plain.get("phases", [])],
        share=last_metrics(directory / "metrics.jsonl").get("run/share"),
        spent=spending([rows]),
        teachers=teachings(directory),
        last=rows[-1],
        charts=run_charts.charts(rows),
        pools=pools,
        torn=torn,
        settings=(directory / "run.yaml").read_text(encoding="utf-8"),
    )


def _settings(directory: Path) -> Any:
    path = directory / "run.yaml"
    if not path.is_file():
        raise ValueError(f"{directory} holds no run.yaml: name the directory of a run")
    return load_yaml(path)


def _phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    """Class names without their modules, for a line of text."""
    return {
        "objective": _short(phase.get("objective", {})),
        "sources": [_short(source) for source in phase.get("sources") or []],
        "judges": [_short(judge) for judge in phase.get("judges") or []],
        "documents": phase.get("documents_per_step"),
    }


def _short(plain: Any) -> str:
    return str(plain.get("class", "?")).rpartition(".")[2] if isinstance(plain, dict) else str(plain)


def _pools_and_torn(folder: Path) -> tuple[list[ShownPool], list[str]]:
    """The pools to show, and the names of the files that were met and could not be read."""
    torn: set[Path] = set()
    while True:
        try:
            return shown_pools(folder, torn), sorted(path.name for path in torn)
        except TornSamples as error:
            torn.add(error.path)


def shown_pools(folder: Path, without: Collection[Path] = ()) -> list[ShownPool]:
    """Pools drawn by key from the first and the last step whose text was kept; none where there is no text."""
    found: list[ShownPool] = []
    files = [path for path in sorted(folder.glob("step-*.parquet")) if path not in without]
    for step in _steps_with_text(files):
        pools: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for row in read_samples(folder, step, without):
            pools.setdefault((row["corpus"], row["document"], row["epoch"], row["cut"]), []).append(row)
        told = {key: rows for key, rows in pools.items() if len(rows) > 1 and rows[0]["prefix"] is not None}
        drawn = sorted(told, key=lambda key: rng.seed("report", step, *map(str, key)))[:POOLS]
        found += [_shown(step, told[key]) for key in drawn]
    return found


def _steps_with_text(files: Sequence[Path]) -> list[int]:
    """The first and the last step of which text was kept."""
    steps: list[int] = []
    for order in (files, files[::-1]):
        for path in order:
            table = read_table(path, columns=["step", "prefix"])
            kept: Any = table.filter(table["prefix"].is_valid())["step"]
            if len(kept):
                steps.append((min if order is files else max)(kept.to_pylist()))
                break
    return sorted(set(steps))


def _shown(step: int, rows: Sequence[Mapping[str, Any]]) -> ShownPool:
    order = {"chosen": 0, "rejected": 1}
    ranked = sorted(rows, key=lambda row: (order.get(row["role"], 2), row["candidate"]))
    told = tuple(
        Told(row["source"], row["role"], row["total"], _verdicts(row["verdicts"]), row["words"], row["text"] or "")
        for row in ranked[:CANDIDATES]
    )
    return ShownPool(step, rows[0]["document"], rows[0]["prefix"], told, len(rows) - len(told))


def _verdicts(written: str) -> str:
    """``{"safety": 1.0}`` → ``safety 1.00``; an abstention with its reason."""
    spoken: dict[str, Any] = json.loads(written)
    return " · ".join(
        f"{axis} {value:.2f}" if isinstance(value, int | float) else f"{axis}: abstained ({value.get('abstained')})"
        for axis, value in spoken.items()
    )
