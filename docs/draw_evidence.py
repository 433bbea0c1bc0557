"""Draws the evidence: ``python -m docs.draw_evidence`` writes ``docs/images/map.png`` and ``overtraining.png``.

Both are made of ``docs/results/arms.json``.
"""

from typing import Any

from docs.write_evidence import DOCS, arms
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

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
METHODS = {"sft": "SFT", "rf_nll": "RF-NLL", "online_dpo": "DPO", "grpo": "GRPO", "sft_compute": "SFT"}


def cell(error: int, noise: int, method: str) -> str:
    """The arm of a cell of the map."""
    if method.startswith("sft"):
        return method if error == 30 else f"map-e{error}-{method}"
    if error == 30 and (noise == 0 or method == "online_dpo"):
        return method if noise == 0 else f"noise-{noise}"
    return f"map-e{error}-n{noise}-{method}"


def _worth(error: int, noise: int, method: str) -> float:
    entry = arms().get(cell(error, noise, method))
    value = entry["figures"]["score_pooled"]["mean"] if entry else None
    return float("nan") if value is None else value


def draw_map() -> None:
    """``docs/images/map.png``: the oracle's score of every method, and who wins, per rewriter error and judge noise."""
    if not arms():
        return
    figure = Figure(figsize=(11, 3.6), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 2)
    for axes, sft, title in zip(panels, ("sft", "sft_compute"), ("equal tokens", "SFT at equal compute"), strict=True):
        names = (sft, "rf_nll", "online_dpo", "grpo")
        axes.set_xlim(-0.5, len(ERRORS) - 0.5)
        axes.set_ylim(-0.5, len(NOISES) - 0.5)
        for x, error in enumerate(ERRORS):
            for y, noise in enumerate(NOISES):
                found = {name: _worth(error, noise, name) for name in names}
                best = max(found, key=lambda name: -1.0 if found[name] != found[name] else found[name])
                lines = [f"{METHODS[name]} {value:.2f}" for name, value in found.items()]
                shade = {"sft": "#fde68a", "sft_compute": "#fde68a", "rf_nll": "#99f6e4", "online_dpo": "#bfdbfe"}
                axes.add_patch(_tile(x, y, shade.get(best, "#e9d5ff")))
                axes.text(x, y, "\n".join(lines) + f"\n→ {METHODS[best]}", ha="center", va="center", fontsize=7.5)
        axes.set_xticks(range(len(ERRORS)), [f"{error} %" for error in ERRORS])
        axes.set_yticks(range(len(NOISES)), [f"{noise} %" for noise in NOISES])
        axes.set_xlabel("rewriter's error")
        axes.set_ylabel("judge's noise")
        axes.set_title(f"Oracle score, 0 to 3: {title}", fontsize=10)
    figure.savefig(IMAGES / "map.png", dpi=130, metadata={"Software": None})


def _tile(x: int, y: int, shade: str) -> Any:
    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=shade, edgecolor="white")


def draw_overtraining() -> None:
    """``docs/images/overtraining.png``: what the noisy judge says and what is true, over training."""
    entry = arms().get("overtrained")
    if not entry:
        return
    figure = Figure(figsize=(11, 3), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(WATCHED))
    for axes, (title, lines) in zip(panels, WATCHED.items(), strict=True):
        for name, (label, colour) in lines.items():
            values = zip(entry["curves"]["tokens"], entry["curves"][name], strict=True)
            points = [(tokens / 1000, value) for tokens, value in values if value is not None]
            dashed = name.startswith("score/")
            axes.plot(*zip(*points, strict=True), "--" if dashed else "-", color=colour, label=label, linewidth=1.6)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("thousand tokens trained")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(IMAGES / "overtraining.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    draw_map()
    draw_overtraining()
