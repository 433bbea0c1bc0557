"""Online DPO with a judge that takes as long as sampling: one step ahead against strictly one after the other.

The judge sleeps, as one that answers from another machine does: it takes time, not this machine's cores. How long is
measured once, before the pairs, and is the same for both sides.
"""

import time
from collections.abc import Mapping, Sequence

from benchmarks.model import BETA, Job, documents, reward
from benchmarks.ours import State, chunk_of, learn, state_of
from benchmarks.worker import Pipe
from tutelage.experience import SuffixExperience
from tutelage.objectives import OnlineDPO
from tutelage.protocols import Cursor
from tutelage.sources import PolicyRollouts, RolloutSource
from tutelage.types import Chunk, Judgement, Pool, Scored


class Documents:
    """Random documents as a stream, each cut once at P."""

    fingerprint = "random"

    def __init__(self, job: Job) -> None:
        self._job = job

    def start(self) -> Cursor:
        """Of the first document."""
        return Cursor(0, ())

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The documents of one step."""
        length, new, _ = self._job.shape
        step = cursor.taken // count
        chunks = [chunk_of(ids, i, step, length, new) for i, ids in enumerate(documents(self._job, step))]
        return tuple(chunks), Cursor(cursor.taken + count, ())

    def counts(self) -> Mapping[str, int]:
        """Nothing is passed over."""
        return {}


class Slow:
    """The free judge behind a wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One axis, after ``seconds``."""
        time.sleep(self.seconds)
        return [(Judgement("free", tuple(Scored(reward(c.tokens.tolist())) for c in p.candidates)),) for p in pools]


def _experience(job: Job, state: State, judge: Slow) -> SuffixExperience:
    stream, new = Documents(job), job.shape[1]
    rollouts = PolicyRollouts(RolloutSource(num_rollouts=job.shape[2]), state.sampler, 0, new)
    return SuffixExperience(
        *(stream, [("rollout", rollouts)], [("free", judge)]),
        cursor=stream.start(),
        seed=0,
        taught_share=1.0,
        suffix_length=new,
        vocab_size=job.vocabulary,
        rank=0,
        size=1,
    )


def _serve(job: Job, pipe: Pipe, depth: int) -> None:
    seconds = job.setting("judge_seconds", None)
    if seconds is None:
        raise ValueError("nobody said how long the judge takes: --ours judge_seconds=1 --theirs judge_seconds=1")
    state = state_of(job, reference=True)
    experience = _experience(job, state, Slow(seconds))

    def step(_: int) -> float:
        if depth:
            experience.propose(job.prompts)
        take = experience.take(job.prompts, max_staleness=depth)
        learn(state, OnlineDPO(beta=BETA), take.judged)
        experience.publish(state.policy, state.policy.version)
        return float(job.prompts)

    experience.take(job.prompts)  # warms up
    if depth:
        experience.propose(job.prompts)
    pipe.serve(step, warm=1, depth=depth, judge_seconds=seconds)


def sampling(job: Job, pipe: Pipe) -> None:
    """Reading and sampling alone: what the judge is told to take."""
    experience = _experience(job, state_of(job, reference=False), Slow(0.0))

    def step(_: int) -> float:
        experience.take(job.prompts)
        return float(job.prompts)

    pipe.serve(step)


def ahead(job: Job, pipe: Pipe) -> None:
    """``queue_depth`` 1: judges work while the policy learns and samples the next step."""
    _serve(job, pipe, 1)


def strict(job: Job, pipe: Pipe) -> None:
    """``queue_depth`` 0."""
    _serve(job, pipe, 0)
