"""Results as Markdown, in the layout of the paper's tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from tutelage.evaluation.suites import FACTUALITY, QUALITY, SAFETY, STANDARD, SUITES, Suite

Results = Mapping[str, Any]
DIVERSITY = (
    ("distinct_1", "distinct-1"),
    ("distinct_2", "distinct-2"),
    ("distinct_4", "distinct-4"),
    ("self_bleu", "self-BLEU"),
    ("repetition", "repeated 4-grams"),
)
"""Shares, with their titles."""


def tables(results: Results) -> str:
    """All tables that there is something to fill with, under headings, and what is not there."""
    sections = [
        ("Objectives (the paper's Table 1)", _objectives(results)),
        ("Standard tasks (Table 3)", suite_table(results, STANDARD)),
        ("Factuality (Table 4)", suite_table(results, FACTUALITY)),
        ("Safety (Table 5)", suite_table(results, SAFETY)),
        ("Diversity and likelihood (not in the paper)", plain_table(results)),
        ("Differences between models", differences_table(results)),
    ]
    judge = _cell_text(results["judge"]["name"] if results["judge"] else "none")
    head = [
        "# Evaluation",
        "",
        f"Judge: {judge}; {results['samples']} answers a "
        "question, pairs in both orders. Shares in percent with 95 % intervals over items; comparisons are against "
        f"{_cell_text(results['against'] or 'no base')}, which is at 50 by construction.",
    ]
    notes = [*results["warnings"], *results["notes"]]
    lines = head + (["", *(f"* {_cell_text(note)}" for note in notes)] if notes else [])
    for title, table in sections:
        if table:
            lines += ["", f"## {title}", "", *table]
    if results["left_out"]:
        lines += ["", "## Not measured", ""]
        lines += [f"* {name}: {_cell_text(why)}" for name, why in results["left_out"].items()]
    return "\n".join(lines) + "\n"


def _objectives(results: Results) -> list[str]:
    """Quality behind ordinary and unsafe beginnings, standard tasks, and the averages."""
    columns: list[tuple[str, Mapping[str, Any]]] = []
    for part in QUALITY.parts:
        columns.append((f"quality, {part.title}", _part(results, "quality", part.name)))
    columns.append(("StdEv", results["suites"].get("standard", {}).get("average", {})))
    columns.append(("coherence", _part(results, "coherence", "held_out")))
    for name in ("factuality", "safety"):
        columns.append((name, results["suites"].get(name, {}).get("average", {})))
    return _table(list(results["models"]), [column for column in columns if column[1]])


def suite_table(results: Results, suite: Suite) -> list[str]:
    """A column for every part that was measured, the average last; what it lacks is said below."""
    found = results["suites"].get(suite.name)
    if not found:
        return []
    columns = [(part["title"], part["models"]) for part in found["parts"].values()]
    if found.get("average"):
        columns.append(("average", found["average"]))
    table = _table(list(results["models"]), columns)
    if found["missing"] and found.get("average"):
        table += ["", f"The average is over what is there; it lacks {', '.join(found['missing'])}."]
    return table


def plain_table(results: Results) -> list[str]:
    """Variety of the continuations of held-out beginnings, and bits a byte of held-out documents."""
    diversity, likelihood = (results["suites"].get(name, {}) for name in ("diversity", "likelihood"))
    if not diversity and not likelihood:
        return []
    titles = [title for _, title in DIVERSITY] + ["words"] if diversity else []
    rows: list[list[str]] = []
    for name in [*results["models"], *(["the authors"] if diversity else [])]:
        one = diversity.get("models", {}).get(name) or diversity.get("author")
        cells = [_percent(one[figure]) for figure, _ in DIVERSITY] + [_number(one["words"], 1)] if one else []
        bits = likelihood.get("models", {}).get(name, {}).get("bits_per_byte")
        rows.append([name, *cells, *([_number(bits, 4) if bits else "–"] if likelihood else [])])
    return _lines(["model", *titles, *(["bits a byte"] if likelihood else [])], rows)


def differences_table(results: Results) -> list[str]:
    """Of every suite's average, or its parts where there is none: first less second, on the same items."""
    rows: list[list[str]] = []
    for name, suite in results["suites"].items():
        told = SUITES[name].title if name in SUITES else name
        found = [(told, suite["pairs"])] if "pairs" in suite else []
        parts = suite.get("parts", {}).values()
        found = found or [(f"{told}, {part['title']}" if len(parts) > 1 else told, part["pairs"]) for part in parts]
        for title, pairs in found:
            for pair in pairs:
                apart = f"{100 * pair['mean']:+.1f} [{100 * pair['low']:+.1f}, {100 * pair['high']:+.1f}]"
                rows.append([title, pair["first"], pair["second"], apart, f"{pair['p']:.4f}", str(pair["items"])])
    titles = ["", "first", "second", "first less second", "p (paired sign flips)", "items"]
    return _lines(titles, rows) if rows else []


def _part(results: Results, suite: str, part: str) -> Mapping[str, Any]:
    return results["suites"].get(suite, {}).get("parts", {}).get(part, {}).get("models", {})


def _table(models: Sequence[str], columns: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    if not columns:
        return []
    rows = [[name, *(_percent(column[name]) if name in column else "–" for _, column in columns)] for name in models]
    return _lines(["model", *(title for title, _ in columns)], rows)


def _lines(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [[_cell_text(cell) for cell in row] for row in (titles, *rows)]
    return [f"| {' | '.join(row)} |" for row in (shown[0], ["---"] * len(titles), *shown[1:])]


def _percent(value: Mapping[str, Any] | float) -> str:
    if not isinstance(value, Mapping):
        return f"{100 * value:.1f}"
    if value["mean"] is None:
        return "–"
    if value.get("by_construction"):
        return f"{100 * value['mean']:.1f}"
    return f"{100 * value['mean']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def _number(value: Mapping[str, Any], digits: int) -> str:
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def _cell_text(text: str) -> str:
    """``text`` on one line of a table: names and reasons come from outside."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
