"""How far a run or a study is: live on a terminal, a line every ten seconds elsewhere."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tutelage.commands.untrusted import one_line
from tutelage.study_status import JobStatus, StudyStatus

PLAIN_SECONDS = 10.0
BAR = 24
MARKS = {"done": "✓", "running": "▸", "waiting": "·"}


class Display:
    """Shows what it is given: redrawn in place on a terminal, as a plain line now and then elsewhere."""

    def __init__(self, console: Console, *, every: float = PLAIN_SECONDS, clock: Callable[[], float] = time.monotonic):
        self._console = console
        self._every = every
        self._clock = clock
        self._next = clock()
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, picture: Callable[[], ConsoleRenderable], line: Callable[[], str], *, now: bool = False) -> None:
        """Show ``picture`` on a terminal; elsewhere print ``line``, if it is time or ``now``."""
        if self._live is not None:
            self._live.update(picture())
        elif now or self._clock() >= self._next:
            self._next = self._clock() + self._every
            self._console.print(line(), soft_wrap=True)


class StudyProgress:
    """What ``study.execute`` may watch with."""

    def __init__(self, console: Console, display: Display) -> None:
        self._console = console
        self._display = display
        self._done = -1

    def __call__(self, status: StudyStatus) -> None:
        """Show ``status``; a job that ends is always worth a line."""
        done = sum(job.state == "done" for job in status.jobs)
        self._display.show(
            lambda: study_picture(status, self._console.height), lambda: study_line(status), now=done != self._done
        )
        self._done = done


def study_picture(status: StudyStatus, height: int = 50) -> ConsoleRenderable:
    """One line a job, those that run in any case; then the whole with elapsed time, time to go, and who wins."""
    table = Table.grid(padding=(0, 1))
    shown = _fitting(status.jobs, max(4, height - 5))
    for job in shown:
        bar = ProgressBar(total=1.0, completed=job.share, width=BAR)
        style = {"done": "dim", "running": "bold", "waiting": "dim"}[job.state]
        table.add_row(Text(MARKS[job.state]), Text(one_line(job.name, 32), style), bar, Text(_numbers(job)))
    hidden = len(status.jobs) - len(shown)
    below = Table.grid(padding=(0, 1))
    below.add_row(ProgressBar(total=1.0, completed=status.share, width=BAR), Text(_overall(status)))
    rest: list[ConsoleRenderable] = [Text(f"  … {hidden} more", "dim")] if hidden else []
    wins = _wins([job.numbers for job in status.jobs if job.state == "running"])
    return Group(table, *rest, Text(""), below, Text(wins))


def study_line(status: StudyStatus) -> str:
    """The whole and the running jobs in one line."""
    running = [job for job in status.jobs if job.state == "running"]
    parts = [_overall(status), *(f"{one_line(job.name)}: {_numbers(job).strip() or '…'}" for job in running)]
    wins = _wins([job.numbers for job in running])
    return " | ".join([*parts, *([wins] if wins else [])])


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far one run is."""

    name: str
    phase: int
    """Counted from 1."""
    phases: int
    numbers: Mapping[str, float]
    """The metrics of the last step."""
    elapsed: float
    """Seconds since this process began it."""
    begun_at: float
    """Share that was done then."""
    tokens_per_second: float

    @property
    def share(self) -> float:
        """How much is done, in [0, 1]."""
        return self.numbers.get("run/share", self.begun_at)

    @property
    def eta(self) -> float | None:
        """Seconds to go by the pace so far."""
        gained = self.share - self.begun_at
        return (1.0 - self.share) * self.elapsed / gained if gained > 0 else None


def run_picture(status: RunStatus) -> ConsoleRenderable:
    """A bar, its numbers, and who wins."""
    table = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=status.share, width=BAR)
    table.add_row(Text(one_line(status.name, 32), "bold"), bar, Text(_run_numbers(status)))
    return Group(table, Text(_wins([status.numbers])))


def run_line(status: RunStatus) -> str:
    """The same in one line."""
    wins = _wins([status.numbers])
    return " | ".join([f"{one_line(status.name)}: {_run_numbers(status)}", *([wins] if wins else [])])


def duration(seconds: float | None) -> str:
    """``1:02:03``, or ``…`` where it is not known."""
    if seconds is None:
        return "…"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _run_numbers(status: RunStatus) -> str:
    step, loss = status.numbers.get("step", 0), status.numbers.get("loss/total")
    parts = [f"{status.share:.0%}", f"phase {status.phase} of {status.phases}", f"step {step:.0f}"]
    parts += [f"loss {loss:.3f}"] if loss is not None else []
    parts += [f"{status.tokens_per_second:,.0f} tokens/s", duration(status.elapsed), f"to go {duration(status.eta)}"]
    return " · ".join(parts)


def _numbers(job: JobStatus) -> str:
    step, loss = job.numbers.get("step"), job.numbers.get("loss/total")
    parts = [f"{job.share:4.0%}"] if job.state == "running" and job.numbers else []
    parts += [f"step {step:.0f}"] if step is not None else []
    parts += [f"loss {loss:.3f}"] if loss is not None else []
    return " · ".join(parts)


def _overall(status: StudyStatus) -> str:
    done = sum(job.state == "done" for job in status.jobs)
    left = duration(status.eta)
    return f"{status.share:.0%} · {done} of {len(status.jobs)} jobs · {duration(status.elapsed)} · to go {left}"


def _wins(numbers: Iterable[Mapping[str, float]]) -> str:
    """Share of pools that each source won, a mean over the running jobs that have a pool."""
    shares: dict[str, list[float]] = {}
    for mapping in numbers:
        for name, value in mapping.items():
            if name.startswith("chosen/"):
                shares.setdefault(one_line(name.removeprefix("chosen/"), 24), []).append(value)
    means = ", ".join(f"{source} {sum(values) / len(values):.0%}" for source, values in sorted(shares.items()))
    return f"wins: {means}" if means else ""


def _fitting(jobs: tuple[JobStatus, ...], rows: int) -> list[JobStatus]:
    """At most ``rows`` jobs in their order: those that run, then those that come next, then the last ones done."""
    if len(jobs) <= rows:
        return list(jobs)
    done = [i for i, job in enumerate(jobs) if job.state == "done"]
    wanted = [i for state in ("running", "waiting") for i, job in enumerate(jobs) if job.state == state]
    return [jobs[i] for i in sorted([*wanted, *reversed(done)][:rows])]
