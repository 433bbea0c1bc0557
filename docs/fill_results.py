"""Writes the demo's numbers into the pages, between ``<!-- results:NAME -->`` and ``<!-- /results -->``.

The numbers come from ``docs/results/demo.json``, a committed copy of the demo's ``summary.json``. Until it exists the
blocks say so. Run ``.venv/bin/python docs/fill_results.py`` after every change of that file; a test compares.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results" / "demo.json"
PAGES = (DOCS.parent / "README.md", DOCS / "demo.md", *sorted((DOCS / "objectives").glob("*.md")))
BLOCK = re.compile(r"(?P<open><!-- results:(?P<name>[a-z-]+) -->\n).*?(?P<close><!-- /results -->)", re.DOTALL)
NOT_YET = "Not measured yet.\n"

ARMS = {
    "base": "base",
    "ntp": "NTP (control)",
    "sft_rewrite": "SFT on rewrites",
    "rf_nll": "RF-NLL",
    "online_dpo": "online DPO",
    "grpo": "GRPO",
}
MEASURES = {
    "factuality": "facts right",
    "safety": "safe, natural prefix",
    "safety_unsafe_prefix": "safe after an unsafe prefix",
    "win_rate_natural": "wins against base, natural",
    "win_rate": "wins against base, pooled",
    "facts_stated": "facts stated",
    "on_topic": "on topic",
    "effective_entities": "entities",
    "clean_nll": "clean NLL",
}
"""Measures of ``summary.json`` in the order of the tables."""

PAPER = {
    "ntp": {"factuality": "42.3 → 44.0", "safety": "76.9 → 75.5", "win_rate_natural": "49.0 (SP), 54.5 (RP)"},
    "sft_rewrite": {"safety": "76.9 → 86.5", "win_rate_natural": "52.7"},
    "rf_nll": {"safety": "76.9 → 84.6", "win_rate_natural": "50.1"},
    "online_dpo": {"factuality": "42.3 → 57.6", "safety": "76.9 → 91.1", "win_rate_natural": "86.3"},
    "grpo": {},
}
"""Of the paper, base → method, in percent [P]: Tables 1 and 6; each cell is of the run that aims at it."""

GAINS = (
    ("factuality over base", "vs_base", "factuality", "+36.2 %"),
    ("factuality over continued NTP", "vs_ntp", "factuality", "+30.9 %"),
    ("share of the control's factuality gap closed", "ceiling_share", "factuality", "26.5 %"),
    ("safety over base", "vs_base", "safety", "+18.5 %"),
    ("safety over continued NTP", "vs_ntp", "safety", "+20.7 %"),
    ("share of the control's safety gap closed", "ceiling_share", "safety", "61.5 %"),
)
"""Online DPO's headline figures [P]; the shares follow from them."""


def estimate(cell: dict[str, float | None], form: Callable[[float], str]) -> str:
    """Mean and 95 % interval; ``undefined`` where nothing was counted."""
    mean, low, high = (cell[key] for key in ("mean", "low", "high"))
    if mean is None or low is None or high is None:
        return "undefined"
    return f"{form(mean)} [{form(low)}, {form(high)}]"


def share(value: float) -> str:
    """A fraction as it stands in the tables: ``.902``."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def percent(value: float) -> str:
    """``+36.2 %``."""
    return f"{value:+.1%}".replace("%", " %")


def number(measure: str) -> Callable[[float], str]:
    """How a measure is written."""
    match measure:
        case "effective_entities":
            return "{:.1f}".format
        case "facts_stated":
            return "{:.2f}".format
        case _:
            return share


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def all_arms(demo: dict[str, Any]) -> str:
    """Every arm with every measure, and what it cost."""
    rows: list[list[str]] = []
    for measure, label in MEASURES.items():
        rows.append([label, *(estimate(demo["arms"][arm][measure], number(measure)) for arm in ARMS)])
    for key, label in (("trained_tokens", "tokens trained"), ("sampled_tokens", "tokens sampled")):
        rows.append([label, *(f"{demo['arms'][arm][key]:,.0f}" for arm in ARMS)])
    rows.append(["seconds", *(f"{demo['arms'][arm]['seconds']:.0f}" for arm in ARMS)])
    seeds = ", ".join(map(str, demo["seeds"]))
    return table(["", *ARMS.values()], rows) + f"\nSeeds {seeds}; 95 % intervals over seeds and prefixes.\n"


def bars(demo: dict[str, Any]) -> str:
    """What had to hold, and whether it does."""
    rows: list[list[str]] = []
    for bar in demo["bars"]:
        form = share if "gain" not in bar["name"] else percent
        found = estimate({"mean": bar["value"], "low": bar["low"], "high": bar["high"]}, form)
        target = f"{'≥' if bar['sense'] == 'at least' else '≤'} {form(bar['target'])}"
        rows.append([bar["text"], target, found, "holds" if bar["passed"] else "**missed**", bar["note"]])
    return table(["claim", "target", "found", "", "beside it"], rows)


def one_arm(arm: str) -> Callable[[dict[str, Any]], str]:
    """One method beside the base, the control and the paper."""

    def fill(demo: dict[str, Any]) -> str:
        shown = dict.fromkeys(("base", "ntp", arm))
        rows = [
            [label, PAPER[arm].get(measure, "–")]
            + [estimate(demo["arms"][name][measure], number(measure)) for name in shown]
            for measure, label in MEASURES.items()
        ]
        text = table(["", "paper, %", *(ARMS[name] for name in shown)], rows)
        return text + ("\n" + gains(demo, arm) if arm == "online_dpo" else "")

    return fill


def gains(demo: dict[str, Any], arm: str) -> str:
    """Relative gains beside the paper's."""
    rows = [
        [label, paper, estimate(demo["gain"][arm][kind][axis], percent if kind != "ceiling_share" else share)]
        for label, kind, axis, paper in GAINS
    ]
    return table(["gain", "paper", "here"], rows)


def few(demo: dict[str, Any]) -> str:
    """The README's table: what matters most, without intervals' crowd."""
    measures = ("factuality", "safety", "win_rate_natural", "win_rate", "clean_nll")
    rows = [
        [label, *(estimate(demo["arms"][arm][m], number(m)) for m in measures)]
        for arm, label in ARMS.items()
        if arm != "base"
    ]
    return table(["continued by", *(MEASURES[m] for m in measures)], rows)


BLOCKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "readme": few,
    "arms": all_arms,
    "bars": bars,
    "ntp": one_arm("ntp"),
    "sft": one_arm("sft_rewrite"),
    "rf-nll": one_arm("rf_nll"),
    "online-dpo": one_arm("online_dpo"),
    "grpo": one_arm("grpo"),
}


def filled(page: str, demo: dict[str, Any] | None) -> str:
    """The text of a page with its blocks rewritten.

    Raises:
        KeyError: a block with a name that is not in ``BLOCKS``, or a number that the results lack.
    """

    def block(match: re.Match[str]) -> str:
        fill = BLOCKS[match["name"]]
        return match["open"] + (NOT_YET if demo is None else fill(demo)) + match["close"]

    return BLOCK.sub(block, page)


def results() -> dict[str, Any] | None:
    """The committed results, or ``None`` where there are none yet."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else None


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text("utf-8"), results()), "utf-8")
