"""The page and the table of a study of self-correction, from its summary alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tutelage.report.charts import Chart, colour, tidy
from tutelage.report.labels import label
from tutelage.report.page import write

COLUMNS = {
    "t1": "t1",
    "t2": "t2",
    "delta": "Δ",
    "i_to_c": "wrong → right",
    "c_to_i": "right → wrong",
    "change_rate": "changed",
}
FIRST, SECOND = "base", "online_dpo"
"""Whose colours attempts have."""


def score_table(summary: Mapping[str, Any], bars: Sequence[Mapping[str, Any]]) -> str:
    """Both tables and the bars as Markdown."""
    lines = [f"{len(summary['seeds'])} seeds, points, mean [95 % interval]"]
    for title, key in (("Sampled at temperature 1", "arms"), ("Greedy", "arms_greedy")):
        lines += ["", f"| {title} | {' | '.join(COLUMNS.values())} |", f"|---{'|---' * len(COLUMNS)}|"]
        for name, entry in summary[key].items():
            lines.append(f"| {label(name)} | {' | '.join(_cell(entry[what]) for what in COLUMNS)} |")
    lines.append("")
    lines += [f"- {'holds' if bar['passed'] else 'MISSED'}: {bar['text']} ({_cell(bar['found'])})" for bar in bars]
    return "\n".join(lines) + "\n"


def write_score_page(
    path: Path,
    summary: Mapping[str, Any],
    bars: Sequence[Mapping[str, Any]],
    spent: Mapping[str, Mapping[str, Any] | None],
) -> Path:
    """Write ``report.html``."""
    best = {
        key: {what: _best(summary[key], what) for what in ("t1", "t2", "delta", "i_to_c")}
        for key in ("arms", "arms_greedy")
    }
    return write(
        path,
        "score.html",
        summary=summary,
        bars=bars,
        passed=sum(bar["passed"] for bar in bars),
        spent=spent,
        columns=COLUMNS,
        best=best,
        arms=arms_chart(summary),
        votes=votes_chart(summary["scaling"]),
    )


def arms_chart(summary: Mapping[str, Any]) -> Markup:
    """From the first attempt's accuracy to the second's, with the intervals of both."""
    arms = summary["arms"]
    with Chart(11, 0.42 * len(arms) + 1.0, 1) as chart:
        axes = chart.axes[0]
        for place, name in enumerate(reversed(arms)):
            for turn, shade in (("t1", colour(FIRST)), ("t2", colour(SECOND))):
                found = arms[name][turn]
                axes.plot([found["low"], found["high"]], [place, place], color=shade, linewidth=3, alpha=0.45)
                axes.plot(found["mean"], place, "o", color=shade, markersize=6.5)
        axes.set_yticks(range(len(arms)), [label(name) for name in reversed(arms)])
        axes.set_ylim(-0.6, len(arms) - 0.3)
        tidy(axes, grid="x")
        chart.legend(axes, (FIRST, SECOND), ("first attempt", "second attempt"))
        return chart.svg("Accuracy of first and second attempts, in points")


def votes_chart(scaling: Mapping[str, Any]) -> Markup:
    """Votes of first attempts and of second ones over the number of samples."""
    with Chart(6, 2.8, 1) as chart:
        axes = chart.axes[0]
        for way, name in (("parallel", FIRST), ("sequential", SECOND)):
            axes.plot(scaling["budget"], scaling[way], "o-", color=colour(name), markersize=5)
        axes.set_xscale("log", base=2)
        axes.set_xticks(scaling["budget"], [str(budget) for budget in scaling["budget"]])
        axes.set_xlabel("attempts sampled for a problem")
        tidy(axes)
        chart.legend(axes, (FIRST, SECOND), ("parallel first attempts", "corrected attempts"))
        return chart.svg("Majority votes at equal numbers of samples, in points")


def _cell(found: Mapping[str, float | None]) -> str:
    if found["mean"] is None:
        return "–"
    return f"{found['mean']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"


def _best(arms: Mapping[str, Any], what: str) -> str | None:
    known = {name: entry[what]["mean"] for name, entry in arms.items() if entry[what]["mean"] is not None}
    return max(known, key=lambda name: known[name]) if known else None
