"""Workers that hang, die or never start."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tutelage.verifiers.crew import CannotStart, Crew, Job, Lost

WORKER = """
import json, os, socket, sys, time
channel = socket.socket(fileno=os.dup(0))
channel.sendall(b'{"ready": true}\\n')
for line in channel.makefile("rb"):
    job = json.loads(line)
    if job["do"] == "hang":
        time.sleep(1000)
    if job["do"] == "die":
        os._exit(3)
    if job["do"] == "flood":
        channel.sendall(b"x" * 3_000_000)
    channel.sendall(json.dumps({"did": job["do"], "pid": os.getpid(), "length": len(line)}).encode() + b"\\n")
"""


@contextmanager
def crew(program: str = WORKER, size: int = 2, ready_s: float = 20.0) -> Iterator[Crew]:
    def start(channel: socket.socket, complaints: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-S", "-c", program], stdin=channel.fileno(), stderr=complaints)

    made = Crew(start, size, ready_s)
    try:
        yield made
    finally:
        made.close()


def work(made: Crew, *jobs: str, limit_s: float = 10.0) -> list[Any]:
    return made.work(len(jobs), lambda number: Job({"do": jobs[number]}), limit_s)


def test_answers_come_in_the_order_of_the_jobs():
    with crew() as made:
        assert [answer["did"] for answer in work(made, *"abcdefg")] == list("abcdefg")
        assert work(made) == []


def test_a_worker_that_hangs_is_killed_and_replaced_and_the_others_go_on():
    with crew() as made:
        before = {answer["pid"] for answer in work(made, *"abcd")}
        begun = time.monotonic()
        found = work(made, "a", "hang", "b", "c", limit_s=0.5)
        assert time.monotonic() - begun < 5
        assert found[1] == Lost("ran into the time limit", hung=True)
        assert [answer["did"] for answer in (found[0], *found[2:])] == ["a", "b", "c"]
        assert len(before & {answer["pid"] for answer in work(made, *"abcdefgh")}) <= 1
        assert made.replaced == 1


def test_a_worker_that_dies_or_floods_loses_its_job_only():
    with crew() as made:
        found = work(made, "a", "die", "b", "flood", "c")
        assert [isinstance(answer, Lost) for answer in found] == [False, True, False, True, False]
        assert found[1] == Lost("died", hung=False)


def test_a_worker_that_died_between_batches_is_nobodys_fault():
    with crew(size=1) as made:
        work(made, "a")
        made._workers[0].process.kill()
        made._workers[0].process.wait()
        assert work(made, "b")[0]["did"] == "b"
        assert made.replaced == 0


def test_a_worker_that_cannot_start_says_why():
    with crew("raise SystemExit('no such module')") as made, pytest.raises(CannotStart, match="no such module"):
        work(made, "a")


def test_a_worker_that_is_never_ready_is_given_up():
    with (
        crew("import time; time.sleep(1000)", ready_s=0.3) as made,
        pytest.raises(CannotStart, match="before it was ready"),
    ):
        work(made, "a")


def test_a_long_job_arrives_whole():
    with crew() as made:
        text = "x" * 900_000
        (answer,) = made.work(1, lambda _: Job({"do": "a", "text": text}), 10.0)
        assert answer["length"] > len(text)  # pyright: ignore[reportIndexIssue]


def test_a_failure_over_a_batch_leaves_no_worker_at_its_job():
    def prepare(number: int) -> Job:
        if number:
            raise ZeroDivisionError
        return Job({"do": "hang"})

    with crew() as made:
        with pytest.raises(ZeroDivisionError):
            made.work(2, prepare, 10.0)
        assert [answer["did"] for answer in work(made, *"abc")] == list("abc")


def test_workers_end_with_their_crew(tmp_path: Path):
    with crew() as made:
        pids = {answer["pid"] for answer in work(made, *"abcd")}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
