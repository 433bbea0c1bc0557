"""Arms that a bench can run without any model."""

import subprocess
import sys
import time

from benchmarks.model import Job
from benchmarks.worker import Pipe


def quick(job: Job, pipe: Pipe) -> None:
    """Its amount is the number of the step and the K of the job."""
    sys.stdout.write("chatter that is no report\n")
    pipe.serve(lambda number: float(100 * number + job.shape[2]), said=job.setting("word", "nothing"))


def slow(job: Job, pipe: Pipe) -> None:
    def step(number: int) -> float:
        time.sleep(0.05)
        return 1.0

    pipe.serve(step)


def broken(job: Job, pipe: Pipe) -> None:
    def step(number: int) -> float:
        if number == 1:
            raise RuntimeError("the peer is broken")
        return 1.0

    pipe.serve(step)


def early(job: Job, pipe: Pipe) -> None:
    raise RuntimeError("it cannot even start")


def greedy(job: Job, pipe: Pipe) -> None:
    """Holds as many MiB as the job's P."""

    def step(number: int) -> float:
        return float(len(bytearray(job.shape[0] << 20)))

    pipe.serve(step, warm=0)


def silent(job: Job, pipe: Pipe) -> None:
    time.sleep(60)


def parent(job: Job, pipe: Pipe) -> None:
    """Starts a process that would go on for long."""
    child = subprocess.Popen(["sleep", "60"])
    pipe.serve(lambda number: 1.0, child=child.pid)


def few_rows(job: Job, pipe: Pipe) -> None:
    if job.setting("rows", 0) > 1:
        raise ValueError("too many rows")
    slow(job, pipe)
