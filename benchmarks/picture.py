"""``docs/images/growth.png``: seconds and memory of pass and sampling as K and P grow, ours beside the other side."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from benchmarks.pairing import ROOT
from benchmarks.results import Result

PICTURE = ROOT / "docs" / "images" / "growth.png"
OURS, THEIRS = "#2563eb", "#d97706"
MARKS = {"pass": "o", "sampling": "s"}
ALONG = {2: "K continuations of a prefix of 896 tokens", 0: "P tokens of a prefix with 16 continuations"}
"""What grows, by its place in a shape."""
LINES = {"pass": "-", "sampling": "--"}


def seconds(row: Result) -> tuple[float, float]:
    """Of a pass, or of sampling all K continuations; ours and theirs."""
    if row.unit == "tokens/s":
        tokens = row.prompts * row.shape[1] * row.shape[2]
        return tokens / row.ours, tokens / row.theirs
    return row.ours, row.theirs


def memory(row: Result) -> tuple[float, float]:
    """MiB above the loaded model; ours and theirs."""
    return row.grown_mib["ours"], row.grown_mib["theirs"]


def series(rows: Sequence[Result], name: str, axis: int) -> list[Result]:
    """The rows of one pair along K (axis 2, P = 896) or along P (axis 0, K = 16), one prompt each, in order."""
    other, fixed = (0, 896) if axis == 2 else (2, 16)
    alike = [row for row in rows if row.name == name and row.prompts == 1 and row.cuts == 1 and row.shape[1] == 128]
    return sorted((row for row in alike if row.shape[other] == fixed), key=lambda row: row.shape[axis])


def draw(rows: Sequence[Result]) -> Figure:
    """Four panels: seconds and memory, over K and over P."""
    figure = Figure(figsize=(10, 6), layout="constrained", facecolor="white")
    panels = figure.subplots(2, 2)
    for line, (measure, label) in zip(panels, ((seconds, "seconds"), (memory, "peak memory, MiB")), strict=True):
        for axes, axis in zip(line, (2, 0), strict=True):
            _panel(axes, rows, axis, measure)
            axes.set_xlabel(
                "K continuations of a prefix of 896 tokens"
                if axis == 2
                else "P tokens of a prefix with 16 continuations"
            )
            axes.set_ylabel(label)
    panels[0, 0].legend(fontsize=8)
    return figure


def _panel(axes: Axes, rows: Sequence[Result], axis: int, measure: Callable[[Result], tuple[float, float]]) -> None:
    for name, peer in (("pass", "twin"), ("sampling", "generate")):
        found = [row for row in series(rows, name, axis) if row.against == peer]
        for side, (who, colour) in enumerate((("ours", OURS), (peer, THEIRS))):
            points = [(row.shape[axis], measure(row)[side]) for row in found]
            if points:
                (curve,) = axes.plot(*zip(*points, strict=True), color=colour, label=f"{name}: {who}", linewidth=1.5)
                curve.set(linestyle=LINES[name], marker=MARKS[name], markersize=4)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_yscale("log")
    axes.grid(alpha=0.3)


def write(rows: Sequence[Result]) -> None:
    """Draw the first machine's rows."""
    first = next((row.machine for row in rows), None)
    PICTURE.parent.mkdir(exist_ok=True)
    draw([row for row in rows if row.machine == first]).savefig(PICTURE, dpi=120, metadata={"Software": None})
