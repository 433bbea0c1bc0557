"""The figures of the real-text report, drawn from its ``summary.json`` alone."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from tutelage.report.charts import Chart, colour, tidy
from tutelage.report.proving_charts import stacked_shares

COLOURS = {"base": "base", "ntp": "ntp", "dpo": "online_dpo"}
WINS = (
    ("judge", "By the training judge"),
    ("less_repetition", "Repeats itself less"),
    ("likelier_documents", "Finds documents likelier"),
)
"""Kinds of win, and how they are called; the first flatters whatever was trained on it."""


def bits_chart(summary: Mapping[str, Any], labels: Mapping[str, str]) -> Markup:
    """Held-out bits a byte and repetition of every model."""
    names = list(summary["models"])
    with Chart(11, 0.42 * len(names) + 1.0, 2, sharey=True) as chart:
        for axes, (measure, title) in zip(
            chart.axes, (("bits_per_byte", "Held-out bits a byte"), ("repetition", "Repeated 4-grams")), strict=True
        ):
            axes.set_title(title)
            for place, name in enumerate(reversed(names)):
                _interval(axes, place, summary["models"][name][measure], colour(COLOURS[name]))
            axes.set_yticks(range(len(names)), [labels[name] for name in reversed(names)])
            axes.set_ylim(-0.6, len(names) - 0.3)
            axes.margins(x=0.2)
            axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))  # neither measure can be negative
            tidy(axes, grid="x")
        return chart.svg("Held-out bits a byte and repetition")


def wins_chart(summary: Mapping[str, Any]) -> Markup:
    """Win rates of each comparison, one panel a kind of win, around one half."""
    matches = list(summary["wins"])
    kinds = [(kind, title) for kind, title in WINS if kind in summary["wins"][matches[0]]]
    names: dict[str, str] = {
        "dpo_vs_base": "DPO vs base",
        "dpo_vs_ntp": "DPO vs control",
        "ntp_vs_base": "control vs base",
    }
    with Chart(11, 0.42 * len(matches) + 1.0, len(kinds), sharey=True) as chart:
        for axes, (kind, title) in zip(chart.axes, kinds, strict=True):
            axes.set_title(title)
            axes.axvline(0.5, color=colour("muted"), linewidth=1, linestyle=(0, (3, 3)))
            for place, match in enumerate(reversed(matches)):
                shade = colour("online_dpo" if match.startswith("dpo") else "ntp")
                _interval(axes, place, summary["wins"][match][kind], shade, percent=True)
            axes.set_yticks(range(len(matches)), [names[match] for match in reversed(matches)])
            axes.set_ylim(-0.6, len(matches) - 0.3)
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            tidy(axes, grid="x")
        return chart.svg("Win rates")


def _interval(axes: Axes, place: int, value: Mapping[str, Any], shade: str, *, percent: bool = False) -> None:
    if value["mean"] is None:
        return
    axes.plot([value["low"], value["high"]], [place, place], color=shade, linewidth=3, alpha=0.45, clip_on=False)
    axes.plot(value["mean"], place, "o", color=shade, markersize=6.5, clip_on=False)
    text = f"{100 * value['mean']:.1f}" if percent else f"{value['mean']:.3f}"
    axes.annotate(text, (value["mean"], place), (0, 6), textcoords="offset points", ha="center", fontsize=8)


def held_out(runs: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Updates and held-out bits a byte of every run that was evaluated; those that continue start at the base's end."""
    base = runs.get("base", {}).get("steps", 0)
    return {
        name: [(step + (0 if name == "base" else base), bits) for step, bits in run["held_out"]]
        for name, run in runs.items()
        if run["held_out"]
    }


def training_chart(summary: Mapping[str, Any]) -> Markup:
    """Held-out bits a byte over the updates of each run, and who wins the pools; empty where no run is known."""
    runs: Mapping[str, Any] = summary["runs"]
    wins = runs.get("dpo", {}).get("wins_by_source")
    if not any(run["held_out"] for run in runs.values()) and not wins:
        return Markup("")
    with Chart(11, 2.8, 2 if wins else 1) as chart:
        axes = chart.axes[0]
        axes.set_title("Held-out bits a byte over updates")
        for name, points in held_out(runs).items():
            axes.plot(*zip(*points, strict=True), "o-", color=colour(COLOURS[name]), markersize=3)
        axes.set_xlabel("updates, those of the base counted in" if "base" in runs else "updates")
        tidy(axes)
        if wins:
            chart.axes[1].set_title("Online DPO: share of pools won (blue: rollouts)")
            stacked_shares(chart.axes[1], wins)
        return chart.svg("Training")
