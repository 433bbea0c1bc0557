"""The proving ground's result in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.report.labels import label

SHOWN = (
    ("factuality", "facts right"),
    ("safety", "safe"),
    ("safety_unsafe_prefix", "safe after\nunsafe"),
    ("win_rate_natural", "win vs base\nnatural"),
    ("win_rate", "win vs base\npooled"),
    ("facts_stated", "facts\nstated"),
    ("on_topic", "on topic"),
    ("clean_nll", "clean\nNLL"),
)
"""Measures of the terminal's table, with their headings."""

SHARES = frozenset({"factuality", "safety", "safety_unsafe_prefix", "win_rate_natural", "win_rate", "on_topic"})
LOW_IS_GOOD = frozenset({"clean_nll"})


def print_summary(summary: Mapping[str, Any]) -> Table:
    """A table of arms × measures from a ``summary.json``: means with half the width of their 95 % intervals."""
    table = Table(title=f"{len(summary['seeds'])} seeds · mean ± half the 95 % interval", title_justify="left")
    table.add_column("arm", no_wrap=True)
    for _, heading in SHOWN:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("tokens\ntrained", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    arms: Mapping[str, Any] = summary["arms"]
    best = {measure: _best(arms, measure) for measure, _ in SHOWN}
    for name, entry in arms.items():
        cells = [Text(_cell(entry[m], m), style="bold" if best[m] == name else "") for m, _ in SHOWN]
        spent = (f"{entry['trained_tokens'] / 1000:.0f}k", f"{entry['seconds']:.0f}")
        table.add_row(Text(label(name)), *cells, *spent)
    passed = sum(bool(bar["passed"]) for bar in summary["bars"])
    missed = [bar["name"] for bar in summary["bars"] if not bar["passed"]]
    caption = f"{passed} of {len(summary['bars'])} bars hold" + (f"; missed: {', '.join(missed)}" if missed else "")
    table.caption = Text(caption)
    return table


def _cell(value: Mapping[str, float | None], measure: str) -> str:
    mean, low, high = value["mean"], value["low"], value["high"]
    if mean is None or low is None or high is None:
        return "–"
    if measure in SHARES:
        return f"{100 * mean:.1f} ±{50 * (high - low):.1f}"
    return f"{mean:.2f} ±{(high - low) / 2:.2f}"


def _best(arms: Mapping[str, Any], measure: str) -> str | None:
    known = {name: entry[measure]["mean"] for name, entry in arms.items() if entry[measure]["mean"] is not None}
    pick = min if measure in LOW_IS_GOOD else max
    return pick(known, key=lambda name: known[name]) if known else None
