"""``tutelage train``: one run or a study, to its end or to a signal, going on where it stopped."""

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tutelage.commands.choosing import choose
from tutelage.commands.progress import Display, RunStatus, StudyProgress, run_line, run_picture
from tutelage.commands.terminal import is_first, messages, program
from tutelage.config import dump_yaml, to_plain
from tutelage.endpoints import Ended
from tutelage.loop import StepReport, train
from tutelage.quiet import hush
from tutelage.ranks import from_environment
from tutelage.report import write_run_report
from tutelage.run import Run
from tutelage.session import RunSession
from tutelage.signals import NUMBERS, Interrupted, asking, raising
from tutelage.study import Study, execute, found


def train_command(
    what: str,
    words: Sequence[str],
    *,
    directory: Path | None = None,
    imports: tuple[str, ...] = (),
    print_config: bool = False,
) -> int:
    """Train what ``what`` names, with the settings in ``words``; see ``cli.Train``."""
    plan = choose(what, words, imports)
    if print_config:
        if is_first():
            sys.stdout.write(dump_yaml(to_plain(plan)))
        return 0
    folder = directory or Path("runs") / plan.name
    match plan:
        case Run():
            train_run(plan, folder)
            if is_first():
                report = write_run_report(folder)
                messages().print(f"Done. The model is in {folder / 'hf'}, the report is {report}")
                messages().print(
                    f"Next, read its candidates: {program()} show {folder}", highlight=False, soft_wrap=True
                )
        case Study():
            execute_study(plan, folder, imports)
            messages().print(f"Done. Everything is in {folder}{_report(folder)}")
    return 0


def train_run(run: Run, directory: Path) -> None:
    """Train one run with progress; under torchrun on every rank.

    Raises:
        Interrupted: after a signal, with a checkpoint written.
    """
    hush()
    ranks = from_environment()
    console = messages()
    session = RunSession(run, directory, ranks)
    if session.progress.step:
        console.print(f"Going on from step {session.progress.step} in {directory}")
    pace, status = Pace(run, session.progress.step, time.monotonic()), None
    try:
        with asking(session.stop) as seen, Display(console) as display:
            for report in _reports(session, seen):
                status = pace.after(report)
                display.show(partial(run_picture, status), partial(run_line, status))
            if status is not None:
                display.show(partial(run_picture, status), partial(run_line, status), now=True)
    except BaseException:
        session.close()
        raise
    ranks.close()
    if counts := session.stream_counts():
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
        console.print(f"In the corpus: {told}", highlight=False)
    if not session.is_complete:
        number = seen[0] if seen else NUMBERS[0]
        raise Interrupted(number, f"A checkpoint of step {session.progress.step} is in {directory}")


def _reports(session: RunSession, seen: Sequence[int]) -> Iterator[StepReport]:
    """The run's steps; a signal that finds it waiting for teachers on servers ends it where it is."""
    try:
        yield from train(session)
    except Ended as error:
        told = f"{error}; what was done until its last checkpoint is in {session.directory}"
        raise Interrupted(seen[0] if seen else NUMBERS[0], told) from error


def execute_study(study: Study, directory: Path, imports: tuple[str, ...] = ()) -> None:
    """Execute a study with progress; a signal lets its workers write their checkpoints first.

    Raises:
        StudyStopped: a job failed.
        Interrupted: after a signal.
    """
    hush()
    console = messages()
    done, begun = found(study, directory)
    if done or begun:
        console.print(f"Going on in {directory}: {_standing(done, begun, len(study.jobs))}", highlight=False)
    try:
        with raising(), Display(console) as display:
            execute(study, directory, StudyProgress(console, display), imports)
    except Interrupted as stop:
        raise Interrupted(stop.number, f"What is done, and the checkpoints of the rest, are in {directory}") from None


class Pace:
    """Turns step reports into how far a run is, with its speed over the last steps."""

    def __init__(self, run: Run, step: int, began: float) -> None:
        self._run = run
        self._began = began
        self._first = step
        self._share: float | None = None
        self._recent: deque[tuple[float, float]] = deque([(began, 0.0)], maxlen=20)

    def after(self, report: StepReport) -> RunStatus:
        """The status after a step."""
        now, numbers = time.monotonic(), report.metrics
        tokens = numbers.get("tokens/trained", 0.0) + numbers.get("tokens/sampled", 0.0)
        self._recent.append((now, tokens))
        if self._share is None:
            # Of the share that a resumed run starts with only this is known: the first step's is a little more.
            self._share = numbers.get("run/share", 0.0) if self._first else 0.0
        spent = max(now - self._recent[0][0], 1e-9)
        speed = sum(tokens for _, tokens in list(self._recent)[1:]) / spent
        return RunStatus(
            name=self._run.name,
            phase=min(report.progress.phase + 1, len(self._run.phases)),
            phases=len(self._run.phases),
            numbers={"step": float(report.progress.step), **numbers},
            elapsed=now - self._began,
            begun_at=self._share,
            tokens_per_second=speed,
        )


def _standing(done: int, begun: int, jobs: int) -> str:
    told = f"{done} of {jobs} jobs {'is' if done == 1 else 'are'} done"
    return f"{told}, {begun} {'was' if begun == 1 else 'were'} begun" if begun else told


def _report(folder: Path) -> str:
    found = next(folder.rglob("report.html"), None)
    return f"; the report is {found}" if found else ""
