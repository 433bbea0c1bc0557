"""The unshared twin of the training pass: the same rows in plain transformers, each with its own prefix."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import mean, pstdev
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.model import BETA, Job, completions, prompts, reward
from benchmarks.peers.training import adamw, apply, completion_logprobs, computing, dpo_loss, frozen, load
from benchmarks.worker import Pipe

ROWS = 2
"""Rows of a micro-batch. Of 1, 2, 4, 8 and 16 the fastest on two cores at (896, 128, 16). On a GPU to be tried."""


def rows_of(job: Job, number: int) -> Tensor:
    """Every completion behind its prompt, shape (prompts, K, P + N)."""
    before = np.stack(prompts(job, number))[:, None].repeat(job.shape[2], 1)
    return torch.from_numpy(np.concatenate([before, completions(job, number)], 2)).to(job.device)


def advantages(job: Job, number: int) -> Tensor:
    """Of the free reward, within each group, shape (prompts, K)."""
    groups = [[reward(row.tolist()) for row in group] for group in completions(job, number)]
    return torch.tensor([[(r - mean(g)) / (pstdev(g) + 1e-4) for r in g] for g in groups], device=job.device)


def pairs_of(job: Job, number: int) -> Tensor:
    """The best and the worst completion of every prompt, shape (prompts · 2, P + N)."""
    every = rows_of(job, number)
    scores = torch.tensor([[reward(row.tolist()) for row in group] for group in completions(job, number)])
    chosen = torch.stack([scores.argmax(1), scores.argmin(1)], 1).to(job.device)
    return torch.stack([group[index] for group, index in zip(every, chosen, strict=True)]).flatten(0, 1)


def micro_batches(count: int, rows: int) -> Iterator[slice]:
    """Slices of at most ``rows``."""
    return (slice(start, start + rows) for start in range(0, count, rows))


def _serve(job: Job, pipe: Pipe, run: Any, rows: int) -> None:
    memory = bool(job.setting("memory", False))
    if memory:
        run(replace(job, shape=(16, 8, 2), prompts=1), 10_000)

    def step(number: int) -> float:
        run(job, number)
        return float(job.prompts * job.shape[1] * job.shape[2])

    pipe.serve(step, warm=0 if memory else 1, rows=rows, torch=torch.__version__)


def grpo_pass(job: Job, pipe: Pipe) -> None:
    """The clipped policy gradient on all K rows of every prompt."""
    model, rows = load(job), job.setting("rows", ROWS)
    optimizer = adamw(model)

    def run(job: Job, number: int) -> None:
        train_all(job, model, number, rows)
        apply(model, optimizer)

    _serve(job, pipe, run, rows)


def pair_pass(job: Job, pipe: Pipe) -> None:
    """DPO on the best and the worst of every prompt, with a reference."""
    model, rows = load(job), job.setting("rows", 2 * job.prompts)
    reference, optimizer = frozen(model), adamw(model)

    def run(job: Job, number: int) -> None:
        every, new = pairs_of(job, number), job.shape[1]
        train_pairs(job, model, reference, every, new, rows)
        apply(model, optimizer)

    _serve(job, pipe, run, rows)


def train_all(job: Job, model: Any, number: int, rows: int) -> None:
    """Gradients on all K continuations; a single one has no rival and is trained by its likelihood."""
    every = rows_of(job, number).flatten(0, 1)
    if job.shape[2] > 1:
        train_group(job, model, every, advantages(job, number).flatten(), rows)
        return
    for part in micro_batches(len(every), rows):
        with computing(job):
            ours = completion_logprobs(model, every[part], job.shape[1])
        (-ours.mean(1).sum() / len(every)).backward()


def train_group(job: Job, model: Any, every: Tensor, weights: Tensor, rows: int) -> None:
    """Gradients of the clipped policy gradient against a behaviour that said −8 nats of every token."""
    for part in micro_batches(len(every), rows):
        with computing(job):
            ours = completion_logprobs(model, every[part], job.shape[1])
        ratio, advantage = torch.exp(ours + 8.0), weights[part, None]
        surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        (-surrogate.mean(1).sum() / len(every)).backward()


def train_pairs(job: Job, model: Any, reference: Any, every: Tensor, new: int, rows: int) -> None:
    """Gradients of DPO on rows that stand chosen, rejected, …; both rows of a pair in one batch."""
    for part in micro_batches(len(every), rows):
        with computing(job):
            with torch.no_grad():
                theirs = completion_logprobs(reference, every[part], new)
            ours = completion_logprobs(model, every[part], new)
        (dpo_loss(ours, theirs, BETA) / (len(every) // 2)).backward()
