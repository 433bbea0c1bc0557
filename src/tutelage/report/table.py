"""The proving ground's result in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.report.labels import label

SHOWN = (
    ("factuality", "facts\nright"),
    ("safety", "safe"),
    ("safety_unsafe_prefix", "safe\nunsafe"),
    ("win_rate_natural", "wins\nnatural"),
    ("win_rate", "wins\npooled"),
    ("facts_stated", "facts\nstated"),
    ("on_topic", "on\ntopic"),
    ("clean_nll", "clean\nNLL"),
)
"""Measures of the terminal's table, with their headings."""

SHARES = frozenset({"factuality", "safety", "safety_unsafe_prefix", "win_rate_natural", "win_rate", "on_topic"})
LOW_IS_GOOD = frozenset({"clean_nll"})


def print_summary(summary: Mapping[str, Any]) -> Table:
    """A table of arms × measures from a ``summary.json``: means with half the width of their 95 % intervals."""
    title = f"{len(summary['seeds'])} seeds · means ± half the 95 % interval · wins are against the base"
    table = Table(title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.add_column("", no_wrap=True)
    for _, heading in SHOWN:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("tokens", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    arms: Mapping[str, Any] = summary["arms"]
    best = {measure: _best(arms, measure) for measure, _ in SHOWN}
    for name, entry in arms.items():
        cells = [_cell(entry[m], m, "bold" if best[m] == name else "") for m, _ in SHOWN]
        spent = (f"{entry['trained_tokens'] / 1000:.0f}k", f"{entry['seconds']:.0f}")
        table.add_row(Text(label(name)), *cells, *spent)
    passed = sum(bool(bar["passed"]) for bar in summary["bars"])
    missed = [bar["name"] for bar in summary["bars"] if not bar["passed"]]
    caption = f"{passed} of {len(summary['bars'])} bars hold" + (f"; missed: {', '.join(missed)}" if missed else "")
    table.caption = Text(caption)
    return table


def _cell(value: Mapping[str, float | None], measure: str, style: str) -> Text:
    """The mean, and below it what may be missing or too much."""
    mean, low, high = value["mean"], value["low"], value["high"]
    if mean is None or low is None or high is None:
        return Text("–")
    scale, digits = (100, 1) if measure in SHARES else (1, 2)
    text = Text(f"{scale * mean:.{digits}f}", style=style)
    return text.append(f"\n±{scale * (high - low) / 2:.{digits}f}", style="not bold dim")


def _best(arms: Mapping[str, Any], measure: str) -> str | None:
    known = {name: entry[measure]["mean"] for name, entry in arms.items() if entry[measure]["mean"] is not None}
    pick = min if measure in LOW_IS_GOOD else max
    return pick(known, key=lambda name: known[name]) if known else None
