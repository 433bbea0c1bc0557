"""Worker processes that do one job at a time, each within a time limit; one that hangs or dies is replaced.

The limit is the wall clock's, kept by another process than the one that works: an alarm inside of a worker reaches no
loop in C, and none at all off its main thread.
"""

import json
import selectors
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

SEND_S = 10.0
"""Longest time that a worker which said it is ready may take to read a job."""
MOST_BYTES = 1 << 20
"""Longest answer of a worker."""

Start = Callable[[socket.socket, IO[bytes]], "subprocess.Popen[bytes]"]
"""Starts a worker, whose input is the socket and whose complaints go to the file."""


class CannotStart(RuntimeError):
    """A worker ended before it was ready."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told, with the open files that go with it."""

    message: dict[str, Any]
    files: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no answer: the worker hung or died."""

    reason: str
    hung: bool


Answer = dict[str, Any] | Lost


@dataclass(slots=True, eq=False)
class _Worker:
    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    complaints: IO[bytes]
    deadline: float
    ready: bool = False
    job: int | None = None
    heard: bytearray = field(default_factory=bytearray)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()
        self.complaints.close()


class Crew:
    """A few workers. Not for several threads at a time."""

    def __init__(self, start: Start, size: int, ready_s: float) -> None:
        """Start ``size`` workers, each of which says so within ``ready_s`` seconds."""
        self._start, self._size, self._ready_s = start, size, ready_s
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self.replaced = 0
        """Workers that hung or died over a job."""
        self._fill()

    def work(
        self,
        count: int,
        prepare: Callable[[int], Job],
        limit_s: float,
        settle: Callable[[int], None] = lambda _: None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Answer]:
        """Do jobs 0 … ``count`` − 1.

        Args:
            count: how many there are.
            prepare: makes a job when there is a worker for it.
            limit_s: seconds of a job; a worker that takes longer is killed.
            settle: told the number of a job that is over, answered or not.
            meanwhile: called before each wait.

        Raises:
            CannotStart: workers end before they are ready.
        """
        answers: dict[int, Answer] = {}
        waiting = deque(range(count))
        try:
            while len(answers) < count:
                self._fill()
                for worker in self._workers:
                    if waiting and worker.ready and worker.job is None:
                        number = waiting.popleft()
                        worker.job, worker.deadline = number, time.monotonic() + limit_s
                        self._tell(worker, prepare(number))
                meanwhile()
                for number, answer in self._hear():
                    answers[number] = answer
                    settle(number)
        finally:
            for worker in [worker for worker in self._workers if worker.job is not None]:
                self._remove(worker)
        return [answers[number] for number in range(count)]

    def close(self) -> None:
        """End all workers."""
        for worker in list(self._workers):
            self._remove(worker)
        self._selector.close()

    def _fill(self) -> None:
        for worker in list(self._workers):
            if worker.job is None and worker.ready and worker.process.poll() is not None:
                self._remove(worker)  # it ended while there was nothing to do
        while len(self._workers) < self._size:
            ours, theirs = socket.socketpair()
            complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
            with theirs:
                process = self._start(theirs, complaints)
            ours.settimeout(SEND_S)
            worker = _Worker(process, ours, complaints, time.monotonic() + self._ready_s)
            self._workers.append(worker)
            self._selector.register(ours, selectors.EVENT_READ, worker)

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.channel)
        worker.end()

    def _tell(self, worker: _Worker, job: Job) -> None:
        text = json.dumps(job.message).encode() + b"\n"
        try:
            sent = socket.send_fds(worker.channel, [text], job.files) if job.files else 0
            worker.channel.sendall(text[sent:])
        except OSError:
            worker.process.kill()  # it is then heard to have died

    def _hear(self) -> Iterator[tuple[int, Answer]]:
        """Wait until something happens, and give what jobs came to an end."""
        busy = [worker.deadline for worker in self._workers if worker.job is not None or not worker.ready]
        for key, _ in self._selector.select(max(0.0, min(busy) - time.monotonic()) if busy else 0.0):
            worker: _Worker = key.data
            found = self._read(worker)
            if found is not None and worker.job is not None:
                yield worker.job, found
                worker.job = None
            if isinstance(found, Lost):
                self._replace(worker)
        for worker in list(self._workers):
            if (worker.job is not None or not worker.ready) and time.monotonic() > worker.deadline:
                number = worker.job
                self._replace(worker)
                if number is not None:
                    yield number, Lost("ran into the time limit", hung=True)

    def _read(self, worker: _Worker) -> Answer | None:
        """What a worker that can be heard has to say; ``None`` where it is not through with it."""
        try:
            part = worker.channel.recv(1 << 16)
        except OSError:
            part = b""
        worker.heard += part
        if not part or len(worker.heard) > MOST_BYTES:
            return Lost("died", hung=False)
        if not worker.heard.endswith(b"\n"):
            return None
        message = json.loads(bytes(worker.heard))
        worker.heard.clear()
        if not worker.ready:
            worker.ready = True
            return None
        return message

    def _replace(self, worker: _Worker) -> None:
        """Take a worker out that hung or died.

        Raises:
            CannotStart: it was never ready.
        """
        worker.process.kill()
        code = worker.process.wait()
        worker.complaints.seek(0)
        complaints = worker.complaints.read()[-2000:].decode(errors="replace").strip()
        self._remove(worker)
        if not worker.ready:
            raise CannotStart(complaints or f"a worker ended with {code} before it was ready")
        self.replaced += 1
