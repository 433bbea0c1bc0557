"""How the processes of a study end: asked once, with a checkpoint; asked twice, at once; never later than their study.

A worker without a job must not die of the signal. It would take the lock of the call queue with it, on which the worker
beside it then waits for ever, and the pool would send the others a second signal, in the middle of their checkpoint.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import torch

from tutelage.quiet import hush
from tutelage.signals import NUMBERS, Interrupted, raising

GRACE_SECONDS = 600.0
"""For the step in progress and its checkpoint [I]: generous, since a second signal need not wait for it."""


@dataclass(slots=True)
class Idle:
    """Answers SIGTERM in a worker that has no job."""

    parent: int
    asked: bool = False

    def __call__(self, number: int, frame: object) -> None:
        """Remember that no job is to begin any more."""
        self.asked = True
        self.end_orphan()

    def end_orphan(self) -> None:
        """End this process where its parent has ended: nobody is left to give it a job, or to end it."""
        if os.getppid() != self.parent:
            os._exit(1)


@contextmanager
def signals_held() -> Generator[None]:
    """Processes begun here hear no signal before ``begin_worker``, and the terminal's Ctrl-C never.

    Ctrl-C reaches the parent alone, which asks each worker once; asked twice, a worker would end without a checkpoint.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(parent: int, threads: int) -> None:
    """Share the cores; be asked to end with the parent, so that no orphan writes into a directory that is resumed."""
    hush()
    torch.set_num_threads(threads)
    idle = Idle(parent)
    signal.signal(signal.SIGTERM, idle)
    if sys.platform == "linux":
        CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        idle.end_orphan()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def until_asked(work: Callable[[], bool]) -> bool:
    """Do a job's work in a worker. False where a signal ended it, or had come before it began."""
    idle = signal.getsignal(signal.SIGTERM)
    try:
        with raising():
            return not (isinstance(idle, Idle) and idle.asked) and work()
    except Interrupted:
        return False
    finally:
        if isinstance(idle, Idle):
            idle.end_orphan()


def end_workers(pool: ProcessPoolExecutor, grace: float = GRACE_SECONDS) -> None:
    """Ask running jobs to write a checkpoint and end; kill what is left after ``grace`` seconds, or at a second signal.

    Raises:
        Interrupted: the second signal.
    """
    processes: Iterable[BaseProcess] = tuple((getattr(pool, "_processes", None) or {}).values())
    try:
        # A pool of which a worker died has asked the others already.
        for process in () if getattr(pool, "_broken", False) else processes:
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + grace
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
