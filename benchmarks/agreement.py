"""How often keyed sampling gives the same tokens whatever the batch: ``python -m benchmarks.agreement``.

Draws are a function of weights, prefix and seed. What a batch's shape moves in the last bit of a logit can still turn a
draw; in float32 that is next to never, in bfloat16 it happens, and from there on the text is another one.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.__main__ import WORK, prepared
from benchmarks.model import Job, prompts
from tutelage import rng
from tutelage.codec import Tokenizer
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Tokens
from tutelage.weights import Precision, Pretrained, embedding_rows, load_model


def agreement(job: Job, precision: Precision) -> dict[str, float]:
    """Shares of continuations, and of tokens up to the first difference, that are equal alone and all together."""
    device = torch.device(job.device)
    model = load_model(Pretrained(job.folder), Tokenizer(job.folder).build(), seed=0, device=device)
    sampler = InProcessSampler(Policy(model, mixed=precision == "mixed"), eos=-1)
    assert embedding_rows(model) == job.vocabulary
    _, new, count = job.shape
    asked = [
        SampleRequest(Tokens(ids), tuple(rng.seed("agreement", i, k) for k in range(count)), new)
        for i, ids in enumerate(prompts(job, 0))
    ]
    together = [s.tokens.array for written in sampler.sample(asked) for s in written]
    alone = [
        s.tokens.array
        for request in asked
        for seed in request.seeds
        for s in sampler.sample([SampleRequest(request.prefix, (seed,), new)])[0]
    ]
    same = [(a == b).cumprod().mean() for a, b in zip(together, alone, strict=True)]
    return {"continuations": sum(share == 1 for share in same) / len(same), "tokens": float(sum(same) / len(same))}


def main() -> None:
    """Measure float32 and mixed precision at (256, 64, 8), four prompts."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    WORK.mkdir(parents=True, exist_ok=True)
    job = Job("", (256, 64, 8), 4, **prepared(made.parse_args().device))
    torch.set_num_threads(job.threads)
    found = {precision: agreement(job, precision) for precision in ("float32", "mixed")}
    path = Path(__file__).parent / "results" / "agreement" / f"{job.device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
