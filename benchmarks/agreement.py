"""How often keyed sampling gives the same tokens whatever the batch: ``python -m benchmarks.agreement``.

Draws are a function of weights, prefix and seed. What a batch's shape moves in the last bit of a logit can still turn a
draw; in float32 that is next to never, in bfloat16 it happens, and from there on the text is another one.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.__main__ import WORK, prepared
from benchmarks.engine import load_policy
from benchmarks.model import Job, prompts
from benchmarks.ours import NEVER
from tutelage import rng
from tutelage.protocols import SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Tokens
from tutelage.weights import Precision


def agreement(job: Job, precision: Precision) -> dict[str, float]:
    """``shares`` of continuations that are sampled all together and one by one."""
    sampler = InProcessSampler(load_policy(job, precision), eos=NEVER)
    _, new, count = job.shape
    asked = [
        SampleRequest(Tokens(ids), tuple(rng.seed("agreement", i, k) for k in range(count)), new)
        for i, ids in enumerate(prompts(job, 0))
    ]
    single = [SampleRequest(request.prefix, (seed,), new) for request in asked for seed in request.seeds]
    together = [written.tokens.array for answer in sampler.sample(asked) for written in answer]
    alone = [sampler.sample([request])[0][0].tokens.array for request in single]
    return shares(together, alone)


def shares(one: Sequence[NDArray[np.int32]], other: Sequence[NDArray[np.int32]]) -> dict[str, float]:
    """Shares of continuations that are equal, and of tokens before the first difference."""
    same = [float(np.cumprod(a == b).mean()) for a, b in zip(one, other, strict=True)]
    return {"continuations": sum(share == 1 for share in same) / len(same), "tokens": sum(same) / len(same)}


def main() -> None:
    """Measure float32 and mixed precision at (256, 64, 8), four prompts."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    WORK.mkdir(parents=True, exist_ok=True)
    job = Job("", (256, 64, 8), 4, **prepared(made.parse_args().device))
    torch.set_num_threads(job.threads)
    precisions: tuple[Precision, ...] = ("float32", "mixed")
    found = {precision: agreement(job, precision) for precision in precisions}
    path = Path(__file__).parent / "results" / "agreement" / f"{job.device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
