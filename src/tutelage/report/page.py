"""Pages that hold everything themselves: one HTML file, no script, nothing fetched; all text is escaped."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tutelage.record import write_atomically
from tutelage.report.labels import label

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that are shown as a replacement character."""

_FOLDER = Path(__file__).parent


def write(path: Path, template: str, **context: Any) -> Path:
    """Render ``template`` of this folder to ``path``; every value is escaped unless it is ``Markup`` of our own."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "label": label,
        "percent": percent,
        "number": number,
        "range": span,
        "count": count,
        "duration": duration,
    }
    style = Markup((_FOLDER / "page.css").read_text(encoding="utf-8"))
    write_atomically(path, environment.get_template(template).render(style=style, **context).encode())
    return path


def _visible(value: Any) -> Any:
    """Text without what browsers obey rather than show: control characters and marks of direction."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in HIDDEN else "\ufffd" for c in value)


def percent(value: float | None, digits: int = 1) -> str:
    """``0.931`` → ``93.1 %``, with a space that does not break."""
    return "–" if value is None else f"{100 * value:.{digits}f}\u00a0%"


def number(value: float | None, digits: int = 2) -> str:
    """A plain number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def span(measure: Mapping[str, Any], digits: int | None = None) -> str:
    """``[92.0, 94.1]`` of an interval; in percent where ``digits`` is not given."""
    low, high = measure["low"], measure["high"]
    if low is None or high is None:
        return ""
    if digits is None:
        return f"[{100 * low:.1f}, {100 * high:.1f}]"
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def count(value: float) -> str:
    """``1234567`` → ``1.23 M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """``75`` → ``1 min 15 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
