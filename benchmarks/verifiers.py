"""Programs checked a second: ``python -m benchmarks.verifiers``.

Our verifier of code beside a twin that makes two fresh sandboxes for every program, one after the other: the same
walls, the same tests, the same verdicts. Programs are HumanEval's own solutions; the two take turns.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from benchmarks.__main__ import commit, machine
from tutelage.episodes import Problem
from tutelage.problems import HumanEval
from tutelage.types import Scored, Verdict
from tutelage.verifiers import Code, CodeVerifier

RESULTS = Path(__file__).resolve().parent / "results" / "verifiers"
FOLDER = "../shared/data/score"


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was measured."""

    programs: int
    """Of a round, all different."""
    ours: tuple[float, ...]
    """Programs a second, round by round."""
    twin: tuple[float, ...]
    ratio: float
    """Median over the rounds of ours ÷ twin."""
    workers: int
    machine: str
    python: str
    date: str
    commit: str
    command: str


def fresh(problems: Sequence[Problem], programs: Sequence[str]) -> list[Verdict]:
    """The twin: a verifier with one worker for each program, ended after it."""
    verdicts: list[Verdict] = []
    for problem, program in zip(problems, programs, strict=True):
        verifier = CodeVerifier(Code(workers=1), ahead=0)
        try:
            verdicts += verifier.check([problem], [program])
        finally:
            verifier.close()
    return verdicts


def measure(problems: Sequence[Problem], programs: Sequence[str], rounds: int, workers: int) -> Throughput:
    """Both sides on the same programs, in turns.

    Raises:
        RuntimeError: a right program was not found right.
    """
    ours: list[float] = []
    twin: list[float] = []
    with Code(workers=workers).build() as verifier:
        for _ in range(rounds):
            for check, found in ((verifier.check, ours), (fresh, twin)):
                begun = time.perf_counter()
                verdicts = check(problems, programs)
                found.append(round(len(programs) / (time.perf_counter() - begun), 2))
                if set(verdicts) != {Scored(1.0)}:
                    raise RuntimeError("a right program was not found right: nothing is measured")
    ratio = statistics.median(one / other for one, other in zip(ours, twin, strict=True))
    command = f"python -m benchmarks.verifiers --programs {len(programs)} --rounds {rounds} --workers {workers}"
    return Throughput(
        programs=len(programs),
        ours=tuple(ours),
        twin=tuple(twin),
        ratio=round(ratio, 2),
        workers=workers,
        machine=machine(),
        python=platform.python_version(),
        date=date.today().isoformat(),
        commit=commit(),
        command=command,
    )


def main() -> None:
    """Measure and write ``results/verifiers/code.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verifiers", description=__doc__)
    parser.add_argument("--programs", type=int, default=164)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", default=FOLDER, help="has humaneval/HumanEval.jsonl")
    parser.add_argument("--out", type=Path, default=RESULTS / "code.json")
    asked = parser.parse_args()
    found = HumanEval(asked.folder).read()
    programs = [solution for solution in found.solutions[: asked.programs] if solution is not None]
    result = measure(found.problems[: len(programs)], programs, asked.rounds, asked.workers)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(asdict(result), indent=1) + "\n", "utf-8")
    print(f"{statistics.median(result.ours):.1f} programs a second, {result.ratio:.2f} times the twin's")


if __name__ == "__main__":
    main()
