"""How far a study is: read from what its jobs write, so that watching it costs them nothing."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

State = Literal["waiting", "running", "done"]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is."""

    name: str
    state: State
    share: float
    """Of this job, in [0, 1]."""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    """The last line of its metrics."""


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """How far a study is."""

    jobs: tuple[JobStatus, ...]
    share: float
    elapsed: float
    """Seconds since this process began it."""

    eta: float | None
    """Seconds to go by the pace so far; ``None`` before there is one."""


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
class Clock:
    """Turns what is done and what runs into a status; ``effort_before`` was spent before this process began."""

    jobs: Sequence[HasEffort]
    directory: Path
    began: float
    effort_before: float

    @classmethod
    def start(cls, jobs: Sequence[HasEffort], directory: Path, done: set[str]) -> "Clock":
        """Begin now; what is done already does not count for the pace."""
        return cls(jobs, directory, time.monotonic(), _spent(jobs, _statuses(jobs, directory, done, set())))

    def status(self, done: set[str], running: set[str]) -> StudyStatus:
        """How far it is, by what the jobs have written."""
        statuses = _statuses(self.jobs, self.directory, done, running)
        total, spent = sum(job.effort for job in self.jobs), _spent(self.jobs, statuses)
        elapsed = time.monotonic() - self.began
        pace = (spent - self.effort_before) / elapsed if elapsed > 0 else 0.0
        return StudyStatus(statuses, spent / total, elapsed, (total - spent) / pace if pace > 0 else None)


def _spent(jobs: Sequence[HasEffort], statuses: Sequence[JobStatus]) -> float:
    return sum(job.effort * status.share for job, status in zip(jobs, statuses, strict=True))


def _statuses(jobs: Sequence[HasEffort], directory: Path, done: set[str], running: set[str]) -> tuple[JobStatus, ...]:
    return tuple(_status(job.name, directory, done, running) for job in jobs)


def _status(name: str, directory: Path, done: set[str], running: set[str]) -> JobStatus:
    if name in done:
        return JobStatus(name, "done", 1.0)
    numbers = last_metrics(directory / name / "metrics.jsonl")
    return JobStatus(name, "running" if name in running else "waiting", numbers.get("run/share", 0.0), numbers)


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
