"""How far a study is: read from what its jobs write, so that watching it costs them nothing."""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

from tutelage.state import steps
from tutelage.trackers import read_metrics

WINDOW_SECONDS = 120.0
"""What the pace is taken over [I]: many steps, and yet of the jobs that run now."""
LEAST_SECONDS = 25.0
"""Steps to see before a time to go is told [I]: the first ones are slow, and a figure from them is too large."""

State = Literal["waiting", "running", "done"]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is."""

    name: str
    state: State
    share: float
    """Of this job, in [0, 1]."""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    """The last line of its metrics; empty before its first step in this process."""


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """How far a study is."""

    jobs: tuple[JobStatus, ...]
    share: float
    elapsed: float
    """Seconds since this process began it."""

    eta: float | None
    """Seconds to go by the pace of late; ``None`` before there is one."""


@runtime_checkable
class HasEffort(Protocol):
    """A job, as far as its progress goes."""

    @property
    def name(self) -> str:
        """Its name, which is its folder's."""
        ...

    @property
    def effort(self) -> float:
        """Its share of the work, in any unit."""
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a job stood when this process began."""

    step: int
    """Of its newest checkpoint, from which it goes on; 0 without one."""
    share: float
    """Of the job, at that step."""
    last: Mapping[str, float]
    """The last line of its metrics, which may be of a later step: the job drops it as it goes on."""

    @classmethod
    def of(cls, directory: Path) -> "Begun":
        """Read it from the job's files."""
        path = directory / "metrics.jsonl"
        step = max(steps(directory / "checkpoints"), default=0)
        lines = read_metrics(path) if step and path.exists() else []
        share = next((line.get("run/share", 0.0) for line in reversed(lines) if line.get("step") == step), 0.0)
        return cls(step, share, last_metrics(path))


class Clock:
    """Turns what is done and what runs into a status.

    The pace is that of the last ``WINDOW_SECONDS``, of jobs that write metrics, each from its first step in this
    process on: neither loading a model nor what an earlier process did is a step.
    """

    def __init__(self, jobs: Sequence[HasEffort], directory: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._directory = directory
        self._now = now
        self._began = now()
        self._begun = {job.name: Begun.of(directory / job.name) for job in jobs}
        self._moved: set[str] = set()
        self._first: dict[str, float] = {}
        self._gains: deque[tuple[float, float]] = deque()

    def status(self, done: set[str], running: set[str]) -> StudyStatus:
        """How far it is, by what the jobs have written."""
        statuses = tuple(self._status(job.name, done, running) for job in self._jobs)
        pairs = list(zip(self._jobs, statuses, strict=True))
        total, spent = sum(job.effort for job in self._jobs), sum(job.effort * status.share for job, status in pairs)
        for status in statuses:
            if status.numbers:
                self._first.setdefault(status.name, status.share)
        gained = sum(job.effort * (at.share - self._first[job.name]) for job, at in pairs if job.name in self._first)
        now = self._now()
        pace = self._pace(now, gained) if self._first else 0.0
        return StudyStatus(statuses, spent / total, now - self._began, (total - spent) / pace if pace > 0 else None)

    def _status(self, name: str, done: set[str], running: set[str]) -> JobStatus:
        if name in done:
            return JobStatus(name, "done", 1.0)
        begun, numbers = self._begun[name], last_metrics(self._directory / name / "metrics.jsonl")
        state: State = "running" if name in running else "waiting"
        if numbers != begun.last:
            self._moved.add(name)
        if name in self._moved and numbers.get("step", 0) > begun.step:
            return JobStatus(name, state, numbers.get("run/share", begun.share), numbers)
        return JobStatus(name, state, begun.share)

    def _pace(self, now: float, gained: float) -> float:
        """Effort a second; 0 before ``LEAST_SECONDS`` of steps were seen."""
        self._gains.append((now, gained))
        while len(self._gains) > 2 and self._gains[1][0] <= now - WINDOW_SECONDS:
            self._gains.popleft()
        since, before = self._gains[0]
        return (gained - before) / (now - since) if now - since >= LEAST_SECONDS else 0.0


def last_metrics(path: Path) -> dict[str, float]:
    """The last whole line of a ``metrics.jsonl``, read from its end; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            lines = file.read().split(b"\n")
    except OSError:
        return {}
    for line in reversed(lines[:-1]):
        try:
            found: Any = json.loads(line)
        except ValueError:  # torn, or not even text
            continue
        if isinstance(found, dict):
            return cast("dict[str, float]", found)
    return {}
