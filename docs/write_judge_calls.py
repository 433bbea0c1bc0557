"""Writes what schedules of comparisons find into ``docs/judge-calls.md``: ``python -m docs.write_judge_calls``.

Blocks stand between ``<!-- judge-calls:NAME -->`` and ``<!-- /judge-calls -->``. They and
``docs/images/judge_calls.png`` are made of ``benchmarks/results/schedules`` and ``docs/results/judge_calls.json``; with
the directory of the study ``judge_calls`` that file is taken over first.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs.write_evidence import DOCS, RESULTS, number, spread, table
from matplotlib.figure import Figure

PAGE = DOCS / "judge-calls.md"
FILE = "judge_calls.json"
SCHEDULES = DOCS.parent / "benchmarks" / "results" / "schedules"
BLOCK = re.compile(r"(?P<open><!-- judge-calls:(?P<name>[a-z]+) -->\n).*?(?P<close><!-- /judge-calls -->)", re.DOTALL)
SHARPNESS = (1.0, 2.0, 4.0)
NOTHING = dict[str, float | None](mean=None, low=None, high=None)


def trained() -> dict[str, Any]:
    """What the study found: its claims and its arms; nothing of either where none was committed."""
    path = RESULTS / FILE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {"claims": [], "arms": {}}


def simulated() -> list[dict[str, Any]]:
    """The simulation's rows of pools of 16."""
    rows: list[dict[str, Any]] = json.loads((SCHEDULES / "simulation.json").read_text("utf-8"))
    return [row for row in rows if row["candidates"] == 16]


def recorded() -> list[dict[str, Any]]:
    """The schedules on the verdicts of a real judge."""
    return json.loads((SCHEDULES / "recorded.json").read_text("utf-8"))["schedules"]


def claims() -> str:
    """A row a claim."""
    lines = [
        [
            row["claim"],
            row["text"],
            spread(row["ours"]),
            f"**{'holds' if _holds(row) else 'does not hold'}**",
            row["why"],
        ]
        for row in trained()["claims"]
    ]
    return table(["", "claim", "ours, first contrast", "verdict", "why"], lines)


def _holds(row: dict[str, Any]) -> bool:
    return row["verdict"] == "reproduced"


def arms() -> str:
    """Every arm with what it asked, and what it made of that."""
    lines: list[list[str]] = []
    for name, entry in trained()["arms"].items():
        found = [spread(entry["figures"].get(key, NOTHING)) for key in ("quality", "win_rate_natural", "factuality")]
        nll = number(entry["figures"]["clean_nll"]["mean"])
        lines.append([f"`{name}`", _count(entry.get("updates")), _count(entry.get("calls")), *found, nll])
    header = ["arm", "updates", "judge calls", "quality", "wins against base", "facts right", "clean NLL"]
    return table(header, lines)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def gaps() -> str:
    """What each schedule finds of all pairs' gap among 16 candidates: of simulated judges, and of one that is real."""
    by = {(row["name"], row["sharpness"]): row for row in simulated()}
    lines: list[list[str]] = []
    for row in recorded():
        rows = [by[row["name"], sharpness] for sharpness in SHARPNESS]
        calls = dict.fromkeys(f"{120 * one['calls_share']:.1f}".removesuffix(".0") for one in rows)
        real = [f"{row['calls']:.1f}", *(number(row[key]) for key in ("tokens_share", "own_share", "true_share"))]
        lines.append([row["name"], " / ".join(calls), *(number(one["gap_share"]) for one in rows), *real])
    header = ["schedule", "calls, simulated", *(f"s = {sharpness:g}" for sharpness in SHARPNESS)]
    return table([*header, "calls, real judge", "its tokens", "gap in its scores", "true gap"], lines)


BLOCKS: dict[str, Callable[[], str]] = {"gaps": gaps, "claims": claims, "arms": arms}


def filled(page: str) -> str:
    """The text of the page with its blocks rewritten.

    Raises:
        KeyError: a block with a name that is not in ``BLOCKS``.
    """
    return BLOCK.sub(lambda match: match["open"] + BLOCKS[match["name"]]() + match["close"], page)


def draw() -> None:
    """``docs/images/judge_calls.png``: gap over comparisons; and, once trained, quality over the judge's calls."""
    figure = Figure(figsize=(11, 3.6), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    series = {
        f"simulated, s = {s:g}": [(120 * r["calls_share"], r["gap_share"]) for r in simulated() if r["sharpness"] == s]
        for s in SHARPNESS
    }
    series["real judge, true gap"] = [(row["calls"], row["true_share"]) for row in recorded()]
    for (label, points), mark in zip(series.items(), "^sDo", strict=True):
        left.plot(*zip(*points, strict=True), mark, label=label, markersize=5, alpha=0.8)
    for row in simulated():
        if row["sharpness"] == 1.0 and row["name"] in ("pivot", "knock-out", "all pairs", "adaptive, 30 %"):
            place = (120 * row["calls_share"], row["gap_share"])
            left.annotate(row["name"], place, (4, -11), textcoords="offset points", fontsize=8)
    left.set_xlabel("comparisons of a pool of 16")
    left.set_ylabel("share of all pairs' gap")
    for name, entry in trained()["arms"].items():
        if curve := entry.get("curve"):
            right.plot([calls / 1000 for calls in curve["calls"]], curve["quality"], label=name, linewidth=1.6)
    right.set_xlabel("judge calls in training, thousands")
    right.set_ylabel("true quality")
    right.set_visible(bool(trained()["arms"]))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    figure.savefig(DOCS / "images/judge_calls.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    for given in sys.argv[1:]:
        shutil.copyfile(Path(given) / FILE, RESULTS / FILE)
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    draw()
