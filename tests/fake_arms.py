"""Arms that a bench can run without any model."""

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
