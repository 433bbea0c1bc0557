"""Results as a Markdown table, written into the page between its marks."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks import picture
from benchmarks.pairing import ROOT
from benchmarks.results import RESULTS, Result, read

PAGE = ROOT / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)
HEADER = ("row", "against", "P, N, K", "prompts", "ratio", "range", "pairs", "ours", "theirs", "unit", "memory, MiB")
NOT_YET = "Not measured yet.\n"


def number(value: float) -> str:
    """Three digits, whatever the size."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(row: Result) -> list[str]:
    """A row of the table."""
    name = row.name + (f", {row.cuts} cuts" if row.cuts > 1 else "")
    shape = ", ".join(f"{n:,}" for n in row.shape)
    span = f"{row.ratio.low:.2f} to {row.ratio.high:.2f}" if row.pairs > 1 else "–"
    memory = f"{number(row.grown_mib['ours'])} / {number(row.grown_mib['theirs'])}"
    values = [str(row.pairs), number(row.ours), number(row.theirs), row.unit, memory]
    return [name, row.against, shape, str(row.prompts), f"{row.ratio.median:.2f} ×", span, *values]


def line(row: Result) -> str:
    """A row for the terminal."""
    return "  ".join(cells(row))


def origin(row: Result) -> str:
    """Day and version of a measurement, as a comment behind its command."""
    return f"  # {row.date}" + (f", {row.commit}" if row.commit else "")


def tables(rows: Sequence[Result]) -> str:
    """One table a machine, and under it the command of every row."""
    parts: list[str] = []
    for machine in dict.fromkeys(row.machine for row in rows):
        mine = [row for row in rows if row.machine == machine]
        dates = sorted({row.date for row in mine})
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        lines = [HEADER, ["---"] * len(HEADER), *map(cells, mine)]
        parts.append(f"{machine}; {when}.\n\n" + "".join(f"| {' | '.join(each)} |\n" for each in lines))
        parts.append("```console\n" + "".join(f"{row.command}{origin(row)}\n" for row in mine) + "```\n")
    return "\n".join(parts)


def filled(page: str, rows: Sequence[Result]) -> str:
    """The page with its block rewritten.

    Raises:
        ValueError: the page has no block, or more than one.
    """
    text, count = BLOCK.subn(lambda match: match[1] + (tables(rows) if rows else NOT_YET) + match[2], page)
    if count != 1:
        raise ValueError(f"the page has {count} places for the table instead of one")
    return text


def committed(folder: Path = RESULTS) -> list[Result]:
    """The rows of every machine, those of the quick bench only where the whole one has not measured the same."""
    whole = [row for path in sorted(folder.glob("*.json")) if path.name != "quick.json" for row in read(path)]
    known = {(row.machine, row.key) for row in whole}
    return whole + [row for row in read(folder / "quick.json") if (row.machine, row.key) not in known]


def write() -> None:
    """Rewrite the table in the page, and draw its picture."""
    rows = committed()
    PAGE.write_text(filled(PAGE.read_text("utf-8"), rows), "utf-8")
    picture.write(rows)
