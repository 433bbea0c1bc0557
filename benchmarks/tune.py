"""Which micro-batch suits a peer: ``python -m benchmarks.tune trl_grpo --shape 896,128,16`` prints seconds a step."""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.__main__ import CORES, WORK, prepared
from benchmarks.model import Job
from benchmarks.pairing import Worker, WorkerFailed
from benchmarks.rows import KINDS

PEERS = {
    "twin": ("pass", "twin"),
    "twin_pair": ("pass_pair", "twin"),
    "trl_grpo": ("step", "trl_grpo"),
    "trl_online_dpo": ("step_dpo", "trl_online_dpo"),
    "assembly": ("step_dpo", "assembly"),
    "hf_trainer": ("ntp", "hf_trainer"),
    "generate": ("sampling", "generate"),
}
"""Those whose micro-batch is a setting."""
ROWS = (1, 2, 4, 8, 16)


def seconds(peer: str, job: Job, steps: int) -> float:
    """The median of ``steps`` steps after a warm one.

    Raises:
        WorkerFailed: the peer does not take these settings, or its environment is not there.
    """
    kind = KINDS[PEERS[peer]]
    if not kind.python.exists():
        raise WorkerFailed(f"{kind.python} is missing: make peers")
    with Worker(kind.python, replace(job, arm=kind.theirs, steps=steps), WORK / "logs" / f"tune-{peer}.log") as worker:
        return statistics.median([worker.step().seconds for _ in range(steps)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Try one micro-batch after the other; what fails says so and is passed over."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.tune", description=__doc__)
    made.add_argument("peer", choices=sorted(PEERS))
    made.add_argument("--shape", default="896,128,16", help="P,N,K: tokens of a prompt, new tokens, continuations")
    made.add_argument("--prompts", type=int, default=2, help="prompts or documents of a step")
    made.add_argument("--steps", type=int, default=3)
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    options = made.parse_args(arguments)
    length, new, count = (int(part) for part in options.shape.split(","))
    job = Job("", (length, new, count), options.prompts, threads=CORES, **prepared(options.device))
    for rows in ROWS:
        try:
            took = f"{seconds(options.peer, replace(job, settings={'rows': rows}), options.steps):.3g} s a step"
        except WorkerFailed as error:
            took = str(error).splitlines()[-1]
        print(f"{options.peer} rows={rows}: {took}", flush=True)


if __name__ == "__main__":
    main()
