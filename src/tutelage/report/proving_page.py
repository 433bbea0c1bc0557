"""The proving ground's page, from its summary and some texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.report import proving_charts
from tutelage.report.bars import CONTROL, HERO
from tutelage.report.labels import label
from tutelage.report.marks import Shown
from tutelage.report.page import count, percent, span, write

Column = tuple[str, str, bool, int]
"""Measure, heading, whether it is a share, digits where it is not."""

GAINED: tuple[Column, ...] = (
    ("factuality", "facts right", True, 2),
    ("safety", "safe, natural", True, 2),
    ("safety_unsafe_prefix", "safe, unsafe prefix", True, 2),
    ("win_rate_natural", "wins vs base, natural", True, 2),
    ("win_rate", "wins vs base, pooled", True, 2),
    ("win_rate_vs_ntp_natural", "wins vs control, natural", True, 2),
    ("win_rate_vs_ntp", "wins vs control, pooled", True, 2),
)
KEPT: tuple[Column, ...] = (
    ("clean_nll", "clean NLL", False, 3),
    ("facts_stated", "facts stated", False, 2),
    ("on_topic", "on topic", True, 2),
    ("effective_entities", "entities", False, 1),
    ("well_formed", "well formed", True, 2),
    ("repetition", "repeated", True, 2),
)
FROM_SCRATCH: tuple[Column, ...] = (
    *GAINED[:3],
    ("win_rate_vs_ntp", "wins vs control", True, 2),
    *KEPT[:4],
)
LOWEST_IS_BEST = frozenset({"clean_nll", "repetition"})
RATIOS = frozenset({"clean_nll", "facts_stated", "effective_entities"})
"""Bars that are ratios, not shares."""
KINDS = {
    **dict.fromkeys(RATIOS, "ratio"),
    **dict.fromkeys(("gap_factuality", "gap_safety"), "share of the gap"),
    **dict.fromkeys(("gain_factuality", "gain_safety"), "relative gain"),
    **dict.fromkeys(("on_topic", "above_imitation"), "points"),
}
"""What a bar's figure is; a plain share where it does not stand here."""


def write_page(path: Path, summary: Mapping[str, Any], shown: Sequence[Shown]) -> Path:
    """Write ``report.html``."""
    arms: Mapping[str, Any] = summary["arms"]
    columns = [column for column in GAINED if column[0] in arms["base"]]
    nothing = {"mean": None, "low": None, "high": None}
    still = [
        {"name": name, "still": True, **dict.fromkeys((c[0] for c in (*GAINED, *KEPT)), nothing), **figures}
        for name, figures in summary["yardsticks"].items()
    ]
    entries = [{"name": name, "colour": name, "still": False, **entry} for name, entry in arms.items()]
    scratch = [
        {"name": name, "colour": name.removeprefix("scratch_"), "still": False, **entry}
        for name, entry in summary["from_scratch"].items()
    ]
    return write(
        path,
        "proving_ground.html",
        summary=summary,
        setting=summary["setting"],
        claim=claim(summary),
        tiles=tiles(summary),
        bars=[_bar(bar) for bar in summary["bars"]],
        passed=sum(bar["passed"] for bar in summary["bars"]),
        entries=entries + still,
        scratch=scratch,
        gained=columns,
        kept=KEPT,
        from_scratch=FROM_SCRATCH,
        best={column[0]: _best(arms, column[0]) for column in (*columns, *KEPT)},
        equal_tokens=equal_tokens(arms),
        shown=shown,
        charts={
            "arms": proving_charts.arms_chart(summary),
            "drift": proving_charts.drift_chart(summary),
            "handover": proving_charts.handover_chart(summary),
            "curves": proving_charts.curves_chart(summary),
            "cost": proving_charts.cost_chart(summary),
        },
    )


def claim(summary: Mapping[str, Any]) -> str:
    """One paragraph: what was done, what came of it, and which bars are missed."""
    arms, seeds = summary["arms"], len(summary["seeds"])
    began = "A small language model was" if seeds == 1 else f"{_word(seeds)} small language models were"
    done = (
        f"{began} pretrained on a corpus that is partly false, abusive and sloppy, then continued at equal tokens by"
        " plain next-token prediction and by methods that judge continuations while they train. "
    )
    if HERO not in arms or CONTROL not in arms:
        return done
    hero, control, against = arms[HERO], arms[CONTROL], summary["gain"][HERO]
    found = (
        f"With online DPO {_measure(hero['factuality'])} of the facts that the model states are true, against"
        f" {_measure(control['factuality'])} with next-token prediction, and {_measure(hero['safety'])} of its"
        f" continuations are safe, against {_measure(control['safety'])}. Of what the control leaves, it closes"
        f" {_measure(against['ceiling_share']['factuality'])} and {_measure(against['ceiling_share']['safety'])};"
        f" it wins {_measure(hero['win_rate'])} of comparisons with the base. "
    )
    missed = [bar["text"] for bar in summary["bars"] if not bar["passed"]]
    narrow = sum(bar["passed"] and bar["narrow"] for bar in summary["bars"])
    if not missed:
        close = f", {narrow} of {len(summary['bars'])} narrowly" if narrow else ""
        return done + found + f"Every bar that was set beforehand holds{close}."
    return done + found + f"Not every bar holds; missed: {'; '.join(missed)}."


def _word(number: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six")
    return words[number] if number < len(words) else str(number)


def _measure(value: Mapping[str, float | None]) -> str:
    return f"{percent(value['mean'])} {span(value)}"


def tiles(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """The four figures that a reader remembers."""
    arms, gain = summary["arms"], summary["gain"].get(HERO, {})
    if CONTROL not in arms or not gain:
        return []
    closed, over = gain["ceiling_share"], gain["vs_base"]
    facts = f"of the control's false facts gone ({_move(arms, 'factuality')})"
    safe = f"of the control's unsafe texts gone ({_move(arms, 'safety')})"
    return [
        {"value": percent(closed["factuality"]["mean"]), "text": facts, "range": span(closed["factuality"])},
        {"value": percent(closed["safety"]["mean"]), "text": safe, "range": span(closed["safety"])},
        {
            "value": percent(over["win_rate"]["mean"]),
            "text": "wins against the base, natural and unsafe prefixes 2 : 1",
            "range": span(over["win_rate"]),
        },
        {
            "value": _times(arms[HERO]["clean_nll"]["mean"], arms[CONTROL]["clean_nll"]["mean"]),
            "text": "clean-text NLL, relative to the control's",
            "range": "1.05 × is the bar",
        },
    ]


def _move(arms: Mapping[str, Any], measure: str) -> str:
    before, after = (arms[name][measure]["mean"] for name in (CONTROL, HERO))
    return f"{percent(before)} → {percent(after)}"


def _times(ours: float | None, theirs: float | None) -> str:
    return f"{ours / theirs:.3f} ×" if ours is not None and theirs else "–"


def equal_tokens(arms: Mapping[str, Any]) -> str:
    """The equal-token statement, with the numbers that it rests on."""
    spent = {name: entry["trained_tokens"] for name, entry in arms.items() if name != "base"}
    if not spent:
        return ""
    low, high = min(spent.values()), max(spent.values())
    sampled = {name: entry["sampled_tokens"] for name, entry in arms.items() if entry["sampled_tokens"]}
    most = max(sampled, key=lambda name: sampled[name]) if sampled else None
    extra = f" Sampling comes on top: {count(sampled[most])} tokens for {label(most)}, the most of all." if most else ""
    return (
        f"Equal tokens means equal trained tokens: every arm updated on {count(low)} to {count(high)} tokens after a"
        f" base of {count(arms['base']['trained_tokens'])}; a prefix that several candidates share counts once.{extra}"
        " Equal tokens is not equal time, and the seconds say so."
    )


def _bar(bar: Mapping[str, Any]) -> dict[str, Any]:
    ratio = bar["name"] in RATIOS
    sign = "≥" if bar["sense"] == "at least" else "≤"
    show = _times_control if ratio else _points if KINDS.get(bar["name"]) == "points" else percent
    kind = KINDS.get(bar["name"], "share")
    return {
        "text": bar["text"],
        "target": "intervals apart" if bar["name"] == "above_imitation" else f"{sign} {show(bar['target'])}",
        "value": "–" if bar["value"] is None else show(bar["value"]),
        "range": span(bar, 3 if ratio else None),
        "kind": kind,
        "style": "missed" if not bar["passed"] else "narrow" if bar["narrow"] else "passed",
        "verdict": "missed" if not bar["passed"] else "holds narrowly" if bar["narrow"] else "holds",
        "note": bar["note"],
    }


def _times_control(value: float) -> str:
    return f"{value:.3f} ×"


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points".replace("-", "−")


def _best(arms: Mapping[str, Any], measure: str) -> str | None:
    known = {name: entry[measure]["mean"] for name, entry in arms.items() if entry[measure]["mean"] is not None}
    pick = min if measure in LOWEST_IS_BEST else max
    return pick(known, key=lambda name: known[name]) if known else None
