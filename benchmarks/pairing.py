"""Two workers side by side: ours, theirs, ours, theirs, each waiting while the other works; and what the pairs say.

This process computes nothing and imports no large library, so that it takes no time or memory from either.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.model import Job

ROOT = Path(__file__).resolve().parent.parent
PAUSE = 0.3
"""Seconds between steps: threads of the side that has just worked spin for up to 0.2 s before they sleep."""


PATIENCE = 900.0
"""Seconds after which a worker that has not reported is ended: the largest shapes may not fit a machine's hours."""


class WorkerFailed(RuntimeError):
    """A worker ended before it had said what was asked of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step as its worker reported it."""

    seconds: float
    amount: float
    grown_mib: float
    """Peak memory so far above what was held when the model was loaded."""


class Worker:
    """A process with one arm in it."""

    def __init__(self, python: Path, job: Job, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._name, self._log = f"{job.arm} ({python})", log
        self._stderr = log.open("w")
        # Thread pools of libraries read these when they are loaded; torch is told again by the worker.
        threads = {name: str(job.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        openmp = python.parent.parent / "lib" / "libiomp5.so"  # vLLM's build brings it, and advises to load it first
        preload = {"LD_PRELOAD": str(openmp)} if openmp.exists() else {}
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.worker"],
            cwd=ROOT,
            env={**os.environ, **threads, **preload, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,
        )
        try:
            self._say(asdict(job))
            self.notes: dict[str, Any] = self._hear()["ready"]
        except WorkerFailed:
            self.close()
            raise

    def step(self) -> Step:
        """Let it do one step, and wait for its report.

        Raises:
            WorkerFailed: it ended instead.
        """
        self._say({"do": "step"})
        return Step(**self._hear())

    def close(self) -> None:
        """End the process and whatever it has started, if need be by force."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # an engine of its own that outlived it would take a core
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        guard = threading.Timer(PATIENCE, self._process.kill)
        guard.start()
        try:
            line = self._process.stdout.readline()
        finally:
            guard.cancel()
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self) -> WorkerFailed:
        code = self._process.wait()
        last = "".join(self._log.read_text("utf-8", "replace").splitlines(keepends=True)[-6:])
        why = f" (killed: out of memory, or no report for {PATIENCE:.0f} s)" if code == -signal.SIGKILL else ""
        return WorkerFailed(f"{self._name} ended with code {code}{why}; the end of {self._log}:\n{last}")


@dataclass(frozen=True, slots=True)
class Side:
    """Where one side of a pair runs."""

    python: Path
    job: Job


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was measured, pair by pair."""

    ours: tuple[Step, ...]
    theirs: tuple[Step, ...]
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


def interleave(ours: Side, theirs: Side, *, pairs: int, logs: Path, limit_s: float = float("inf")) -> Pairs:
    """``pairs`` pairs of steps, fewer only where ``limit_s`` is over after a pair.

    Raises:
        WorkerFailed: either side failed.
    """
    started = time.perf_counter()
    done: list[tuple[Step, Step]] = []
    mine, other = (replace(side.job, steps=pairs + 4) for side in (ours, theirs))
    with Worker(ours.python, mine, logs / "ours.log") as a, Worker(theirs.python, other, logs / "theirs.log") as b:
        while len(done) < pairs and (not done or time.perf_counter() - started < limit_s):
            time.sleep(PAUSE)
            first = a.step()
            time.sleep(PAUSE)
            done.append((first, b.step()))
        return Pairs(*zip(*done, strict=True), notes={"ours": a.notes, "theirs": b.notes})  # pyright: ignore[reportArgumentType]


def after_timing(arm: str, setting: str) -> Callable[..., Pairs]:
    """Like ``interleave``, where both sides are told, as ``setting``, how many seconds a step of ``arm`` takes.

    It is measured once, before the pairs, so that both are told the same; where a side's settings name it, that holds.
    """

    def measure(ours: Side, theirs: Side, *, pairs: int, logs: Path, limit_s: float = float("inf")) -> Pairs:
        with Worker(ours.python, replace(ours.job, arm=arm), logs / "timed.log") as worker:
            seconds = statistics.median([worker.step().seconds for _ in range(3)])
        told = [
            replace(s, job=replace(s.job, settings={setting: seconds, **(s.job.settings or {})}))
            for s in (ours, theirs)
        ]
        return interleave(*told, pairs=pairs, logs=logs, limit_s=limit_s)

    return measure


def fresh(ours: Side, theirs: Side, *, pairs: int, logs: Path, limit_s: float = float("inf")) -> Pairs:
    """Like ``interleave``, but every step in a process of its own: for peaks of memory, which a process cannot undo."""
    parts: list[Pairs] = []
    started = time.perf_counter()
    while len(parts) < pairs and (not parts or time.perf_counter() - started < limit_s):
        sides = [_alone(side, logs / f"{name}.log") for side, name in ((ours, "ours"), (theirs, "theirs"))]
        (a, said), (b, heard) = sides
        parts.append(Pairs((a,), (b,), {"ours": said, "theirs": heard}))
    return Pairs(tuple(p.ours[0] for p in parts), tuple(p.theirs[0] for p in parts), parts[0].notes)


def _alone(side: Side, log: Path) -> tuple[Step, dict[str, Any]]:
    with Worker(side.python, side.job, log) as worker:
        return worker.step(), worker.notes


@dataclass(frozen=True, slots=True)
class Ratio:
    """How the sides compare over the pairs: the median, and the whole range."""

    median: float
    low: float
    high: float


def ratio_of(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Ratios pair by pair, so that what slows both down for a while does not count.

    Raises:
        ValueError: there is no pair, or the sides differ in number.
    """
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    if not ratios:
        raise ValueError("no pair was measured")
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def own_python() -> Path:
    """The interpreter that Tutelage runs in."""
    return Path(sys.executable)
