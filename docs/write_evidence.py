"""Writes the evidence into its pages, between ``<!-- evidence:NAME -->`` and ``<!-- /evidence -->``.

Rows come from every ``docs/results/*.json`` that is a list of claims; figures and costs of arms from
``docs/results/arms.json``. ``python docs/write_evidence.py runs/evidence`` takes both over from a study first: its rows
replace those of the same claims, all others stay. A study of SCoRe (``runs/score-evidence``) has ``score.json`` and
``score_arms.json`` instead, one of thinking (``runs/thinking``) ``thinking.json`` and ``thinking_arms.json``, the
search for a recipe (``runs/recipes``) ``recipes.json``. A test compares the pages with the files.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"
PAGES = (DOCS / "evidence.md", DOCS / "evidence-tables.md")
BLOCK = re.compile(r"(?P<open><!-- evidence:(?P<name>[a-z-]+) -->\n).*?(?P<close><!-- /evidence -->)", re.DOTALL)
ORDER = "SWCXBR"
"""Kinds of claims: the paper's, why some of them failed, controls, choices, the better recipe; those on SCoRe."""
CORNERS = ("score, rewriter 0 %, judge 0 %", "score, rewriter 50 %, judge 30 %")
"""Where trials of a recipe are made."""
BESIDE = ", told beside"
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
MAIN = {
    "base": "base",
    "ntp": "NTP",
    "ntp_compute": "NTP, equal compute",
    "ntp_all_compute": "NTP, teachers' compute too",
    "ntp_filtered": "NTP on what the judge lets pass",
    "sft": "SFT on rewrites",
    "sft_compute": "SFT on rewrites, equal compute",
    "sft_all_compute": "SFT on rewrites, teachers' compute too",
    "sft_teacher": "SFT on the teacher's own text",
    "rf_nll": "RF-NLL",
    "judge_free": "judge-free DPO",
    "grpo": "GRPO",
    "grpo_compute": "GRPO, equal compute",
    "grpo_all_compute": "GRPO, teachers' compute too",
    "after": "NTP, then online DPO at the end",
    "online_dpo": "online DPO",
}
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
DECODINGS = {
    "t0": "greedy",
    "t05": "temperature .5",
    "t07": "temperature .7",
    "p09": "top-p .9",
    "r12": "repetition penalty 1.2",
    "best4": "best of 4 by the judge",
}


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
    if (study / "recipes.json").is_file():
        return _write(RESULTS / "recipes.json", json.loads((study / "recipes.json").read_text("utf-8")))
    if (study / "thinking.json").is_file():
        for name in ("thinking.json", "thinking_arms.json"):
            _write(RESULTS / name, json.loads((study / name).read_text("utf-8")))
        return
    if (study / "score.json").is_file():
        _merge(study, "score.json")
        fresh, old = json.loads((study / "score_arms.json").read_text("utf-8")), _score()
        _write(RESULTS / "score_arms.json", fresh | {key: old[key] | fresh[key] for key in ("chosen", "arms")})
        return
    _merge(study, "pretraining.json")
    _write(RESULTS / "arms.json", arms() | json.loads((study / "arms.json").read_text("utf-8")))


def _merge(study: Path, name: str) -> None:
    fresh = {row["claim"]: row for row in json.loads((study / name).read_text("utf-8"))}
    path = RESULTS / name
    old = {row["claim"]: row for row in json.loads(path.read_text("utf-8"))} if path.is_file() else {}
    merged = sorted((old | fresh).values(), key=lambda row: (ORDER.index(row["claim"][0]), int(row["claim"][1:])))
    _write(path, merged)


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
    """A Markdown table; of a study that was not run no empty one, which would look like a result."""
    if not lines:
        return "*Not run yet.*\n"
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *lines))


def claims(kind: str, verdicts: tuple[str, str] = ("holds", "does not hold")) -> Callable[[], str]:
    """One row for each claim whose id begins like this; a claim of our own cannot be reproduced, it holds or not."""

    def fill() -> str:
        lines = [
            [row["claim"], row["text"], row["theirs"], _first(row), _verdict(row, verdicts), _why(row)]
            for row in rows()
            if row["claim"].startswith(kind)
        ]
        return table(["", "claim", "paper", "ours: first contrast", "verdict", "what does not fit"], lines)

    return fill


def _first(row: dict[str, Any]) -> str:
    """Its first contrast, with what is subtracted from what, and the number of seeds."""
    said = row["tests"][0]["text"] if row.get("tests") else ""
    return f"{said} {spread(row['ours'])}, {row['ours']['seeds']} seeds".strip()


def _verdict(row: dict[str, Any], verdicts: tuple[str, str]) -> str:
    return f"**{verdicts[row['verdict'] != 'reproduced']}**"


def _why(row: dict[str, Any]) -> str:
    """What failed; of a claim that holds, what was told beside it and lies elsewhere than expected."""
    if row["verdict"] != "reproduced":
        return row["why"]
    beside = [test for test in row["tests"] if not test["required"] and not test["holds"]]
    said = (f"{test['text']} {spread(test)}, expected {_wanted(test).removesuffix(BESIDE)}" for test in beside)
    return "beside: " + "; ".join(said) if beside else ""


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
    return f"{sign} {test['bound']:.3g}" + ("" if test["required"] else BESIDE)


def search() -> str:
    """Every trial of the search for a recipe: its score in either corner, and the means that decide."""
    path = RESULTS / "recipes.json"
    if not path.is_file():
        return ""
    found = json.loads(path.read_text("utf-8"))
    corners = ("e0-n0", "e50-n30")
    lines = [
        [
            f"`{name}`" + (" **best**" if name == found["best_at_total"] else ""),
            "all" if name in found["at_total"] else "policy's",
            *(spread(found["corners"][f"try-{name}-{corner}"]["score_pooled"]) for corner in corners),
            *(number(means[what]) for what in ("score_pooled", "factuality", "clean_nll")),
        ]
        for name, means in found["means"].items()
    ]
    header = ["trial", "equal compute of", *CORNERS, "mean", "facts right", "clean NLL"]
    return table(header, lines)


def every_arm() -> str:
    """Figures of every arm, by axis and kind of prefix."""
    return table(["arm", *FIGURES.values()], [_means(f"`{name}`", entry) for name, entry in arms().items()])


def main_arms() -> str:
    """The same of the methods themselves."""
    known = arms()
    return table(["", *FIGURES.values()], [_means(text, known[name]) for name, text in MAIN.items() if name in known])


def _means(name: str, entry: dict[str, Any]) -> list[str]:
    cells = (entry["figures"].get(key, {"mean": None})["mean"] for key in FIGURES)  # fresh seeds have no rival
    return [name, *(number(cell, WIDE.get(key, "{:.3f}")) for key, cell in zip(FIGURES, cells, strict=True))]


def survival() -> str:
    """What is left after either fine-tune, at either rate."""
    known, lines = arms(), []
    for ending, said in (("", ""), ("-gentle", ", gently")):
        for name in (name for name in MAIN if f"{name}.hostile{ending}" in known):
            stages = [known[name], known[f"{name}.benign{ending}"], known[f"{name}.hostile{ending}"]]
            cells = [number(stage["figures"][key]["mean"]) for key in ("factuality", "safety") for stage in stages]
            lines.append([MAIN[name] + said, *cells])
    header = [f"{what}{when}" for what in ("facts right", "safe") for when in ("", ", benign", ", adversarial")]
    return table(["", *header], lines)


def decoded() -> str:
    """Base and control at every way of decoding."""
    known = arms()
    lines = [
        [MAIN[name], text, *_means("", known[f"{name}.{how}"])[1:]]
        for name in ("base", "ntp", "online_dpo")
        for how, text in DECODINGS.items()
        if f"{name}.{how}" in known
    ]
    return table(["", "decoded", *FIGURES.values()], lines)


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
    shown = ("t1", "t2", "delta", "change_rate", "t2_validation")
    lines = [
        [f"`{name}`", *(_points(entry["figures"], key) for key in shown)] for name, entry in _score()["arms"].items()
    ]
    return table(["trial", "t1", "t2", "Δ", "changed", "t2, validation"], lines)


def _points(figures: dict[str, dict[str, float | None]], key: str) -> str:
    return spread(figures[key], "{:.1f}") if key in figures else "–"


BLOCKS: dict[str, Callable[[], str]] = {
    "papers": claims("S", ("reproduced", "not reproduced")),
    "controls": claims("C"),
    "extras": claims("X"),
    "causes": claims("W"),
    "best": claims("B"),
    "search": search,
    "thinking": claims("T"),
    "contrasts": contrasts,
    "main": main_arms,
    "survival": survival,
    "decoded": decoded,
    "arms": every_arm,
    "costs": costs,
    "score": claims("R"),
    "score-arms": score_arms,
    "score-trials": score_trials,
}


def filled(page: str) -> str:
    """The text of a page with its blocks rewritten.

    Raises:
        KeyError: a block with a name that is not in ``BLOCKS``.
    """
    return BLOCK.sub(lambda match: match["open"] + BLOCKS[match["name"]]() + match["close"], page)


if __name__ == "__main__":
    for given in sys.argv[1:]:
        take_over(Path(given))
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
