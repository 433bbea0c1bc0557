"""Figures of self-correction of any model on any problems, with 95 % intervals over problems, and their tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.correction.outcomes import FIGURES, Outcomes, figures_of
from tutelage.correction.voting import budgets_of, majority, votes
from tutelage.report.estimates import Draws, Estimate, plain

HEADINGS = {
    "t1": "t1",
    "t2": "last",
    "delta": "Δ",
    "i_to_c": "wrong → right",
    "c_to_i": "right → wrong",
    "change_rate": "changed",
    "mended": "of wrong ones mended",
}
ITEMS = "problems"


def correction_figures(told: Outcomes) -> dict[str, Any]:
    """Points: the first attempt against the last; accuracy and majority vote by turn; votes at equal samples.

    Intervals are over problems, of the one model that was asked: they say nothing of another training run.
    """
    draws = Draws.make(1, {ITEMS: len(told.ids)})
    draws_of = [_share(draws, told.accuracies()[:, turn]) for turn in range(told.turns)]
    found: dict[str, Any] = {
        "problems": len(told.ids),
        "episodes": told.right.shape[1],
        "turns": told.turns,
        "accuracy_by_turn": [plain(one) for one in draws_of],
        "cut_by_turn": (100.0 * told.cut.mean(axis=(0, 1))).tolist(),
        "without_answer_by_turn": (100.0 * (told.answers < 0).mean(axis=(0, 1))).tolist(),
        "abstained": 100.0 * float((~told.known).mean()),
    }
    if told.turns > 1:
        found |= {name: plain(value) for name, value in figures_of(draws.means(ITEMS, told.sums())).items()}
    if told.right.shape[1] > 1:
        voted = [np.array([majority(told, turn)]).T for turn in range(told.turns)]
        found["majority_by_turn"] = [plain(100.0 * draws.means(ITEMS, one)[:, 0]) for one in voted]
    budgets = budgets_of(told)
    if told.turns > 1 and budgets:
        found["votes"] = {"budget": list(budgets)} | {
            way: [plain(100.0 * draws.means(ITEMS, row[:, None])[:, 0]) for row in table]
            for way, table in zip(("parallel", "sequential"), votes(told, budgets), strict=True)
        }
    return found


def _share(draws: Draws, pair: NDArray[np.float64]) -> Estimate:
    means = draws.means(ITEMS, pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100.0 * means[:, 0] / means[:, 1]


def correction_tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: one row a model; then accuracy by turn, and votes, where there are any."""
    lines = ["Points, mean [95 % interval over problems]", ""]
    columns = [name for name in FIGURES if any(name in one for one in found.values())]
    if columns:
        lines += _table(
            ["", *(HEADINGS[name] for name in columns)],
            [[name, *(_cell(one.get(what)) for what in columns)] for name, one in found.items()],
        )
    turns = max(one["turns"] for one in found.values())
    lines += _table(
        ["right at turn", *map(str, range(1, turns + 1))],
        [[name, *map(_cell, one["accuracy_by_turn"])] for name, one in found.items()],
    )
    voted = {name: one["majority_by_turn"] for name, one in found.items() if "majority_by_turn" in one}
    if voted:
        rows = [[name, *map(_cell, cells)] for name, cells in voted.items()]
        lines += _table(["majority at turn", *map(str, range(1, turns + 1))], rows)
    for name, one in found.items():
        if "votes" in one:
            told = one["votes"]
            rows = [[f"{name}, {way}", *map(_cell, told[way])] for way in ("parallel", "sequential")]
            lines += _table(["samples", *map(str, told["budget"])], rows)
    for name, one in found.items():
        lines.append(f"- {name}: {one['abstained']:.1f} without a verdict; cut off by turn {_cut(one)}")
    return "\n".join(lines) + "\n"


def _cut(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{share:.1f}" for share in one["cut_by_turn"])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    whole = [[*row, *["–"] * (len(header) - len(row))] for row in rows]  # one model may have had fewer turns
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *whole)] + [""]


def _cell(found: Mapping[str, float | None] | None) -> str:
    if found is None or found["mean"] is None:
        return "–"
    return f"{found['mean']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"
