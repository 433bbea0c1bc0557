"""Code, by its tests: the program in one sandbox, its tests in another, and plain values between them."""

import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.types import Scored, Verdict
from tutelage.verifiers.crew import Answer, CannotStart, Crew, Job, Lost
from tutelage.verifiers.keys import CodeKey
from tutelage.verifiers.outcomes import Outcome, Wanted, abstained, outcome_of, outcomes_of, wrong
from tutelage.verifiers.probing import PROBE, PROBE_KEY
from tutelage.verifiers.programs import names_of, program_form
from tutelage.verifiers.sandbox import Limits, NoSandbox, Sandbox
from tutelage.verifiers.seccomp import SeccompMissing

T = TypeVar("T")

GRACE_S = 5.0
"""What a check may take beyond a program's limit before its tests are taken to hang."""
READY_S = 60.0
TRIES = 3
"""How often a program is put into a new sandbox where one did not come up."""
INSTEAD = (
    "programs are not run without one. Mend that (in a container, user namespaces must be allowed: "
    "--security-opt seccomp=unconfined, or --cap-add SYS_ADMIN), or have them "
    "run elsewhere: class: tutelage.verifiers.Remote"
)


@dataclass(frozen=True, slots=True)
class Code:
    """Checks whole programs by the tests of their problem, in sandboxes on this machine."""

    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    """Checks at a time; as many as there are cores where it is not given."""
    readable: tuple[str, ...] = ()
    """Further files or folders that programs may read."""

    def __post_init__(self) -> None:
        require(self, "workers", at_least=1)

    def build(self) -> AbstractContextManager["CodeVerifier"]:
        """A verifier that has seen that its sandboxes hold.

        Raises:
            NoSandbox: they cannot be made or do not hold.
        """
        return self._built()

    @contextmanager
    def _built(self) -> "Generator[CodeVerifier]":
        try:
            verifier = CodeVerifier(self)
        except (SeccompMissing, NoSandbox) as error:
            raise NoSandbox(f"no sandbox on this machine: {error}; {INSTEAD}") from error
        try:
            verifier.try_out()
            yield verifier
        finally:
            verifier.close()


class _Programs:
    """Sandboxes for programs: one is started ahead for each check that may come next, none is used twice."""

    def __init__(self, sandbox: Sandbox, limits: Limits, ahead: int) -> None:
        self._sandbox, self._limits, self._ahead = sandbox, limits.of_program(), ahead
        self._spare: deque[tuple[subprocess.Popen[bytes], socket.socket]] = deque()
        self._running: dict[int, tuple[subprocess.Popen[bytes], socket.socket]] = {}

    def start_ahead(self) -> None:
        while len(self._spare) < self._ahead:
            self._spare.append(self._started())

    def take(self, number: int) -> int:
        """The channel to a fresh sandbox, which ``end`` ends."""
        process, channel = self._spare.popleft() if self._spare else self._started()
        self._running[number] = process, channel
        return channel.fileno()

    def end(self, number: int) -> None:
        _end(*self._running.pop(number))

    def close(self) -> None:
        for process, channel in (*self._spare, *self._running.values()):
            _end(process, channel)

    def _started(self) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            return self._sandbox.start("program", self._limits, theirs, subprocess.DEVNULL), ours


def _end(process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
    process.kill()
    process.wait()
    channel.close()


class CodeVerifier:
    """Checks programs. One thread of its own starts and ends all sandboxes: they are ended with who started them."""

    def __init__(self, spec: Code, ahead: int | None = None) -> None:
        """Start the sandboxes of the tests, and ``ahead`` for programs that come: one a worker where it is not given.

        Raises:
            NoSandbox, SeccompMissing: something is missing.
        """
        self._limits = spec.limits
        self._sandbox = Sandbox(spec.limits, spec.readable)
        workers = spec.workers or len(os.sched_getaffinity(0))
        self._programs = _Programs(self._sandbox, spec.limits, ahead=workers if ahead is None else ahead)
        self._thread = ThreadPoolExecutor(1, "code")
        self._crew = self._in_thread(
            lambda: Crew(
                lambda channel, complaints: self._sandbox.start("tests", spec.limits.of_tests(), channel, complaints),
                workers,
                READY_S,
            )
        )

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 where a program passes all tests of its problem, else 0."""
        return [outcome.verdict for outcome in self.outcomes(problems, attempts)]

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """The programs themselves, without empty lines: behaviour is not compared."""
        return [program_form(attempt, names_of(problem)) for problem, attempt in zip(problems, attempts, strict=True)]

    def outcomes(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Outcome]:
        """As ``check``, with reasons. Equal programs for equal tests are run once."""
        return outcomes_of(problems, attempts, lambda wanted: self._in_thread(lambda: self._checked(wanted)))

    def try_out(self) -> None:
        """See that a right program passes, a wrong one fails, and nothing outside can be reached.

        Raises:
            NoSandbox: it is not so.
        """
        problem = Problem("probe", "", PROBE_KEY.text)
        other = Problem("probe", "", CodeKey("assert leaks() == ['nothing']", ("leaks",)).text)
        try:
            held, failed = self.outcomes([problem, other], [PROBE, PROBE])
        except CannotStart as error:
            raise NoSandbox(f"no sandbox on this machine: {error}; {INSTEAD}") from error
        if held.verdict != Scored(1.0) or failed.verdict != Scored(0.0):
            raise NoSandbox(f"the sandbox of this machine does not hold: {held.why or failed.why}; {INSTEAD}")

    def close(self) -> None:
        """End all sandboxes."""
        self._in_thread(self._crew.close)
        self._in_thread(self._programs.close)
        self._thread.shutdown()
        self._sandbox.close()

    def _in_thread(self, act: Callable[[], T]) -> T:
        return self._thread.submit(act).result()

    def _checked(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        answers: list[Answer] = [{"lost": "not begun"}] * len(wanted)
        left = list(range(len(wanted)))
        for _ in range(TRIES):
            if left:
                tried = self._tried([wanted[i] for i in left])
                for i, answer in zip(left, tried, strict=True):
                    answers[i] = answer
                left = [i for i in left if "lost" in _fields(answers[i])]
        return [_outcome(answer) for answer in answers]

    def _tried(self, wanted: Sequence[Wanted]) -> list[Answer]:
        def prepare(number: int) -> Job:
            key, program = wanted[number]
            fields = asdict(key)
            return Job({**fields, "program": program, "wall_s": self._limits.wall_s}, (self._programs.take(number),))

        return self._crew.work(
            len(wanted), prepare, self._limits.wall_s + GRACE_S, self._programs.end, self._programs.start_ahead
        )


def _fields(answer: Answer) -> dict[str, Any]:
    return {} if isinstance(answer, Lost) else answer


def _outcome(answer: Answer) -> Outcome:
    if not isinstance(answer, Lost):
        return outcome_of(answer)
    if answer.hung:  # the tests wait for nothing but the program, and work on nothing but what it returned
        return wrong(f"the tests {answer.reason}")
    return abstained(f"the sandbox of the tests {answer.reason}")
