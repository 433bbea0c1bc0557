"""Draw the README's picture from ``docs/results/demo.json``: ``python docs/draw_picture.py``."""

import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tutelage.report.labels import label
from tutelage.report.proving_charts import PANELS

DOCS = Path(__file__).resolve().parent
SHADES = ("#6b7280", "#374151", "#d97706", "#0d9488", "#1d4ed8", "#9333ea")


def main() -> None:
    """Write ``docs/images/demo.png``: means, 95 % intervals, and a dot for each seed."""
    arms = json.loads((DOCS / "results/demo.json").read_text())["arms"]
    figure = Figure(figsize=(11, 3), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (measure, title) in zip(panels, PANELS, strict=True):
        for place, entry in enumerate(reversed(arms.values())):
            value, shade = entry[measure], SHADES[len(arms) - 1 - place]
            axes.plot([value["low"], value["high"]], [place, place], color=shade, linewidth=4, alpha=0.45)
            axes.plot(entry["by_seed"][measure], [place] * len(entry["by_seed"][measure]), ".", color=shade, alpha=0.6)
            axes.plot(value["mean"], place, "o", color=shade, markersize=7)
            text = f"{100 * value['mean']:.1f}"
            axes.annotate(text, (value["mean"], place), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.set_yticks(range(len(arms)), [label(name) for name in reversed(arms)])
        axes.set_ylim(-0.5, len(arms) - 0.3)
        axes.margins(x=0.2)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.3)
    (DOCS / "images").mkdir(exist_ok=True)
    figure.savefig(DOCS / "images/demo.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
