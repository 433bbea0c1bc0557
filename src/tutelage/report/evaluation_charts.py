"""The figures of an evaluation's page, drawn from its ``results.json`` alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import PercentFormatter

from tutelage.report.charts import Chart, colour, tidy

SHADES = ("online_dpo", "sft_rewrite", "rf_nll", "grpo", "ntp", "rollout", "rewrite")
"""Of the models besides the base, in their order; the eighth is as the first."""


def shades(models: Sequence[str], base: str | None) -> dict[str, str]:
    """A CSS variable for every model; the base has its own."""
    others = [name for name in models if name != base]
    return {name: "base" if name == base else SHADES[others.index(name) % len(SHADES)] for name in models}


def suite_chart(suite: Mapping[str, Any], models: Sequence[str], base: str | None) -> Markup:
    """A group of bars for every part and the average, a bar with its interval for every model."""
    rows: list[tuple[str, Mapping[str, Any]]] = [(part["title"], part["models"]) for part in suite["parts"].values()]
    if suite.get("average"):
        rows.append(("average", suite["average"]))
    colours, thick = shades(models, base), 0.8 / len(models)
    with Chart(11, 0.45 + len(rows) * max(0.45, 0.2 * len(models)), 1) as chart:
        axes = chart.axes[0]
        for place, (_, found) in enumerate(reversed(rows)):
            for i, name in enumerate(models):
                value = found.get(name)
                if value is None or value["mean"] is None:
                    continue
                y = place + 0.4 - thick * (i + 0.5)
                axes.barh(y, value["mean"], height=thick * 0.9, color=colour(colours[name]), alpha=0.75)
                axes.plot([value["low"], value["high"]], [y, y], color=colour("ink"), linewidth=1)
        axes.set_yticks(range(len(rows)), [title for title, _ in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(0, 1)
        axes.axvline(0.5, color=colour("muted"), linewidth=1, linestyle=(0, (3, 3)))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        tidy(axes, grid="x")
        return chart.svg(suite["title"])
