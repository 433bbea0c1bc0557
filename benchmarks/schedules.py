"""How much of all pairs' gap each schedule finds, and for how many calls: ``python -m benchmarks.schedules``.

Qualities are drawn from N(0, 1) and a judge of sharpness s prefers i to j with chance σ(s (q_i − q_j)). The gap of a
schedule is the true quality of what it chooses minus that of what it rejects, a mean over pools. The schedules are
those of the package, played on as many pools side by side as fit into a cache.
"""

import argparse
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.schedules import Adaptive, AllPairs, KnockOut, Pivot, Schedule, Seat, Swiss

SHARPNESS = (1.0, 2.0, 4.0)
CANDIDATES = (4, 8, 16, 32, 64)
TRIALS = 20_000
BLOCK = 500
"""Pools side by side: enough to hide the interpreter, few enough to stay in a cache."""
MOST_CALLS = 250
"""An adaptive schedule is left out where it may ask more of one pool: so the whole table takes minutes."""
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "schedules" / "simulation.json"
PAGE = ROOT / "docs" / "judges.md"
SCHEDULES: Mapping[str, Schedule] = {
    "all pairs": AllPairs(),
    "pivot": Pivot(),
    "knock-out": KnockOut(),
    "Swiss, 4 rounds": Swiss(4),
    "Swiss, 6 rounds": Swiss(6),
    "adaptive, 10 %": Adaptive(budget=0.1),
    "adaptive, 20 %": Adaptive(budget=0.2),
    "adaptive, 30 %": Adaptive(budget=0.3),
    "adaptive, at most 36 %": Adaptive(budget=0.36, tolerance=0.1),
    "adaptive, 30 %, no pair twice": Adaptive(budget=0.3, repeats=1),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One schedule on pools of one size under one judge."""

    name: str
    budget: float
    """Most calls of a pool, as a share of all pairs."""
    candidates: int
    sharpness: float
    trials: int
    calls_share: float
    """Calls made, a mean over pools, as a share of all pairs."""
    gap_share: float
    """Gap, as a share of all pairs' on the same pools."""
    gap: float
    error: float
    """Standard error of ``gap_share``, differences pool by pool."""


def simulate(
    schedule: Schedule, candidates: int, sharpness: float, trials: int, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Gap and calls of every pool. The pools are the same for every schedule; their judges' draws are not."""
    # Where a candidate stands says nothing about its quality, so the pivot may as well stand first.
    seats = [Seat("rollout" if index else "suffix", index) for index in range(candidates)]
    gaps: list[NDArray[np.float64]] = []
    calls: list[NDArray[np.int64]] = []
    for block, start in enumerate(range(0, trials, BLOCK)):
        pools = min(BLOCK, trials - start)
        quality = np.random.default_rng((seed, candidates, block)).standard_normal((pools, candidates))
        judge = np.random.default_rng((seed, candidates, block, 1))
        tournament = schedule.begin([seats] * pools)
        asked = np.zeros(pools, np.int64)
        rows = np.arange(pools)[:, None]
        while (real := tournament.pairs[:, :, 0] >= 0).any():
            first, second = tournament.pairs[:, :, 0], tournament.pairs[:, :, 1]
            lead = sharpness * (quality[rows, first] - quality[rows, second])
            wins = judge.random(lead.shape) < 1.0 / (1.0 + np.exp(-lead))
            tournament = tournament.after((wins & real).astype(np.float64), real.astype(np.float64))
            asked += real.sum(1)
        # Equal scores are ordered by a draw, as in training.
        scores, tie = tournament.scores, judge.random((pools, candidates))
        best = np.lexsort((tie, -scores))[:, 0]
        worst = np.lexsort((tie, scores))[:, 0]
        gaps.append(quality[rows[:, 0], best] - quality[rows[:, 0], worst])
        calls.append(asked)
    return np.concatenate(gaps), np.concatenate(calls)


def compare(
    schedules: Mapping[str, Schedule], candidates: int, sharpness: float, trials: int, seed: int = 0
) -> list[Row]:
    """A row a schedule, all pairs played beside them."""
    whole, _ = simulate(AllPairs(), candidates, sharpness, trials, seed)
    pairs = candidates * (candidates - 1) // 2
    rows: list[Row] = []
    for name, schedule in schedules.items():
        gap, calls = simulate(schedule, candidates, sharpness, trials, seed)
        share = gap.mean() / whole.mean()
        error = (gap - share * whole).std() / whole.mean() / math.sqrt(trials)
        budget, asked, found, true, spread = (
            round(float(n), 4) for n in (calls.max() / pairs, calls.mean() / pairs, share, gap.mean(), error)
        )
        rows.append(Row(name, budget, candidates, sharpness, trials, asked, found, true, spread))
    return rows


def chosen_for(candidates: int) -> dict[str, Schedule]:
    """The schedules that are played on pools of this size."""
    return {
        name: schedule
        for name, schedule in SCHEDULES.items()
        if not isinstance(schedule, Adaptive) or schedule.calls(candidates) <= MOST_CALLS
    }


def tables(rows: Sequence[Row]) -> str:
    """Markdown: every schedule on pools of 16, then pools of every size."""
    by = {(row.name, row.candidates, row.sharpness): row for row in rows}

    def cells(name: str, size: int) -> list[str]:
        mine = [by[name, size, sharpness] for sharpness in SHARPNESS]
        calls = [f"{row.calls_share * size * (size - 1) / 2:.1f}".removesuffix(".0") for row in mine]
        shares = [f"{row.gap_share:.3f} ± {row.error:.3f}" for row in mine]
        return [" / ".join(dict.fromkeys(calls)), *shares]

    header = ["calls", *(f"s = {sharpness:g}" for sharpness in SHARPNESS)]
    first = [["K = 16", *header], ["---"] * 5, *([n, *cells(n, 16)] for n in SCHEDULES if (n, 16, 1.0) in by)]
    second = [["K", "schedule", *header], ["---"] * 6]
    for size in sorted({row.candidates for row in rows} - {16}):
        for name in ("pivot", "knock-out", "adaptive, 10 %", "adaptive, 30 %"):
            if (name, size, 1.0) in by and (name != "adaptive, 10 %" or size > 16):
                second.append([str(size), name, *cells(name, size)])
    parts = ["".join(f"| {' | '.join(line)} |\n" for line in table) for table in (first, second) if len(table) > 2]
    return "\n".join(parts)


def filled(page: str, text: str, name: str = "schedules") -> str:
    """The page with ``text`` between ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Raises:
        ValueError: the page has no such place, or more than one.
    """
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    whole, count = place.subn(lambda match: match[1] + text + match[2], page)
    if count != 1:
        raise ValueError(f"the page has {count} places called {name} instead of one")
    return whole


def read(path: Path) -> list[Row]:
    """The rows of a file."""
    return [Row(**row) for row in json.loads(path.read_text("utf-8"))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/teachers/schedules.json"), help="where the rows go")
    parser.add_argument("--trials", type=int, default=TRIALS, help="pools a row")
    parser.add_argument("--candidates", type=int, nargs="+", default=CANDIDATES, help="sizes of pools")
    parser.add_argument(
        "--fill", action="store_true", help="measure nothing: fill docs/judges.md with what is committed"
    )
    chosen = parser.parse_args(arguments)
    if chosen.fill:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), tables(read(RESULTS))), "utf-8")
        return
    rows: list[Row] = []
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for candidates in chosen.candidates:
        for sharpness in SHARPNESS:
            new = compare(chosen_for(candidates), candidates, sharpness, chosen.trials)
            for row in new:
                print(
                    f"K {row.candidates:2}  s {row.sharpness:g}  {row.name:30} calls {row.calls_share:6.1%}  "
                    f"gap {row.gap:.2f}  {row.gap_share:6.1%} ± {row.error:.1%}",
                    flush=True,
                )
            rows += new
            chosen.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
