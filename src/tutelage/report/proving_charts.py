"""The figures of the proving ground, drawn from ``summary.json`` alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from tutelage.report.bars import CONTROL, HERO
from tutelage.report.charts import Chart, colour, drawable, tidy
from tutelage.report.history import ROLES
from tutelage.report.labels import label

Summary = Mapping[str, Any]

PANELS = (
    ("factuality", "Facts right"),
    ("safety", "Safe, natural"),
    ("safety_unsafe_prefix", "Safe, unsafe prefix"),
    ("win_rate_natural", "Wins vs base, natural"),
    ("win_rate", "Wins vs base, pooled"),
)
SOURCES = ("suffix", "rewrite", "rollout")
"""From the bottom of the stack to its top."""


def arms_chart(summary: Summary) -> Markup:
    """Every arm on the headline measures: mean, interval, and a dot for each seed."""
    arms = list(summary["arms"])
    with Chart(11, 0.42 * len(arms) + 1.0, len(PANELS), sharey=True) as chart:
        for axes, (measure, title) in zip(chart.axes, PANELS, strict=True):
            axes.set_title(title)
            for place, arm in enumerate(reversed(arms)):
                _interval(axes, place, summary["arms"][arm], measure, colour(arm))
            axes.set_yticks(range(len(arms)), [label(arm) for arm in reversed(arms)])
            axes.set_ylim(-0.6, len(arms) - 0.3)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.margins(x=0.18)
            axes.locator_params(axis="x", nbins=4)
            tidy(axes, grid="x")
        return chart.svg("Headline measures of every arm")


def _interval(axes: Axes, place: int, entry: Summary, measure: str, shade: str) -> None:
    value = entry[measure]
    if value["mean"] is None:
        return
    seeds = [seed for seed in entry["by_seed"][measure] if seed is not None]
    axes.plot([value["low"], value["high"]], [place, place], color=shade, linewidth=3, alpha=0.45)
    axes.plot(seeds, [place] * len(seeds), "o", color=shade, markersize=3, alpha=0.55, markeredgewidth=0)
    axes.plot(value["mean"], place, "o", color=shade, markersize=6.5)
    text = f"{100 * value['mean']:.1f}"
    axes.annotate(text, (value["mean"], place), (0, 6), textcoords="offset points", ha="center", fontsize=8)


def handover_chart(summary: Summary) -> Markup:
    """Who wins the pools over training: continued online DPO, RF-NLL, and from scratch."""
    shown: list[tuple[str, Summary]] = [
        (f"{label(name)}, continued", summary["arms"][name]["wins_by_source"])
        for name in (HERO, "rf_nll")
        if summary["arms"].get(name, {}).get("wins_by_source")
    ]
    shown += [
        (label(name), entry["wins_by_source"])
        for name, entry in summary["from_scratch"].items()
        if entry["wins_by_source"]
    ]
    if not shown:
        return Markup("")
    with Chart(11, 2.9, len(shown), sharey=True) as chart:
        for axes, (title, wins) in zip(chart.axes, shown, strict=True):
            axes.set_title(title)
            stacked_shares(axes, wins)
        chart.legend(chart.axes[0], SOURCES, [label(source) for source in SOURCES])
        return chart.svg("Share of pools won by each source over training")


def stacked_shares(axes: Axes, wins: Summary) -> None:
    """Shares of the chosen candidate by source, stacked over trained tokens."""
    sources = [s for s in SOURCES if s in wins] + sorted(set(wins) - {*SOURCES, "tokens", "step"})
    axes.stackplot(
        wins["tokens"],
        [[value or 0.0 for value in wins[source]] for source in sources],
        colors=[colour(source) for source in sources],
        alpha=0.85,
        linewidth=0,
    )
    axes.set_ylim(0, 1)
    axes.set_xlim(wins["tokens"][0], max(wins["tokens"][-1], wins["tokens"][0] + 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    thousands(axes)


def _thousands(value: float, position: int | None) -> str:
    return f"{value / 1000:g}k" if value else "0"


def thousands(axes: Axes) -> None:
    """Trained tokens along the bottom."""
    axes.set_xlabel("trained tokens")
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.locator_params(axis="x", nbins=5)


CURVE_PANELS = (
    ("score/factuality/rollout", "Judge: facts of rollouts"),
    ("score/safety/rollout", "Judge: safety of rollouts"),
    ("loss/ntp", "NTP loss on the prefixes"),
    ("policy/entropy", "Entropy (nats a token)"),
)


def curves_chart(summary: Summary) -> Markup:
    """How training went, by arm."""
    arms = [arm for arm in summary["arms"] if arm not in ("base",)]
    with Chart(11, 2.8, len(CURVE_PANELS)) as chart:
        for axes, (metric, title) in zip(chart.axes, CURVE_PANELS, strict=True):
            axes.set_title(title)
            for arm in arms:
                curves = summary["arms"][arm]["curves"]
                if metric in curves:
                    heavy = 2.2 if arm == HERO else 1.4
                    axes.plot(curves["tokens"], drawable(curves[metric]), color=colour(arm), linewidth=heavy)
            thousands(axes)
            tidy(axes)
        chart.legend(chart.axes[0], arms, [label(arm) for arm in arms])
        return chart.svg("Training curves by arm")


def cost_chart(summary: Summary) -> Markup:
    """Tokens and seconds of every arm, the seconds by role."""
    entries = {**summary["arms"], **summary["from_scratch"]}
    names = list(reversed(list(entries)))
    with Chart(11, 0.3 * len(names) + 1.2, 2, sharey=True) as chart:
        tokens, seconds = chart.axes
        tokens.set_title("Tokens (thousands): update, then rollout")
        seconds.set_title("Seconds by role, one process")
        for place, name in enumerate(names):
            entry = entries[name]
            _bars(tokens, place, [entry[f"{kind}_tokens"] / 1000 for kind in ("trained", "sampled")], ROLES)
            _bars(seconds, place, [entry["seconds_by_role"].get(role, 0.0) for role in ROLES], ROLES)
        for axes in chart.axes:
            axes.set_yticks(range(len(names)), [label(name) for name in names])
            axes.locator_params(axis="x", nbins=6)
            axes.margins(x=0.08)
            tidy(axes, grid="x")
        chart.legend(seconds, ROLES, [label(role) for role in ROLES])
        return chart.svg("Tokens and seconds by role")


def _bars(axes: Axes, place: int, values: Sequence[float], shades: Sequence[str]) -> None:
    """A stacked bar."""
    left = 0.0
    for value, shade in zip(values, shades, strict=False):
        axes.barh(place, value, left=left, height=0.62, color=colour(shade), linewidth=0)
        left += value


DRIFT = (
    ("clean_nll", "Clean-text NLL", 1.05, "above"),
    ("facts_stated", "Facts stated", 1.0, "below"),
    ("on_topic", "On topic (difference)", -0.05, "below"),
    ("effective_entities", "Entities spoken of", 0.85, "below"),
)
"""Measure, title, where the bar stands, and on which side is the hack."""


def drift_chart(summary: Summary) -> Markup:
    """What must not move: every arm relative to the control, the side where a hack shows shaded."""
    arms = [arm for arm in summary["arms"] if arm not in ("base", CONTROL)]
    if CONTROL not in summary["arms"] or not arms:
        return Markup("")
    with Chart(11, 0.36 * len(arms) + 1.1, len(DRIFT), sharey=True) as chart:
        for axes, (measure, title, bar, side) in zip(chart.axes, DRIFT, strict=True):
            axes.set_title(title)
            for place, arm in enumerate(reversed(arms)):
                _drift(axes, place, colour(arm), summary["gain"][arm]["drift"][measure])
            axes.margins(x=0.25)
            low, high = axes.get_xlim()
            low, high = min(low, bar - 0.1 * (high - low)), max(high, bar + 0.1 * (high - low))
            axes.axvspan(*((bar, high) if side == "above" else (low, bar)), color=colour("bad"), alpha=0.1, linewidth=0)
            axes.axvline(bar, color=colour("bad"), linewidth=1, linestyle=(0, (3, 3)))
            axes.set_xlim(low, high)
            axes.locator_params(axis="x", nbins=5)
            axes.set_ylim(-0.6, len(arms) - 0.3)
            axes.set_yticks(range(len(arms)), [label(arm) for arm in reversed(arms)])
            tidy(axes, grid="x")
        return chart.svg("Drift relative to the control")


def _drift(axes: Axes, place: int, shade: str, moved: Summary) -> None:
    if moved["mean"] is None:
        return
    axes.plot([moved["low"], moved["high"]], [place, place], color=shade, linewidth=3, alpha=0.45)
    axes.plot(moved["mean"], place, "o", color=shade, markersize=6.5)
    text = f"{moved['mean']:.3f}".replace("-", "−")
    axes.annotate(text, (moved["mean"], place), (0, 6), textcoords="offset points", ha="center", fontsize=8)
