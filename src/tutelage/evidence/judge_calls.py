"""Fewer comparisons in training: arms that differ in the judge's schedule, each until the same number of its calls.

Who compares fewer pairs of a pool judges more pools for the same bill, and the policy makes more updates. Rules stand
here before a run of these seeds was made. The judge turns a verdict round now and then, so that a schedule which asks
little cannot rely on every answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tutelage.evidence.arms import Arm, Book, base
from tutelage.evidence.claims import Claim, more
from tutelage.evidence.costs import most_calls
from tutelage.evidence.figures import Figures
from tutelage.evidence.plan import train_job
from tutelage.evidence.settings import SEEDS, Setting
from tutelage.evidence.verdicts import row
from tutelage.maths.ranges import require
from tutelage.optimizer import LearningRate
from tutelage.phases import Steps
from tutelage.record import write_atomically
from tutelage.report.history import History, histories, spending
from tutelage.schedules import Adaptive, AllPairs, KnockOut, Pivot, Schedule
from tutelage.study import Job, Study
from tutelage.worlds.facts import FactsJudge
from tutelage.worlds.facts.start import WriteTokenizer

SCHEDULES: Mapping[str, Schedule] = {
    "all_pairs": AllPairs(),
    "adaptive": Adaptive(budget=0.3),
    "knock_out": KnockOut(),
    "pivot": Pivot(),
}
LONG = "all_pairs_long"
"""All pairs for as many updates as ``adaptive`` makes, whatever that costs."""
SHOWN = ("quality", "win_rate_natural", "factuality", "clean_nll")
COMMAND = "tutelage train judge_calls --directory runs/judge_calls"
MEASURED = 8
"""So often the truth is measured on the way."""
CURVE = "evaluation/facts_true_quality"

CLAIMS = (
    Claim(
        "J1",
        "At an equal number of judge calls the adaptive schedule ends with a better model than all pairs",
        "–",
        (
            more("quality", "adaptive", "all_pairs"),
            more("win_rate_natural", "adaptive", "all_pairs"),
            more("factuality", "adaptive", "all_pairs", also=True),
            more("log_clean_nll", "adaptive", "all_pairs", expect="below", also=True),
        ),
    ),
    Claim(
        "J2",
        "So does the double knock-out",
        "–",
        (more("quality", "knock_out", "all_pairs"), more("win_rate_natural", "knock_out", "all_pairs")),
    ),
    Claim(
        "J3",
        "At an equal number of updates the adaptive schedule loses at most .03 of quality to all pairs",
        "–",
        (more("quality", "adaptive", LONG, bound=-0.03), more("win_rate_natural", "adaptive", LONG, also=True)),
    ),
    Claim(
        "J4",
        "From the same calls the pivot makes less than the adaptive schedule, though it judges more pools",
        "–",
        (
            more("quality", "adaptive", "pivot"),
            more("win_rate_natural", "adaptive", "pivot"),
            more("quality", "pivot", "all_pairs", also=True),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsSetting:
    """What the arms share, besides the setting of the evidence."""

    setting: Setting = field(default_factory=Setting)
    seeds: tuple[int, ...] = SEEDS[:4]
    """No setting was ever chosen on them."""
    num_rollouts: int = 14
    """With suffix and rewrite 16 candidates, of which all pairs are 120."""
    judge_noise: float = 0.15
    """Chance that a verdict is turned round."""
    all_pairs_updates: int = 40
    """How many updates all pairs make; all others get the calls of these."""
    warmup: int = 5
    """Updates of warm-up: few, or the shortest arm would be half of it."""

    def __post_init__(self) -> None:
        require(self, "num_rollouts", "all_pairs_updates", at_least=1)
        if not self.seeds:
            raise ValueError("judge_calls needs at least one seed")

    @property
    def candidates(self) -> int:
        """Of a pool."""
        return self.num_rollouts + 2

    def updates(self, name: str) -> int:
        """So many that no more calls are made than by all pairs in theirs."""
        if name == LONG:
            return self.updates("adaptive")
        whole = self.all_pairs_updates * most_calls(AllPairs(), self.candidates)
        return whole // most_calls(SCHEDULES[name], self.candidates)


def calls_study(setting: CallsSetting | None = None) -> Study:
    """Every arm once a seed, and the report on them."""
    chosen = setting or CallsSetting()
    own = chosen.setting
    jobs = [Job("tokenizer", WriteTokenizer(own.world), effort=1)]
    arms = all_arms(chosen)
    jobs += [train_job(arm, seed, own, reader=False) for arm in arms.values() for seed in chosen.seeds]
    jobs.append(Job("report", CallsReport(chosen), tuple(job.name for job in jobs), effort=10))
    return Study(name="judge_calls", jobs=tuple(jobs))


def all_arms(chosen: CallsSetting) -> dict[str, Arm]:
    """The base, which all others continue, and an arm a schedule."""
    book = Book(chosen.setting)
    arms = [base(book), *(_arm(book, chosen, name) for name in (*SCHEDULES, LONG))]
    return {arm.name: arm for arm in arms}


def _arm(book: Book, chosen: CallsSetting, name: str) -> Arm:
    """Online DPO on a pool of suffix, rewrite and rollouts, judged by quality alone, which is compared."""
    schedule, updates = SCHEDULES.get(name, AllPairs()), chosen.updates(name)
    judge = FactsJudge(chosen.setting.world, axes=("quality",), schedule=schedule, noise=chosen.judge_noise)
    method = chosen.setting.online_dpo
    arm = book.arm(name, method, book.pool(chosen.num_rollouts), (judge,), until=Steps(updates), effort=0.3 * updates)
    rate = LearningRate(method.learning_rate, warmup_steps=chosen.warmup)
    phases = tuple(replace(phase, learning_rate=rate) for phase in arm.phases)
    return replace(arm, phases=phases, watched_every=max(1, updates // MEASURED))


@dataclass(frozen=True, slots=True)
class CallsReport:
    """Writes ``STUDY/judge_calls.json``: the claims, and of every arm its figures, what it took and its curve."""

    setting: CallsSetting

    def execute(self, directory: Path, study: Path) -> bool:
        """Measure, judge, write."""
        seeds = dict.fromkeys(all_arms(self.setting), self.setting.seeds)
        figures = Figures.of(self.setting.setting.world, study, seeds)
        found = {
            "claims": [row(claim, figures, COMMAND) for claim in CLAIMS],
            "arms": {name: self._arm(name, figures, study) for name in seeds},
        }
        write_atomically(study / "judge_calls.json", (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
        return True

    def _arm(self, name: str, figures: Figures, study: Path) -> dict[str, Any]:
        runs = histories([study / f"{name}-{seed}" for seed in self.setting.seeds])
        found: dict[str, Any] = {
            "seeds": list(self.setting.seeds),
            "figures": figures.tabled(name, [what for what in SHOWN if what in figures.names(name)]),
        }
        if name != "base":
            spent = spending(runs)
            found |= {"updates": spent.steps, "calls": _mean_calls(runs), "spent": spent.plain(), "curve": curve(runs)}
        return found


def _mean_calls(runs: list[History]) -> float:
    return sum(line.get("calls/quality", 0.0) for rows in runs for line in rows) / len(runs)


def curve(runs: list[History]) -> dict[str, list[float]]:
    """True quality over the calls made so far, a mean over runs that were measured at the same updates."""
    points: dict[int, list[tuple[float, float]]] = {}
    for rows in runs:
        calls = 0.0
        for line in rows:
            calls += line.get("calls/quality", 0.0)
            if CURVE in line:
                points.setdefault(int(line["step"]), []).append((calls, float(line[CURVE])))
    means = [[sum(column) / len(found) for column in zip(*found, strict=True)] for _, found in sorted(points.items())]
    return {"calls": [mean[0] for mean in means], "quality": [mean[1] for mean in means]}
