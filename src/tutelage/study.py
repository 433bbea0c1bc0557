"""Runs that belong together: named jobs with dependencies, executed side by side, each resumable on its own.

A job that is done leaves ``done.json`` with the fingerprint of what was asked; a study that was killed passes over such
jobs and lets the others go on from their last checkpoint. Jobs name each other's results as ``@job/path``.
"""

import json
import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tutelage.config import dump_yaml, fingerprint, from_plain, to_plain
from tutelage.endpoints import Ended, deciding
from tutelage.loop import train
from tutelage.ranks import from_environment
from tutelage.record import write_atomically
from tutelage.run import Run, require_file_name
from tutelage.session import RunSession
from tutelage.signals import asking
from tutelage.state import latest
from tutelage.study_status import Clock, StudyStatus
from tutelage.study_workers import begin_worker, end_workers, signals_held, until_asked


class StudyStopped(RuntimeError):
    """A job failed, or the study was asked to stop; what is done stays done."""


@runtime_checkable
class Work(Protocol):
    """Something that a job does: train a run, make a tokenizer, write a report."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Do it in ``directory``, going on where an earlier try stopped. False means: asked to stop, not done."""
        ...


@dataclass(frozen=True, slots=True)
class Train:
    """Train one run."""

    run: Run

    def execute(self, directory: Path, study: Path) -> bool:
        """Train to the end, or to the checkpoint of a request to stop."""
        session = RunSession(self.run, directory, from_environment())
        with asking(session.stop):
            try:
                for _ in train(session):
                    pass
            except Ended:  # asked to stop while its teachers were away: it goes on from its last checkpoint
                return False
        return session.is_complete


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of a study."""

    name: str
    work: Work
    after: tuple[str, ...] = ()
    """Jobs that must be done before."""
    effort: float = 1.0
    """Expected share of the work, in any unit; only the progress bar reads it."""

    def __post_init__(self) -> None:
        require_file_name("the name of a job", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Named jobs that end in a report."""

    name: str
    jobs: tuple[Job, ...]
    workers: int = 2
    """Jobs at a time, each a process with its share of the cores."""

    def __post_init__(self) -> None:
        require_file_name("the name of a study", self.name)
        names = [job.name for job in self.jobs]
        for job in self.jobs:
            missing = [name for name in job.after if name not in names]
            if missing:
                raise ValueError(f"job {job.name!r} comes after {missing[0]!r}, which is no job of this study")
        if len(set(names)) < len(names):
            raise ValueError("two jobs of a study have the same name")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        done: set[str] = set()
        while ready := {job.name for job in self.jobs if done.issuperset(job.after)} - done:
            done |= ready
        if waiting := [name for name in names if name not in done]:
            raise ValueError(f"job {waiting[0]!r} waits for itself: the jobs that it comes after form a circle")


def execute(study: Study, directory: Path, watch: Callable[[StudyStatus], None], imports: tuple[str, ...] = ()) -> None:
    """Execute what is not done yet, in order of dependence, ``study.workers`` jobs at a time.

    Raises:
        ValueError: a job names what lies outside of the jobs before it.
        StudyStopped: a job failed (its error and directory are named) or was interrupted.
    """
    plans = _plans(study, directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "study.yaml").write_text(dump_yaml(to_plain(study)), encoding="utf-8")
    asked = _asked(study, plans)
    done = _already_done(study, asked, directory)
    running: dict[Future[bool], str] = {}
    clock = Clock(study.jobs, directory)
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // study.workers)
    with ProcessPoolExecutor(study.workers, context, begin_worker, (os.getpid(), threads)) as pool:
        try:
            while len(done) < len(study.jobs):
                for job in study.jobs:
                    ready = job.name not in done and job.name not in running.values() and done.issuperset(job.after)
                    if ready and len(running) < study.workers:
                        with signals_held():
                            task = (plans[job.name], asked[job.name], str(directory), job.name, imports)
                            future = pool.submit(_execute_job, *task)
                        running[future] = job.name
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    _require(future, name, directory)
                    done.add(name)
                watch(clock.status(done, set(running.values())))
        except BaseException:
            end_workers(pool)
            raise


def found(study: Study, directory: Path) -> tuple[int, int]:
    """How many jobs are done in ``directory``, and how many others have a checkpoint to go on from.

    Raises:
        ValueError: a job names what lies outside of the jobs before it.
    """
    done = _already_done(study, _asked(study, _plans(study, directory)), directory)
    begun = [job for job in study.jobs if job.name not in done and latest(directory / job.name / "checkpoints")]
    return len(done), len(begun)


def _require(future: Future[bool], name: str, directory: Path) -> None:
    try:
        complete = future.result()
    except BrokenProcessPool as error:
        raise StudyStopped(f"the process of job {name} died; run the same command to resume it") from error
    except Exception as error:
        raise StudyStopped(f"job {name} failed in {directory / name}: {error}") from error
    if not complete:
        raise StudyStopped(f"job {name} was interrupted; run the same command to resume it")


def _plans(study: Study, directory: Path) -> dict[str, dict[str, Any]]:
    before = {job.name: job.after for job in study.jobs}
    return {job.name: _plan(job, _earlier(job.name, before), directory) for job in study.jobs}


def _plan(job: Job, earlier: frozenset[str], directory: Path) -> dict[str, Any]:
    """The job's work as plain data, with ``@job/path`` put in full where it names an earlier job."""
    plain: Any = to_plain(job.work, Work)
    try:
        return _resolved(plain, earlier, directory)
    except ValueError as error:
        raise ValueError(f"job {job.name}: {error}") from error


def _earlier(name: str, before: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The jobs that ``name`` comes after, and those that they come after."""
    return frozenset(before[name]).union(*(_earlier(job, before) for job in before[name]))


def _resolved(plain: Any, earlier: frozenset[str], directory: Path) -> Any:
    match plain:
        case dict():
            return {key: _resolved(value, earlier, directory) for key, value in plain.items()}
        case list():
            return [_resolved(value, earlier, directory) for value in plain]
        case str() if plain.startswith("@") and plain[1:].split("/", 1)[0] in earlier:
            if ".." in plain.split("/"):
                raise ValueError(f"{plain!r} must stay inside its job: '..' is not allowed in a reference")
            return str(directory.resolve() / plain[1:])
        case _:
            return plain


def _asked(study: Study, plans: Mapping[str, object]) -> dict[str, str]:
    """What decides a job's result: its own plan, and what was asked of the jobs before it."""
    before = {job.name: job.after for job in study.jobs}
    asked: dict[str, str] = {}

    def of(name: str) -> str:
        if name not in asked:
            plan, after = deciding(plans[name]), [of(earlier) for earlier in before[name]]
            asked[name] = fingerprint({"plan": plan, "after": after})
        return asked[name]

    return {name: of(name) for name in before}


def _already_done(study: Study, asked: Mapping[str, str], directory: Path) -> set[str]:
    """Jobs whose result is there and is of what is asked now, all that they came after included."""
    marked = {job.name for job in study.jobs if _mark(directory / job.name) == asked[job.name]}
    while True:
        kept = {job.name for job in study.jobs if job.name in marked and marked.issuperset(job.after)}
        if kept == marked:
            return kept
        marked = kept


def _mark(directory: Path) -> str | None:
    try:
        return json.loads((directory / "done.json").read_text())["fingerprint"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return None


def _execute_job(plan: dict[str, Any], asked: str, directory: str, name: str, imports: tuple[str, ...]) -> bool:
    work: Work = from_plain(Work, plan, imports=imports)
    own = Path(directory) / name
    own.mkdir(parents=True, exist_ok=True)
    complete = until_asked(partial(work.execute, own, Path(directory)))
    if complete:
        write_atomically(own / "done.json", json.dumps({"fingerprint": asked}).encode())
    return complete
