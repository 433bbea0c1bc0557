"""Runs that are killed for good: ``python -m tests.resume_worker TOKENIZER JOBS.json``; imports once, then forks.

A job is ``{"directory": …, "after": share}``, killed when it has used that share of the first job's processor time;
``{"directory": …, "call": "module.name", "number": n}``, killed as the n-th such call begins; or ``{"directory": …}``,
left alone. Each may say the run's ``"depth"``, and the
``"task"`` correction.
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
from tests.correction.parts import resumable_correction
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
    make = resumable_correction if job.get("task") == "correction" else resumable_run
    train_all(make(tokenizer, job.get("depth", 0)), Path(job["directory"]))


def ended(child: int) -> bool:
    """Whether a child has ended; it is waited for later."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def used(child: int) -> float:
    """Seconds of processor time of a child: unlike the clock's, they do not depend on what else runs."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(tokenizer: Path, jobs: list[dict[str, Any]]) -> None:
    """Write how every job ended (-9 where it was killed) as JSON."""
    torch.set_num_threads(1)
    ends: list[int] = []
    whole = 0.0
    for job in jobs:
        child = os.fork()
        if child == 0:
            train(tokenizer, job)
            os._exit(0)
        while "after" in job and not ended(child) and used(child) < whole * job["after"]:
            time.sleep(0.002)
        if "after" in job:
            os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        ends.append(os.waitstatus_to_exitcode(status))
        whole = whole or usage.ru_utime + usage.ru_stime
    sys.stdout.write(json.dumps(ends) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
