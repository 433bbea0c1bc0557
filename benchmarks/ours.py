"""Tutelage's side of every pair, through its public interface alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.engine import load_policy
from benchmarks.model import BETA, BETAS, CLIP, LEARNING_RATE, WEIGHT_DECAY, Ids, Job, completions, documents, reward
from benchmarks.model import prompts as draw_prompts
from benchmarks.worker import Pipe
from tutelage import rng
from tutelage.objectives import GRPO, NTP, SFT, Objective, OnlineDPO
from tutelage.optimizer import AdamW
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest
from tutelage.ranks import OneRank
from tutelage.sampler import InProcessSampler
from tutelage.types import Chunk, Document, Floats, JudgedPool, Judgement, Pool, Rollout, Scored, Tokens
from tutelage.update import Learner, Part, update

NEVER = -1
"""An id that cannot be drawn stands for end-of-text, so that every continuation has exactly N tokens."""


@dataclass(frozen=True, slots=True)
class State:
    """What the steps of an arm share."""

    learner: Learner
    reference: Policy | None
    sampler: InProcessSampler

    @property
    def policy(self) -> Policy:
        return self.learner.policy


def state_of(job: Job, *, reference: bool) -> State:
    """The saved model with its optimiser, its reference and its sampler."""
    policy = load_policy(job)
    optimizers = AdamW(betas=BETAS, weight_decay=WEIGHT_DECAY).build(policy.model)
    learner = Learner(policy, optimizers, OneRank(), job.setting("max_tokens", 2048), CLIP)
    rows = job.setting("max_rows", max(256, job.shape[2]))
    sampler = InProcessSampler(policy, eos=NEVER, max_rows=rows)
    return State(learner, policy.frozen_copy() if reference else None, sampler)


def chunk_of(ids: Ids, index: int, step: int, cut: int, new: int, repeated: int = 0) -> Chunk:
    """One fork of a document; ``repeated`` tokens of its prefix are that of the fork before."""
    tokens = Tokens(ids)
    document = Document(id=f"{step}-{index}", corpus="random", epoch=0, tokens=tokens)
    return Chunk(document, tokens[:cut], tokens[cut : cut + new], cut, repeated)


def forks(job: Job, step: int) -> list[Chunk]:
    """Every prompt once, or every document at ``job.cuts`` evenly spaced places, the last of them at P."""
    length, new, _ = job.shape
    if job.cuts == 1:
        return [chunk_of(ids, i, step, length, new) for i, ids in enumerate(draw_prompts(job, step))]
    places = [length * (k + 1) // job.cuts for k in range(job.cuts)]
    return [
        chunk_of(ids, i, step, cut, new, before)
        for i, ids in enumerate(documents(job, step))
        for before, cut in zip([0, *places], places, strict=False)
    ]


def judged(chunk: Chunk, rollouts: Sequence[Rollout]) -> JudgedPool:
    """The free judge."""
    verdicts = tuple(Scored(reward(rollout.tokens.tolist())) for rollout in rollouts)
    return JudgedPool(Pool(chunk, tuple(rollouts)), (Judgement("free", verdicts),))


def rollout(tokens: Tokens, logprobs: Floats, version: int, draw: int) -> Rollout:
    """A continuation at temperature 1."""
    return Rollout(tokens, logprobs, version, draw, 1.0, 1.0, "length")


def sample(job: Job, state: State, chunks: Sequence[Chunk], step: int) -> list[tuple[Rollout, ...]]:
    """K rollouts of every chunk.

    Raises:
        RuntimeError: not every rollout has N tokens, so that the sides would not have done the same work.
    """
    _, new, count = job.shape
    asked = [SampleRequest(c.prefix, tuple(rng.seed("bench", step, i, k) for k in range(count)), new)
             for i, c in enumerate(chunks)]  # fmt: skip
    answers = state.sampler.sample(asked)
    if any(len(sampled.tokens) != new for written in answers for sampled in written):
        raise RuntimeError(f"a rollout does not have {new} tokens")
    version = state.policy.version
    return [tuple(rollout(s.tokens, s.logprobs, version, k) for k, s in enumerate(w)) for w in answers]


def learn(state: State, objective: Objective, pools: Sequence[JudgedPool]) -> None:
    """One update on all pools."""
    lessons = tuple(objective.lesson(pool) for pool in pools)
    update(state.learner, state.reference, (Part(objective, lessons, 1.0),), LEARNING_RATE)


def _step(job: Job, pipe: Pipe, objective: Objective) -> None:
    state = state_of(job, reference=True)

    def step(number: int) -> float:
        chunks = forks(job, number)
        rollouts = sample(job, state, chunks, number)
        learn(state, objective, [judged(c, r) for c, r in zip(chunks, rollouts, strict=True)])
        return float(len(chunks))

    pipe.serve(step, warm=1, **notes(state))


def notes(state: State) -> dict[str, Any]:
    """What is kept with the result."""
    return {"max_tokens": state.learner.max_tokens, "layout": state.policy.layout, "torch": torch.__version__}


def step(job: Job, pipe: Pipe) -> None:
    """Rollouts, reference and a GRPO update on all K."""
    _step(job, pipe, GRPO(kl_weight=BETA))


def step_dpo(job: Job, pipe: Pipe) -> None:
    """The paper's step: K rollouts, the best and the worst trained, against a reference."""
    _step(job, pipe, OnlineDPO(beta=BETA))


def pretraining_dpo(job: Job, pipe: Pipe) -> None:
    """``step_dpo`` with the next-token loss on the prefix: what stands in for a step of plain pretraining."""
    _step(job, pipe, OnlineDPO(beta=BETA, ntp_weight=1.0))


def pretraining_grpo(job: Job, pipe: Pipe) -> None:
    """``step`` with the next-token loss on the prefix."""
    _step(job, pipe, GRPO(kl_weight=BETA, ntp_weight=1.0))


def made_up(job: Job, number: int) -> list[JudgedPool]:
    """Pools with continuations that nobody sampled, for timing the pass alone."""
    new = job.shape[1]
    behaviour = Floats([-8.0] * new)
    return [
        judged(chunk, [rollout(Tokens(ids), behaviour, 0, k) for k, ids in enumerate(rows)])
        for chunk, rows in zip(forks(job, number), completions(job, number), strict=True)
    ]


def _pass(job: Job, pipe: Pipe, objective: Objective) -> None:
    state = state_of(job, reference=objective.needs_reference)

    def run(job: Job, number: int) -> float:
        learn(state, objective, made_up(job, number))
        return float(job.prompts * job.shape[1] * job.shape[2])

    # Where memory is measured, a tiny pass warms up, so that only the pass itself is counted; like the twin's, it
    # leaves the optimiser's moments behind and no gradients.
    memory = bool(job.setting("memory", False))
    if memory:
        run(replace(job, shape=(16, 8, 2), prompts=1), 10_000)
        for optimizer in state.learner.optimizers:
            optimizer.zero_grad(set_to_none=True)
    pipe.serve(lambda number: run(job, number), warm=0 if memory else 1, **notes(state))


def on_all(job: Job) -> Objective:
    """GRPO on all K; a single continuation has no rival, so that it is trained by its likelihood, at the same work."""
    return GRPO() if job.shape[2] > 1 else SFT("rollout")


def grpo_pass(job: Job, pipe: Pipe) -> None:
    """Forward, backward and update on K given continuations, their behaviour log-probabilities given too."""
    _pass(job, pipe, on_all(job))


def pair_pass(job: Job, pipe: Pipe) -> None:
    """The same on a pair, with its reference."""
    _pass(job, pipe, OnlineDPO(beta=BETA))


def sampling(job: Job, pipe: Pipe) -> None:
    """K continuations of every prompt."""
    state = state_of(job, reference=False)

    def run(number: int) -> float:
        sample(job, state, forks(job, number), number)
        return float(job.prompts * job.shape[1] * job.shape[2])

    pipe.serve(run, **notes(state))


def _ntp(job: Job, pipe: Pipe, amount: Callable[[int, int], float]) -> None:
    state = state_of(job, reference=False)
    length, new, _ = job.shape

    def run(number: int) -> float:
        chunks = [chunk_of(ids, i, number, length, new) for i, ids in enumerate(documents(job, number))]
        learn(state, NTP(), [JudgedPool(Pool(chunk, ())) for chunk in chunks])
        return amount(len(chunks), length + new)

    pipe.serve(run, **notes(state))


def ntp_tokens(job: Job, pipe: Pipe) -> None:
    """Plain next-token prediction on documents of P + N tokens; the amount is tokens."""
    _ntp(job, pipe, lambda documents, length: float(documents * length))


def ntp_documents(job: Job, pipe: Pipe) -> None:
    """The same; the amount is documents."""
    _ntp(job, pipe, lambda documents, length: float(documents))
