"""Maths, by equivalence of the final answer: math-verify in processes that are killed when they hang."""

import importlib.util
import math
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers.crew import Answer, Crew, Job, Lost
from tutelage.verifiers.spans import MARKERS, answer_span, as_latex

WORKER = Path(__file__).resolve().parent / "maths_worker.py"
READY_S = 120.0
"""Longest time until a worker has loaded what it needs."""
ALARM_S = 10
"""What a worker may outlive its limit where nobody is left to kill it."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Maths:
    """Compares the final answer of an attempt with the key, as expressions and not as texts."""

    markers: tuple[str, ...] = MARKERS
    """What stands before a final answer; the last one counts, and without any the last ``\\boxed{}``."""
    workers: int = 2
    """Processes."""
    timeout_s: float = 5.0
    """Seconds of one comparison; beyond it is an abstention."""
    memory_mib: int = 2048
    """Address space of a process."""

    def __post_init__(self) -> None:
        require(self, "workers", at_least=1)
        require(self, "timeout_s", above=0)
        require(self, "memory_mib", at_least=256)
        if not all(marker.strip() for marker in self.markers):
            raise ValueError("markers must not be empty")

    def build(self) -> AbstractContextManager["MathsVerifier"]:
        """The working verifier.

        Raises:
            RuntimeError: math-verify is not installed.
        """
        if importlib.util.find_spec("math_verify") is None:
            raise RuntimeError("maths are checked by math-verify, which is not installed: pip install 'tutelage[math]'")
        return self._built()

    @contextmanager
    def _built(self) -> "Generator[MathsVerifier]":
        verifier = MathsVerifier(self)
        try:
            yield verifier
        finally:
            verifier.close()


class MathsVerifier:
    """Compares answers. An attempt without a final answer is wrong; a comparison that hangs or crashes is abstained."""

    def __init__(self, spec: Maths) -> None:
        """Start the processes."""
        self._spec = spec
        self._crew = Crew(self._start, spec.workers, READY_S)

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 where the final answer equals the key, else 0. Equal answers to equal keys are compared once."""
        jobs: list[tuple[str, str] | None] = []
        for problem, attempt in zip(problems, attempts, strict=True):
            span = answer_span(attempt, self._spec.markers)
            jobs.append(None if span is None else (as_latex(problem.key), as_latex(span)))
        known = self._work([{"key": key, "answer": answer} for key, answer in dict.fromkeys(filter(None, jobs))])
        found = {(job["key"], job["answer"]): _verdict(job["key"], answer) for job, answer in known}
        return [Scored(0.0) if job is None else found[job] for job in jobs]

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """Final answers as numbers to 12 digits or as sympy writes them; else as they were written."""
        spans = [answer_span(attempt, self._spec.markers) for attempt in attempts]
        known = self._work([{"answer": as_latex(span)} for span in dict.fromkeys(filter(None, spans))])
        forms = {job["answer"]: None if isinstance(answer, Lost) else answer.get("form") for job, answer in known}
        return [None if span is None else forms[as_latex(span)] or "".join(span.split()) for span in spans]

    def close(self) -> None:
        """End the processes."""
        self._crew.close()

    def _work(self, messages: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], Answer]]:
        answers = self._crew.work(len(messages), lambda number: Job(messages[number]), self._spec.timeout_s)
        return list(zip(messages, answers, strict=True))

    def _start(self, channel: socket.socket, complaints: IO[bytes]) -> "subprocess.Popen[bytes]":
        alarm = math.ceil(self._spec.timeout_s) + ALARM_S
        # Its folder must not stand on its path: it has a code.py.
        command = [sys.executable, "-P", str(WORKER), str(self._spec.memory_mib * MIB), str(alarm)]
        return subprocess.Popen(command, stdin=channel.fileno(), stdout=subprocess.DEVNULL, stderr=complaints)


def _verdict(key: str, answer: Answer) -> Verdict:
    if isinstance(answer, Lost):
        return Abstained(f"the comparison {answer.reason}")
    if answer.get("unreadable"):
        return Abstained(f"the key {key} cannot be read as maths")
    if "failed" in answer:
        return Abstained(f"the comparison failed: {answer['failed']}")
    return Scored(1.0 if answer["right"] is True else 0.0)
