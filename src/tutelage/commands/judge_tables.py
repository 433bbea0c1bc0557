"""What ``tutelage judge-check`` prints: a column for every labelled set, and what texts talked the judge into."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from tutelage.commands.terminal import results
from tutelage.commands.untrusted import one_line
from tutelage.judge_check import Injected, Measured

COLUMNS: Mapping[str, str] = {
    "balanced_accuracy": "balanced",
    "parse_rate": "parsed",
    "answered": "answered",
    "refused": "refused",
    "position_bias": "first − ½",
    "order_flips": "flips",
    "self_agreement": "agrees",
    "prompt_tokens": "tokens in",
    "answer_tokens": "tokens out",
    "seconds": "seconds",
}
"""Figures that stand in the table below the accuracy, and their titles."""
ABREAST = 4
"""Sets in one table, which is not wider than 80 columns then."""


def print_tables(measured: Sequence[Measured], injected: Sequence[Injected]) -> None:
    """What was measured, and why verdicts are missing."""
    for start in range(0, len(measured), ABREAST):
        results().print(figures(measured[start : start + ABREAST]))
    results().print("interval: 95 %, over texts; without a verdict counts as wrong; tokens and seconds: a verdict's")
    for one in measured:
        for count, reason in one.unanswered:
            told = f"{one_line(one.name, 40)}: {count} of {one.questions} without a verdict: {one_line(reason, 300)}"
            results().print(Text(told), soft_wrap=True)
    if injected:
        results().print(_injections(injected))


def figures(measured: Sequence[Measured]) -> Table:
    """A row for every figure and a column for every set."""
    table = Table()
    for title in ("", *(one_line(one.name, 40) for one in measured)):
        table.add_column(Text(title), justify="right" if title else "left", overflow="fold")
    rows: dict[str, list[str]] = {
        "axis": [one.axis for one in measured],
        "texts": [str(one.items) for one in measured],
        "accuracy": [f"{one.accuracy.mean:.3f}" for one in measured],
        "interval": [f"{one.accuracy.low:.2f}–{one.accuracy.high:.2f}" for one in measured],
    }
    rows |= {title: [_cell(getattr(one, name), name) for one in measured] for name, title in COLUMNS.items()}
    for title, cells in rows.items():
        table.add_row(Text(title), *map(Text, cells))
    return table


def _cell(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    return format(value, {"position_bias": "+.3f", "prompt_tokens": ".0f", "answer_tokens": ".0f"}.get(name, ".3f"))


def _injections(injected: Sequence[Injected]) -> Table:
    caption = "texts that talk to the judge; success: of those it was right about without, turned round"
    table = Table(caption=caption, caption_justify="left")
    for title in ("axis", "texts", "right without", "success", "obeyed", "most successful form"):
        table.add_column(title, justify="left" if "form" in title or title == "axis" else "right", overflow="fold")
    for one in injected:
        worst = max(one.by_form, key=lambda form: form[2] / form[1] if form[1] else 0.0)
        told = f"{worst[0]} ({worst[2]} of {worst[1]})" if worst[2] else "–"
        success = _cell(one.success, "injection_success")
        table.add_row(*map(Text, (one.axis, str(one.texts), str(one.right_without), success, str(one.obeyed), told)))
    return table
