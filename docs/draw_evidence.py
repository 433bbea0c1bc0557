"""Draws the evidence: ``python -m docs.draw_evidence`` writes ``docs/images/map.png`` and ``overtraining.png``.

They are made of ``docs/results/arms.json`` and the intervals of ``pretraining.json``.
"""

from typing import Any

from docs.write_evidence import DOCS, arms, rows
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutelage.evidence.claims import cell
from tutelage.evidence.controls import CLAIMS

IMAGES = DOCS / "images"
ERRORS, NOISES = (0, 15, 30, 50), (0, 15, 30)
WATCHED = {
    "score of facts, 0 to 1": {
        "evaluation/facts_true_factuality": ("true share of facts right", "#1d4ed8"),
        "score/factuality/rollout": ("what the judge says of rollouts", "#1d4ed8"),
    },
    "true score, 0 to 3": {"evaluation/facts_true_score": ("sum of the axes, exact", "#0d9488")},
    "loss on clean text": {"evaluation/facts_clean_nll": ("nats a token", "#6b7280")},
}
"""Panels of the picture of over-optimisation: series of the watched arm with their label and colour."""
OVERTRAINED = {"overtrained": "errs at random", "misled_overtrained": "shares misconceptions"}
"""Watched arms, a row each, with what their judge does."""
SHADES = {"SFT": "#fde68a", "RF-NLL": "#99f6e4", "DPO": "#bfdbfe", "GRPO": "#e9d5ff"}
METHODS = {"sft": "SFT", "rf_nll": "RF-NLL", "online_dpo": "DPO", "grpo": "GRPO", "sft_compute": "SFT"}


def arm_of(error: int, noise: int, method: str) -> str:
    """The arm of a cell of the map; SFT asks no judge, so that its cells are one."""
    if method.startswith("sft"):
        return method if error == 30 else f"map-e{error}-{method}"
    return cell(error, noise, method)


def leads() -> dict[frozenset[str], tuple[float, float]]:
    """Intervals of the differences between two arms' scores that C8 takes, by the two."""
    (claim,) = (claim for claim in CLAIMS if claim.id == "C8")
    (row,) = (row for row in rows() if row["claim"] == "C8")
    found = zip(claim.tests, row["tests"], strict=True)
    return {frozenset(arm for arm, _ in rule.weights): (test["low"], test["high"]) for rule, test in found}


def draw_map() -> None:
    """``docs/images/map.png``: the oracle's score of every method, and who wins, per rewriter error and judge noise."""
    if not arms():
        return
    figure, apart = Figure(figsize=(11, 3.6), layout="constrained", facecolor="white"), leads()
    panels = figure.subplots(1, 2)
    titles = ("equal tokens", "SFT at equal compute of the policy")
    for axes, sft, title in zip(panels, ("sft", "sft_compute"), titles, strict=True):
        axes.set_xlim(-0.5, len(ERRORS) - 0.5)
        axes.set_ylim(-0.5, len(NOISES) - 0.5)
        for x, error in enumerate(ERRORS):
            for y, noise in enumerate(NOISES):
                names = {name: arm_of(error, noise, name) for name in (sft, "rf_nll", "online_dpo", "grpo")}
                _cell(axes, (x, y), names, apart)
        axes.set_xticks(range(len(ERRORS)), [f"{error} %" for error in ERRORS])
        axes.set_yticks(range(len(NOISES)), [f"{noise} %" for noise in NOISES])
        axes.set_xlabel("rewriter's error")
        axes.set_ylabel("judge's noise")
        axes.set_title(f"Oracle score, 0 to 3: {title}", fontsize=10)
    figure.savefig(IMAGES / "map.png", dpi=130, metadata={"Software": None})


def _cell(
    axes: Any, place: tuple[int, int], names: dict[str, str], apart: dict[frozenset[str], tuple[float, float]]
) -> None:
    """One cell: scores, and the best method, or the two between which the interval holds zero."""
    scores = {name: arms()[arm]["figures"]["score_pooled"]["mean"] for name, arm in names.items()}
    best, second = sorted(scores, key=lambda name: -scores[name])[:2]
    low, high = apart.get(frozenset((names[best], names[second])), (0.0, 0.0))
    tie = low <= 0.0 <= high
    lines = [f"{METHODS[name]} {value:.2f}" for name, value in scores.items()]
    said = f"{METHODS[best]} or {METHODS[second]}" if tie else METHODS[best]
    axes.add_patch(_tile(*place, "#e5e7eb" if tie else SHADES[METHODS[best]]))
    axes.text(*place, "\n".join([*lines, f"→ {said}"]), ha="center", va="center", fontsize=7.5)


def _tile(x: int, y: int, shade: str) -> Any:
    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=shade, edgecolor="white")


def draw_overtraining() -> None:
    """``docs/images/overtraining.png``: what a judge that errs says and what is true, over training."""
    known = arms()
    there = {name: judge for name, judge in OVERTRAINED.items() if name in known}
    if not there:
        return
    figure = Figure(figsize=(11, 2.8 * len(there)), layout="constrained", facecolor="white")
    rows_of = figure.subplots(len(there), len(WATCHED), squeeze=False)
    for (name, judge), panels in zip(there.items(), rows_of, strict=True):
        for axes, (title, lines) in zip(panels, WATCHED.items(), strict=True):
            _curves(axes, known[name]["curves"], lines)
            axes.set_title(f"{judge}: {title}", fontsize=9)
    figure.savefig(IMAGES / "overtraining.png", dpi=130, metadata={"Software": None})


def _curves(axes: Any, curves: dict[str, list[float | None]], lines: dict[str, tuple[str, str]]) -> None:
    """One panel; what a judge says is dashed."""
    for name, (label, colour) in lines.items():
        values = zip(curves["tokens"], curves[name], strict=True)
        points = [(tokens / 1000, value) for tokens, value in values if tokens is not None and value is not None]
        style = "--" if name.startswith("score/") else "-"
        axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.6)
    axes.set_xlabel("thousand tokens trained")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    draw_map()
    draw_overtraining()
