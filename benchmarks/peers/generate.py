"""Sampling by transformers: ``generate`` on K copies of every prompt, and ``generate_batch``."""

import numpy as np
import torch

from benchmarks.model import Job, prompts
from benchmarks.peers.training import computing, load
from benchmarks.worker import Pipe


def generate(job: Job, pipe: Pipe) -> None:
    """All K · prompts rows in one batch, or ``rows`` at a time; pure sampling to exactly N tokens."""
    from transformers import GenerationConfig

    _, new, count = job.shape
    model, rows = load(job), job.setting("rows", count * job.prompts)
    cache = job.setting("cache", "dynamic")
    config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=new,
        eos_token_id=None,
        pad_token_id=0,
        cache_implementation=None if cache == "dynamic" else cache,
        disable_compile=True,
    )
    model.generation_config.eos_token_id = None

    @torch.inference_mode()
    def step(number: int) -> float:
        every = torch.from_numpy(np.stack(prompts(job, number)).repeat(count, 0)).to(job.device)
        written = 0
        for part in every.split(rows):
            with computing(job):
                said = model.generate(part, attention_mask=torch.ones_like(part), generation_config=config)
            written += said[:, part.shape[1] :].numel()
        if written != len(every) * new:
            raise RuntimeError(f"{written} tokens were written, not {len(every) * new}")
        return float(written)

    pipe.serve(step, rows=rows, cache=cache, torch=torch.__version__)


def generate_batch(job: Job, pipe: Pipe) -> None:
    """Continuous batching: blocks of the cache are shared between rows that begin alike; the manager is kept."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    length, new, count = job.shape
    model, page = load(job), job.setting("page", 128)
    blocks = job.setting("blocks", job.prompts * count * (-(-(length + new) // page) + 1))
    config = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=new, eos_token_id=-1, pad_token_id=0
    )
    tokens = job.setting("batched_tokens", 4096)
    how = ContinuousBatchingConfig(page_size=page, num_blocks=blocks, max_batch_tokens=tokens)

    def step(number: int) -> float:
        asked = [ids.tolist() for ids in prompts(job, number) for _ in range(count)]
        with computing(job):
            said = model.generate_batch(asked, config, how, persistent_manager=True)
        written = sum(len(answer.generated_tokens) for answer in said.values())
        if written != len(asked) * new:
            raise RuntimeError(f"{written} tokens were written, not {len(asked) * new}")
        return float(written)

    pipe.serve(step, page=page, blocks=blocks, batched_tokens=tokens, torch=torch.__version__)
