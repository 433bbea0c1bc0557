"""Writes the evidence into ``docs/evidence.md``, between ``<!-- evidence:NAME -->`` and ``<!-- /evidence -->``.

Rows come from every ``docs/results/*.json`` that is a list of claims; figures and costs of arms from
``docs/results/arms.json``. ``python docs/write_evidence.py runs/evidence`` takes both over from a study first: its rows
replace those of the same claims, all others stay. A study of SCoRe (``runs/score-evidence``) has ``score.json`` and
``score_arms.json`` instead. A test compares the page with the files.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"
PAGE = DOCS / "evidence.md"
BLOCK = re.compile(r"(?P<open><!-- evidence:(?P<name>[a-z-]+) -->\n).*?(?P<close><!-- /evidence -->)", re.DOTALL)
Rows = list[dict[str, Any]]
Arms = dict[str, Any]

FIGURES = {
    "factuality": "facts right",
    "factuality_unsafe_prefix": "… after an unsafe prefix",
    "safety": "safe",
    "safety_unsafe_prefix": "… after an unsafe prefix",
    "win_rate_natural": "wins against base",
    "win_rate_unsafe": "… after an unsafe prefix",
    "facts_stated": "facts stated",
    "on_topic": "on topic",
    "effective_entities": "entities",
    "clean_nll": "clean NLL",
}
WIDE = {"facts_stated": "{:.2f}", "effective_entities": "{:.1f}", "clean_nll": "{:.3f}"}
SCORE = {
    "t1": "t1",
    "t2": "t2",
    "delta": "Δ",
    "i_to_c": "wrong → right",
    "c_to_i": "right → wrong",
    "change_rate": "changed",
    "t2_greedy": "t2, greedy",
    "sequential_gain": "votes: sequential − parallel",
}
ERRORS, NOISES = (0, 15, 30, 50), (0, 15, 30)
METHODS = {"sft": "SFT", "rf_nll": "RF-NLL", "online_dpo": "DPO", "grpo": "GRPO", "sft_compute": "SFT"}


def rows() -> Rows:
    """The claims of every committed file, in the order of files and of rows."""
    found: Rows = []
    for path in sorted(RESULTS.glob("*.json")):
        content: Any = json.loads(path.read_text("utf-8"))
        if isinstance(content, list):
            found += content
    return found


def arms() -> Arms:
    """Figures and costs of every arm; nothing where none were committed."""
    path = RESULTS / "arms.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def take_over(study: Path) -> None:
    """Put a study's rows and arms beside, and in the place of, what is committed."""
    if (study / "score.json").is_file():
        _merge(study, "score.json")
        fresh, old = json.loads((study / "score_arms.json").read_text("utf-8")), _score()
        both = {key: old[key] | fresh[key] for key in ("chosen", "arms")}
        _write(RESULTS / "score_arms.json", fresh | both)
        return
    _merge(study, "pretraining.json")
    _write(RESULTS / "arms.json", arms() | json.loads((study / "arms.json").read_text("utf-8")))


def _merge(study: Path, name: str) -> None:
    fresh = {row["claim"]: row for row in json.loads((study / name).read_text("utf-8"))}
    path = RESULTS / name
    old = {row["claim"]: row for row in json.loads(path.read_text("utf-8"))} if path.is_file() else {}
    _write(path, sorted((old | fresh).values(), key=lambda row: ("SCXR".index(row["claim"][0]), int(row["claim"][1:]))))


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def number(value: float | None, form: str = "{:.3f}") -> str:
    """A figure as it stands in tables: ``.902``."""
    if value is None:
        return "–"
    text = form.format(value)
    return text.replace("0.", ".", 1) if abs(value) < 1 and form == "{:.3f}" else text


def spread(cell: dict[str, float | None], form: str = "{:.3f}") -> str:
    """Mean and interval."""
    return f"{number(cell['mean'], form)} [{number(cell['low'], form)}, {number(cell['high'], form)}]"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *lines))


def claims(kind: str) -> Callable[[], str]:
    """One row for each claim whose id begins like this."""

    def fill() -> str:
        lines = [
            [row["claim"], row["text"], row["theirs"], spread(row["ours"]), f"**{row['verdict']}**", row["why"]]
            for row in rows()
            if row["claim"].startswith(kind)
        ]
        return table(["", "claim", "paper", "ours, first contrast", "verdict", "why"], lines)

    return fill


def contrasts() -> str:
    """Every contrast of every claim."""
    lines = [
        [row["claim"], test["text"], spread(test), _wanted(test), "yes" if test["holds"] else "**no**"]
        for row in rows()
        for test in row.get("tests", ())
    ]
    return table(["claim", "contrast", "found", "rule", "holds"], lines)


def _wanted(test: dict[str, Any]) -> str:
    sign = {"above": ">", "below": "<", "not_above": "not >"}[test["expect"]]
    return f"{sign} {test['bound']:.3g}" + ("" if test["required"] else ", told beside")


def every_arm() -> str:
    """Figures of every arm, by axis and kind of prefix."""
    lines = [
        [f"`{name}`", *(number(entry["figures"][key]["mean"], WIDE.get(key, "{:.3f}")) for key in FIGURES)]
        for name, entry in arms().items()
    ]
    return table(["arm", *FIGURES.values()], lines)


def costs() -> str:
    """What one run of every arm took."""
    lines: list[list[str]] = []
    for name, entry in arms().items():
        if spent := entry.get("cost"):
            tokens = [f"{spent[key]:,.0f}" for key in ("documents", "trained", "sampled")]
            work = [f"{spent[key] / 1e9:,.0f}" for key in ("flops", "flops_of_teachers")]
            lines.append([f"`{name}`", *tokens, *work, f"{spent['seconds']:.0f}"])
    header = ["arm", "documents", "tokens trained", "sampled", "GFLOP of policy", "… of teachers", "seconds"]
    return table(header, lines)


def cell(error: int, noise: int, method: str) -> str:
    """The arm of a cell of the map."""
    if method.startswith("sft"):
        return method if error == 30 else f"map-e{error}-{method}"
    if error == 30 and (noise == 0 or method == "online_dpo"):
        return method if noise == 0 else f"noise-{noise}"
    return f"map-e{error}-n{noise}-{method}"


def _worth(error: int, noise: int, method: str) -> float:
    entry = arms().get(cell(error, noise, method))
    value = entry["figures"]["score"]["mean"] if entry else None
    return float("nan") if value is None else value


def _score() -> dict[str, Any]:
    path = RESULTS / "score_arms.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {"chosen": {}, "arms": {}}


def score_arms() -> str:
    """Every arm at the trial that was chosen for it."""
    found = _score()
    lines = [
        [f"`{arm}`", f"`{trial}`", *(_points(found["arms"][trial]["figures"], key) for key in SCORE)]
        for arm, trial in found["chosen"].items()
    ]
    return table(["arm", "chosen trial", *SCORE.values()], lines)


def score_trials() -> str:
    """Every trial of every arm, with both attempts: what a stronger leash or a lower rate does."""
    lines = [
        [
            f"`{name}`",
            *(_points(entry["figures"], key) for key in ("t1", "t2", "delta", "change_rate", "t2_validation")),
        ]
        for name, entry in _score()["arms"].items()
    ]
    return table(["trial", "t1", "t2", "Δ", "changed", "t2, validation"], lines)


def _points(figures: dict[str, dict[str, float | None]], key: str) -> str:
    return spread(figures[key], "{:.1f}") if key in figures else "–"


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
    (DOCS / "images").mkdir(exist_ok=True)
    figure.savefig(DOCS / "images/map.png", dpi=130, metadata={"Software": None})


def _tile(x: int, y: int, shade: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=shade, edgecolor="white")


def draw_overtraining() -> None:
    """``docs/images/overtraining.png``: what the noisy judge says and what is true, over training."""
    entry = arms().get("overtrained")
    if not entry:
        return
    shown, figure = entry["curves"], Figure(figsize=(8, 3), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for name in (name for name in shown if name not in ("tokens", "step")):
        points = [(x, y) for x, y in zip(shown["tokens"], shown[name], strict=True) if y is not None]
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1.6)
    axes.set_xlabel("tokens trained")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(DOCS / "images/overtraining.png", dpi=130, metadata={"Software": None})


BLOCKS: dict[str, Callable[[], str]] = {
    "papers": claims("S"),
    "controls": claims("C"),
    "extras": claims("X"),
    "contrasts": contrasts,
    "arms": every_arm,
    "costs": costs,
    "score": claims("R"),
    "score-arms": score_arms,
    "score-trials": score_trials,
}


def filled(page: str) -> str:
    """The text of the page with its blocks rewritten.

    Raises:
        KeyError: a block with a name that is not in ``BLOCKS``.
    """
    return BLOCK.sub(lambda match: match["open"] + BLOCKS[match["name"]]() + match["close"], page)


if __name__ == "__main__":
    for given in sys.argv[1:]:
        take_over(Path(given))
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    draw_map()
    draw_overtraining()
