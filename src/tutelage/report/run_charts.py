"""The figures of a single run, drawn from its metrics alone."""

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from tutelage.report.charts import Chart, colour, drawable, tidy
from tutelage.report.history import ROLES, History, curves, metric_names, spending
from tutelage.report.labels import label
from tutelage.report.proving_charts import SOURCES, stacked_shares, thousands

PANELS = (
    ("Loss", r"loss/.*"),
    ("Judged total of a pool", r"pool/score_(mean|spread)"),
    ("Pools tied, taught, too few", r"pool/(tie|taught|too_few)"),
    ("Abstained, by axis", r"abstained/[^/]*"),
    ("Length by source (tokens)", r"length/.*"),
    ("Margin and accuracy of pairs", r"dpo/(margin|accuracy)"),
    ("Accuracy by turn", r"accuracy/.*"),
    ("What corrections gain and lose", r"correction/(delta|i_to_c|c_to_i)"),
    ("How corrections differ", r"correction/(change_rate|edit_distance)"),
    ("Cut off, by turn", r"truncated/.*"),
    ("KL to the reference by turn (nats a token)", r"kl/.*"),
    ("Entropy (nats a token)", r"policy/entropy"),
    ("KL to the reference", r"policy/kl"),
    ("Norm of the gradient", r"policy/gradient_norm"),
    ("Learning rate", r"policy/learning_rate"),
    ("Tokens that teachers read a step", r"prompt_tokens/.*"),
    ("Tokens that teachers wrote a step", r"answer_tokens/.*"),
    ("Cost of teachers a step", r"cost/.*"),
)
"""Title, and which metrics stand in the panel; panels without any are left out."""

CYCLE = ("online_dpo", "sft_rewrite", "rf_nll", "grpo", "ntp", "base")


def charts(rows: History) -> dict[str, Markup]:
    """All figures of a run by name; empty ones are empty."""
    return {
        "wins": wins_chart(rows),
        "scores": scores_chart(rows),
        "curves": _panels(rows, PANELS, "Curves over training"),
        "evaluation": _panels(rows, _evaluations(rows), "Evaluations over training"),
        "cost": _cost(rows),
    }


def wins_chart(rows: History) -> Markup:
    """Who is chosen, and who is rejected."""
    kinds = [kind for kind in ("chosen", "rejected") if metric_names([rows], f"{kind}/")]
    if not kinds:
        return Markup("")
    with Chart(11, 2.8, len(kinds), sharey=True) as chart:
        for axes, kind in zip(chart.axes, kinds, strict=True):
            names = metric_names([rows], f"{kind}/")
            found = curves([rows], names, 40)
            stacked_shares(axes, {name.removeprefix(f"{kind}/"): values for name, values in found.items()})
            axes.set_title(kind.capitalize())
        seen = {name.partition("/")[2] for kind in kinds for name in metric_names([rows], f"{kind}/")}
        names = [source for source in SOURCES if source in seen] + sorted(seen - {*SOURCES})
        chart.legend(chart.axes[0], names, [label(name) for name in names])
        return chart.svg("Share of pools by source of the chosen and of the rejected candidate")


def scores_chart(rows: History) -> Markup:
    """Each axis with a line for every source."""
    axes = sorted({name.split("/")[1] for name in metric_names([rows], "score/") if name.count("/") == 2})
    panels = tuple((f"Judge: {axis}", rf"score/{re.escape(axis)}/.*") for axis in axes)
    return _panels(rows, panels, "The judge's scores by axis and source")


def _evaluations(rows: History) -> tuple[tuple[str, str], ...]:
    names = metric_names([rows], "evaluation/")
    return tuple((name.removeprefix("evaluation/"), re.escape(name)) for name in names)


def _panels(rows: History, panels: Sequence[tuple[str, str]], title: str, columns: int = 3) -> Markup:
    every = metric_names([rows], "")
    filled = [(name, [m for m in every if re.fullmatch(pattern, m)]) for name, pattern in panels]
    filled = [(name, metrics) for name, metrics in filled if metrics]
    if not filled:
        return Markup("")
    height = -(-len(filled) // columns)
    with Chart(11, 2.45 * height + 0.2, columns, rows=height) as chart:
        chart.spread()
        for axes, (name, metrics) in zip(chart.axes, filled, strict=False):
            _lines(axes, name, curves([rows], metrics, 100), metrics)
        for axes in chart.axes[len(filled) :]:
            axes.set_visible(False)
        return chart.svg(title)


def _lines(axes: Axes, title: str, found: dict[str, Any], metrics: Sequence[str]) -> None:
    axes.set_title(title)
    for number, metric in enumerate(metrics):
        ending = metric.rpartition("/")[2]
        shade = colour(ending if ending in SOURCES else CYCLE[number % len(CYCLE)])
        mark = "o-" if sum(value is not None for value in found[metric]) < 30 else "-"
        known = [(x, y) for x, y in zip(found["tokens"], drawable(found[metric]), strict=True) if y == y]
        axes.plot(*zip(*known, strict=True), mark, color=shade, linewidth=1.5, markersize=2.5, label=_line_name(ending))
    if len(metrics) > 1:
        axes.legend(fontsize=8, handlelength=1.2, frameon=True, facecolor=colour("paper"), edgecolor="none")
    if not any(found[metric] and any(found[metric]) for metric in metrics):
        axes.set_ylim(-0.02, 1)
    thousands(axes)
    tidy(axes)


def _line_name(ending: str) -> str:
    return label(ending) if ending in SOURCES else ending.replace("_", " ")


def _cost(rows: History) -> Markup:
    """Seconds of a step by role over training."""
    spent = spending([rows])
    if not spent.seconds:
        return Markup("")
    with Chart(11, 1.1, 1) as chart:
        axes, left = chart.axes[0], 0.0
        for role in ROLES:
            value = spent.seconds_by_role.get(role, 0.0) / spent.seconds
            axes.barh(0, value, left=left, height=0.6, color=colour(role), linewidth=0)
            left += value
        axes.set_yticks([])
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        tidy(axes, grid="x")
        chart.legend(axes, ROLES, [f"{label(role)} {spent.seconds_by_role.get(role, 0.0):.1f} s" for role in ROLES])
        return chart.svg("Seconds by role")
