"""Figures as inline SVG that takes its colours from the page, so that it follows light and dark.

Figures are drawn with stand-in colours, one for each CSS variable of ``page.css``; the SVG then names the variable.
Nothing in it refers to anything outside the page, and equal figures give equal bytes.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

VARIABLES = (
    *("ink", "muted", "grid", "good", "bad", "paper"),
    *("base", "ntp", "sft_rewrite", "rf_nll", "online_dpo", "grpo"),
    *("suffix", "rewrite", "rollout", "policy", "judge", "rewriter", "stream", "other"),
)
"""CSS variables that a figure may use as a colour."""

_STAND_IN = {name: f"#a1b2{number:02x}" for number, name in enumerate(VARIABLES)}

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": _STAND_IN["muted"],
    "axes.labelcolor": _STAND_IN["muted"],
    "axes.titlecolor": _STAND_IN["ink"],
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _STAND_IN["grid"],
    "grid.linewidth": 0.7,
    "text.color": _STAND_IN["ink"],
    "xtick.color": _STAND_IN["muted"],
    "ytick.color": _STAND_IN["muted"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": _STAND_IN["ink"],
    "legend.fontsize": 9,
}


def colour(name: str) -> str:
    """The stand-in of a CSS variable; a name that has none gets ``other``."""
    return _STAND_IN.get(name, _STAND_IN["other"])


class Chart:
    """A figure of axes side by side, drawn inside a ``with``: no setting of matplotlib's is changed outside."""

    def __init__(self, width: float, height: float, columns: int, *, rows: int = 1, **layout: Any) -> None:
        self._context = matplotlib.rc_context(_SETTINGS)
        self._size = (width, height)
        self._shape = (rows, columns)
        self._layout = layout

    def __enter__(self) -> "Chart":
        self._context.__enter__()
        self.figure = Figure(figsize=self._size, layout="constrained")
        grid: Any = self.figure.subplots(*self._shape, squeeze=False, **self._layout)
        self.axes: list[Axes] = list(grid.flat)
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def spread(self) -> None:
        """More room between rows of axes."""
        engine: Any = self.figure.get_layout_engine()
        engine.set(h_pad=0.09)

    def svg(self, title: str) -> Markup:
        """The figure as an element of the page; call it inside the ``with``."""
        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": title}):
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
        return _embedded(buffer.getvalue(), title)

    def legend(self, axes: Axes, names: Sequence[str], labels: Sequence[str]) -> None:
        """One row of colour patches above everything."""
        patches = [Patch(color=colour(name)) for name in names]
        columns = min(len(names), 7)
        axes.figure.legend(patches, labels, loc="outside upper left", ncols=columns, handlelength=1, handleheight=1)


def _embedded(svg: str, title: str) -> Markup:
    """Only the element; colours and font of the page; no name that could clash with another figure's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', _opening(title), svg, count=1)
    svg = re.sub(r"font: ([^;\"]*?)([\d.]+px) [^;\"]*", r"font: \1\2 var(--sans)", svg)
    for name, stand_in in _STAND_IN.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return Markup(svg)


def _opening(title: str) -> str:
    label = str(Markup.escape(title)).replace("\\", "")
    return rf'<svg viewBox="\1" role="img" aria-label="{label}">'


def tidy(axes: Axes, *, grid: str = "y") -> None:
    """Grid lines along one direction only."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis=grid)  # pyright: ignore[reportArgumentType]


def drawable(values: Sequence[float | None]) -> list[float]:
    """Gaps as not-a-number, which lines leave out."""
    return [float("nan") if value is None else float(value) for value in values]
