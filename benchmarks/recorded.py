"""The schedules on recorded verdicts of a real judge: ``python -m benchmarks.recorded``, ``--fill`` for docs/judges.md.

Every pool is played from many orders of seats. A verdict is what the judge said when it was really asked about these
two in this order (``benchmarks.recording``): the order is drawn for the first question about a pair and turned round
for the second. So its bias, its contradictions and its circles are there, and calls are told as the tokens they took.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recording import ALIKE, LOST, OUT, SILENT, WON, Matrices, read
from benchmarks.schedules import PAGE, SCHEDULES, filled
from tutelage.schedules import Schedule, Seat

RESULTS = OUT.with_name("recorded.json")
SEATINGS = 40
"""Orders of seats that every pool is played from."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """What kind of judge it was."""

    pools: int
    candidates: int
    questions: int
    accuracy: float
    """Share of verdicts for the truly better of two that differ in the oracle's total."""
    first_option: float
    """Share of verdicts for the candidate shown first; without a preference one half."""
    contradicted: float
    """Share of pairs that are decided otherwise when the two change places: ties of two looks."""
    alike: float
    """Share of pairs that read alike, so that nothing is asked."""
    silent: float
    """Share of answers without a verdict."""
    circles: float
    """Share of triples, of those that are decided in both orders alike, in which each beats the next. By chance 1/4."""
    tokens: float
    """Of a question with its answer."""


@dataclass(frozen=True, slots=True)
class Row:
    """One schedule on the recorded pools; all of it means over pools, errors by differences pool by pool."""

    name: str
    calls: float
    calls_share: float
    tokens_share: float
    """Tokens of the judge, as a share of those that all pairs took."""
    own_share: float
    """Gap in the judge's own win rates over all pairs in both orders, as a share of all pairs' gap."""
    own_error: float
    true_share: float
    """Gap in the oracle's total, as a share of all pairs' gap."""
    true_error: float


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What came of a schedule, by pool: means over seatings, shape ``(P,)``."""

    calls: Numbers
    tokens: Numbers
    own: Numbers
    true: Numbers


def figures(found: Matrices) -> JudgeFigures:
    """What the matrices tell of their judge."""
    pools, num = found.truth.shape
    apart = ~np.eye(num, dtype=bool)
    asked = (found.verdict != ALIKE) & apart
    read_ = (found.verdict == WON) | (found.verdict == LOST)
    lead = found.truth[:, :, None] - found.truth[:, None, :]
    known = read_ & (np.abs(lead) > 1e-6)
    upper = np.triu(apart)
    both = read_ & read_.transpose(0, 2, 1) & upper
    differ = both & (found.verdict == found.verdict.transpose(0, 2, 1))
    tokens = found.prompt_tokens.astype(float) + found.answer_tokens
    return JudgeFigures(
        pools,
        num,
        int(asked.sum()),
        accuracy=float(((found.verdict == WON) == (lead > 0))[known].mean()),
        first_option=float((found.verdict == WON)[read_].mean()),
        contradicted=float(differ.sum() / both.sum()),
        alike=float(((found.verdict == ALIKE) & upper).sum() / (pools * upper.sum())),
        silent=float((found.verdict == SILENT).sum() / asked.sum()),
        circles=_circles(found),
        tokens=float(tokens[asked].mean()),
    )


def _circles(found: Matrices) -> float:
    """Among triples of which all three pairs were decided alike in both orders."""
    beats = (found.verdict == WON) & (found.verdict.transpose(0, 2, 1) == LOST)
    circular = decided = 0
    for i, j, k in combinations(range(found.truth.shape[1]), 3):
        whole = np.logical_and.reduce([beats[:, a, b] | beats[:, b, a] for a, b in ((i, j), (j, k), (i, k))])
        around = (beats[:, i, j] & beats[:, j, k] & beats[:, k, i]) | (beats[:, j, i] & beats[:, k, j] & beats[:, i, k])
        decided, circular = decided + int(whole.sum()), circular + int(around.sum())
    return circular / max(decided, 1)


def points_of(found: Matrices) -> tuple[Numbers, Numbers]:
    """What the first gets from a verdict, and how many answers it is: alike is half a point, silence no answer."""
    points = np.where(found.verdict == ALIKE, 0.5, (found.verdict == WON).astype(float))
    return np.where(found.verdict == SILENT, 0.0, points), (found.verdict != SILENT).astype(float)


def own_scores(found: Matrices) -> Numbers:
    """The judge's win rates over all pairs in both orders, shape ``(P, K)``; NaN where it never said anything."""
    points, answers = points_of(found)
    apart = 1.0 - np.eye(found.truth.shape[1])
    won = (points * apart).sum(2) + ((answers - points) * apart).sum(1)
    given = ((answers + answers.transpose(0, 2, 1)) * apart).sum(2)
    return np.divide(won, given, out=np.full(won.shape, np.nan), where=given > 0)


def play(schedule: Schedule, found: Matrices, seatings: int, seed: int = 0) -> Played:
    """A schedule on every pool from ``seatings`` orders; seats and orders of options are the same for all schedules."""
    points, answers = points_of(found)
    tokens = found.prompt_tokens.astype(float) + found.answer_tokens
    own, (pools, num) = own_scores(found), found.truth.shape
    rows, sums = np.arange(pools)[:, None], np.zeros((4, pools))
    for seating in range(seatings):
        generator = np.random.default_rng((seed, seating))
        order = generator.permuted(np.tile(np.arange(num), (pools, 1)), axis=1)
        first = np.triu(generator.integers(0, 2, (pools, num, num)), 1)  # which of the two is shown first
        seats = [[Seat("suffix" if one == 0 else "rollout", one) for one in own_order] for own_order in order.tolist()]
        tournament, met = schedule.begin(seats), np.zeros((pools, num, num), np.int64)
        while (real := tournament.pairs[:, :, 0] >= 0).any():
            a, b = order[rows, tournament.pairs[:, :, 0]], order[rows, tournament.pairs[:, :, 1]]
            low, high = np.minimum(a, b), np.maximum(a, b)
            turned = (first[rows, low, high] + met[rows, low, high]) % 2 == 1
            shown, second = np.where(turned, high, low), np.where(turned, low, high)
            got, given = points[rows, shown, second], answers[rows, shown, second]
            won = np.where(shown == a, got, given - got) * real
            np.add.at(met, (np.broadcast_to(rows, low.shape)[real], low[real], high[real]), 1)
            sums[0] += (real & (tokens[rows, shown, second] > 0)).sum(1)
            sums[1] += (tokens[rows, shown, second] * real).sum(1)
            tournament = tournament.after(won, given * real)
        best, worst = _ends(tournament.scores, generator.random((pools, num)))
        chosen, rejected = order[rows[:, 0], best], order[rows[:, 0], worst]
        sums[2] += own[rows[:, 0], chosen] - own[rows[:, 0], rejected]
        sums[3] += found.truth[rows[:, 0], chosen] - found.truth[rows[:, 0], rejected]
    return Played(*(sums / seatings))


def _ends(scores: Numbers, tie: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Best and worst seat; equal ones by a draw, those without a score never."""
    none = np.isnan(scores)
    best = np.lexsort((tie, -np.where(none, -np.inf, scores)))[:, 0]
    worst = np.lexsort((tie, np.where(none, np.inf, scores)))[:, 0]
    return best, worst


def compare(found: Matrices, seatings: int) -> list[Row]:
    """A row a schedule."""
    whole = play(SCHEDULES["all pairs"], found, seatings)
    pairs = found.truth.shape[1] * (found.truth.shape[1] - 1) // 2
    rows: list[Row] = []
    for name, schedule in SCHEDULES.items():
        one = play(schedule, found, seatings)
        own, own_error = _share(one.own, whole.own)
        true, true_error = _share(one.true, whole.true)
        calls, tokens = one.calls.mean(), one.tokens.sum() / whole.tokens.sum()
        numbers = (calls, calls / pairs, tokens, own, own_error, true, true_error)
        rows.append(Row(name, *(round(float(number), 4) for number in numbers)))
    return rows


def _share(gap: Numbers, whole: Numbers) -> tuple[float, float]:
    """Ratio of the means with its standard error over pools."""
    share = gap.mean() / whole.mean()
    return share, (gap - share * whole).std() / whole.mean() / np.sqrt(len(gap))


def table(judge: JudgeFigures, rows: Sequence[Row]) -> str:
    """Markdown: the judge, then the schedules."""
    about = [
        ("verdicts for the truly better one", judge.accuracy),
        ("verdicts for the one shown first", judge.first_option),
        ("pairs decided otherwise when turned round", judge.contradicted),
        ("circles among decided triples (by chance .250)", judge.circles),
        ("pairs that read alike", judge.alike),
        ("answers without a verdict", judge.silent),
    ]
    asked = f"this judge, {judge.questions:,} answers about {judge.pools} pools"
    lines = [[asked, "share"], ["---"] * 2, *([name, f"{share:.3f}"] for name, share in about)]
    header = [f"K = {judge.candidates}", "calls", "tokens", "gap in its own scores", "true gap"]
    body = [
        [
            row.name,
            f"{row.calls:.1f}".removesuffix(".0"),
            f"{row.tokens_share:.1%}",
            f"{row.own_share:.3f} ± {row.own_error:.3f}",
            f"{row.true_share:.3f} ± {row.true_error:.3f}",
        ]
        for row in rows
    ]
    tables = (lines, [header, ["---"] * 5, *body])
    return "\n".join("".join(f"| {' | '.join(line)} |\n" for line in one) for one in tables)


def measured(path: Path = RESULTS) -> tuple[JudgeFigures, list[Row]]:
    """What was found, from its file."""
    plain = json.loads(path.read_text("utf-8"))
    return JudgeFigures(**plain["judge"]), [Row(**row) for row in plain["schedules"]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorded", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--verdicts", type=Path, default=OUT, help="what benchmarks.recording wrote")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the numbers go")
    parser.add_argument("--fill", action="store_true", help="play nothing: fill docs/judges.md with what is committed")
    chosen = parser.parse_args(arguments)
    if not chosen.fill:
        found = read(chosen.verdicts)
        judge, rows = figures(found), compare(found, SEATINGS)
        plain = {"judge": asdict(judge), "seatings": SEATINGS, "schedules": [asdict(row) for row in rows]}
        chosen.out.write_text(json.dumps(plain, indent=1) + "\n", "utf-8")
        print(table(judge, rows))
    else:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), table(*measured()), "recorded"), "utf-8")


if __name__ == "__main__":
    main()
