"""Signals to a study whose other worker has nothing to do: real processes, real signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds for three processes to import torch on a busy machine."""


def until(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"it never came that {what}"
        time.sleep(0.05)


@contextmanager
def begun(directory: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The study with its long job in progress and its second worker idle; nothing of it is left afterwards."""
    command = [sys.executable, "-m", "tests.study_worker", str(directory), *words]
    # A group of its own, as a terminal gives it: Ctrl-C goes to every process in it.
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            until((directory / "idle").exists, "one worker was idle")
            yield process
        finally:
            if alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_lets_a_job_write_its_checkpoint_and_ends_though_a_worker_is_idle(tmp_path: Path):
    with begun(tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE / 3) == 130
        until(lambda: not alive(process.pid), "no process was left")
    assert (tmp_path / "long" / "checkpoint").exists() and not (tmp_path / "long" / "done.json").exists()


def test_a_second_ctrl_c_ends_a_study_at_once(tmp_path: Path):
    with begun(tmp_path, "deaf") as process:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1.0)
        assert process.poll() is None, "it waits for a job that does not end"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(10) == 130
        until(lambda: not alive(process.pid), "no process was left")


def test_no_worker_outlives_a_study_that_was_killed(tmp_path: Path):
    with begun(tmp_path) as process:
        process.kill()
        process.wait()
        until(lambda: not alive(process.pid), "no worker was left")
