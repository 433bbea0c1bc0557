"""Online DPO with a judge that takes as long as sampling: one step ahead against strictly one after the other.

The judge sleeps, as one that answers from another machine does: it takes time, not this machine's cores.
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

    seconds = 0.0

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
    state, judge = state_of(job, reference=True), Slow()
    experience = _experience(job, state, judge)

    def step(_: int) -> float:
        if depth:
            experience.propose(job.prompts)
        take = experience.take(job.prompts, max_staleness=depth)
        learn(state, OnlineDPO(beta=BETA), take.judged)
        experience.publish(state.policy, state.policy.version)
        return float(job.prompts)

    experience.take(job.prompts)  # warms up
    started = time.perf_counter()
    taken = experience.take(job.prompts)
    judge.seconds = time.perf_counter() - started
    learn(state, OnlineDPO(beta=BETA), taken.judged)
    experience.publish(state.policy, state.policy.version)
    if depth:
        experience.propose(job.prompts)
    pipe.serve(step, warm=1, depth=depth, judge_seconds=judge.seconds)


def ahead(job: Job, pipe: Pipe) -> None:
    """``queue_depth`` 1: judges work while the policy learns and samples the next step."""
    _serve(job, pipe, 1)


def strict(job: Job, pipe: Pipe) -> None:
    """``queue_depth`` 0."""
    _serve(job, pipe, 0)
