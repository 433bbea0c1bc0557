"""The side of a pair that works: a process that does one step each time it is told to, and says how long it took.

Lines of JSON over pipes. In: the job, then ``{"do": "step"}`` as often as wanted; the end of the input ends the work.
Out: ``{"ready": …}`` when the arm has warmed up, then one report a step. Whatever else an arm prints goes to stderr.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

from benchmarks.model import Job


def status_mib(name: str) -> float:
    """A size from this process's status.

    ``VmHWM`` is the peak of this program alone; ``getrusage``'s, at first, is that of the process it was started from.
    """
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:")) / 1024


def synchronize(device: str) -> None:
    """Wait for the GPU, so that a clock can be read."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


class Pipe:
    """The arm's end of the line: ``ready`` once, then ``begin`` and ``done`` around every step."""

    def __init__(self, commands: IO[str], reports: IO[str], device: str = "cpu") -> None:
        self._commands, self._reports, self._device = commands, reports, device
        self._started = 0.0
        self._resident = 0.0
        self.step = -1

    def ready(self, **notes: Any) -> None:
        """The arm has warmed up; ``notes`` are kept with the result, and how many threads torch has."""
        torch = sys.modules.get("torch")
        threads = {} if torch is None else {"threads": torch.get_num_threads()}
        self._say({"ready": {**notes, **threads}})

    def loaded(self) -> None:
        """The model is loaded and nothing was done with it: growth in memory is counted from here."""
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            self._resident = torch.cuda.memory_allocated() / 2**20
        else:
            self._resident = status_mib("VmRSS")

    def begin(self) -> int:
        """Wait for the word to do a step; returns its number, from 0.

        Raises:
            SystemExit: there is nothing more to do.
        """
        line = self._commands.readline()
        if not line or json.loads(line)["do"] != "step":
            raise SystemExit(0)
        self.step += 1
        synchronize(self._device)
        self._started = time.perf_counter()
        return self.step

    def done(self, amount: float) -> None:
        """The step that began last is over; ``amount`` is what it did, in the row's own units."""
        synchronize(self._device)
        seconds = time.perf_counter() - self._started
        self._say({"seconds": seconds, "amount": amount, "grown_mib": self._grown()})

    def serve(self, step: Callable[[int], float], *, warm: int = 1, **notes: Any) -> None:
        """Warm up, then do ``step(number)``, which returns its amount, whenever told to."""
        self.loaded()
        for number in range(warm):
            step(10_000 + number)
        self.ready(**notes)
        for number in self:
            self.done(step(number))

    def __iter__(self) -> Iterator[int]:
        while True:
            yield self.begin()

    def _grown(self) -> float:
        """Peak memory above what was held when the model was loaded."""
        if self._device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated() / 2**20 - self._resident
        return status_mib("VmHWM") - self._resident

    def _say(self, message: dict[str, Any]) -> None:
        self._reports.write(json.dumps(message) + "\n")
        self._reports.flush()


def find(arm: str) -> Callable[[Job, Pipe], None]:
    """The function that ``module:function`` names."""
    module, _, name = arm.partition(":")
    return getattr(importlib.import_module(module), name)


def arm_of(job: Job) -> Callable[[Job, Pipe], None]:
    """The job's arm; torch has the job's threads by then, unless the arm imports it later and sees to it itself."""
    arm = find(job.arm)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(job.threads)
    return arm


def main() -> None:
    """Read the job, then serve."""
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be read as a report
    fields: dict[str, Any] = json.loads(sys.stdin.readline())
    fields["shape"] = tuple(fields["shape"])
    job = Job(**fields)
    with suppress(BrokenPipeError):
        arm_of(job)(job, Pipe(sys.stdin, reports, job.device))


if __name__ == "__main__":
    main()
