"""Runs that are killed for good: ``python -m tests.resume_worker TOKENIZER JOBS.json``; imports once, then forks.

A job is ``{"directory": …, "after": share}``, killed when that share of the first job's time is over;
``{"directory": …, "call": "module.name", "number": n}``, killed as the n-th such call begins; or ``{"directory": …}``,
left alone. Each may say the run's ``"depth"``.
"""

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tests.tiny import resumable_run, train_all


def die_at(target: str, number: int) -> None:
    """SIGKILL this process at the ``number``-th call of ``target``."""
    module, name = target.rsplit(".", 1)
    holder: Any = importlib.import_module(module)
    real, seen = getattr(holder, name), [0]

    def dying(*positional: Any, **named: Any) -> Any:
        seen[0] += 1
        if seen[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*positional, **named)

    setattr(holder, name, dying)


def train(tokenizer: Path, job: dict[str, Any]) -> None:
    if "call" in job:
        die_at(job["call"], job["number"])
    train_all(resumable_run(tokenizer, job.get("depth", 0)), Path(job["directory"]))


def main(tokenizer: Path, jobs: list[dict[str, Any]]) -> None:
    """Write how every job ended (-9 where it was killed) as JSON."""
    torch.set_num_threads(1)
    ends: list[int] = []
    duration = 0.0
    for job in jobs:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            train(tokenizer, job)
            os._exit(0)
        if "after" in job:
            time.sleep(duration * job["after"])
            os.kill(child, signal.SIGKILL)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        duration = duration or time.monotonic() - began
    sys.stdout.write(json.dumps(ends) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
