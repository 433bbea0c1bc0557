"""Where judged pools come from: read documents, cut them, write candidates, judge them.

``take`` gives this rank's share of the next documents; ``publish`` tells what policy writes from now on. With a
depth of 0 every rollout is written by the policy that learns from it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tutelage import rng
from tutelage.checking import checked_judgements, checked_proposals, require_distinct_axes
from tutelage.metrics import Mean, Metric, Peak, Sum, merge
from tutelage.policy import Policy
from tutelage.protocols import Cursor, Judge, Source, Stream
from tutelage.types import Absent, Abstained, Candidate, Chunk, JudgedPool, Judgement, Pool, Rollout, Scored, Suffix


@dataclass(frozen=True, slots=True)
class Take:
    """What one step learns from, on this rank."""

    judged: tuple[JudgedPool, ...]
    """Documents that are taught."""
    plain: tuple[Chunk, ...]
    """Documents that train as plain next-token prediction."""
    cursor: Cursor
    """Where the stream stands after this step."""
    version: int
    """Version of the policy that wrote the rollouts."""
    metrics: dict[str, Metric] = field(default_factory=dict[str, Metric], hash=False, compare=False)


@runtime_checkable
class Experience(Protocol):
    """Gives judged groups to learn from."""

    cursor: Cursor
    """Where the next ``take`` reads on; set behind a step that is replayed."""

    def take(self, count: int, *, max_staleness: int) -> Take:
        """This rank's share of the next ``count`` documents, written by a policy at most so many updates old.

        Raises:
            ValueError: ``max_staleness`` is negative.
        """
        ...

    def publish(self, policy: Policy, version: int) -> None:
        """From now on ``policy`` at ``version`` writes the rollouts."""
        ...


class SuffixExperience:
    """The suffix task (2601.21343 §1.1.1): prefix in, continuation out, judged against its rivals."""

    def __init__(
        self,
        stream: Stream,
        sources: Sequence[tuple[str, Source]],
        judges: Sequence[tuple[str, Judge]],
        *,
        cursor: Cursor,
        seed: int,
        taught_share: float,
        suffix_length: int,
        vocab_size: int,
        rank: int,
        size: int,
    ) -> None:
        self._stream = stream
        self._sources = sources
        self._judges = judges
        self._seed = seed
        self._taught_share = taught_share
        self._suffix_length = suffix_length
        self._vocab_size = vocab_size
        self._rank = rank
        self._size = size
        self._version = 0
        self.cursor = cursor

    def publish(self, policy: Policy, version: int) -> None:
        """Sources sample from the live weights; only the version changes."""
        self._version = version

    def take(self, count: int, *, max_staleness: int = 0) -> Take:
        """Read, propose and judge now: what is sampled in process has a staleness of 0, whatever is allowed.

        Documents are dealt round robin to the ranks, and all draws are keyed by document: the pools of a step are the
        same for any number of ranks.

        Raises:
            ValueError: ``max_staleness`` is negative.
        """
        if max_staleness < 0:
            raise ValueError(f"max_staleness is {max_staleness}; it counts updates and must be at least 0")
        started = time.perf_counter()
        chunks, cursor = self._stream.read(self.cursor, count)
        mine = deal(chunks, self._rank, self._size)
        taught = [chunk for chunk in mine if self._is_taught(chunk)]
        plain = tuple(chunk for chunk in mine if not self._is_taught(chunk))
        metrics: dict[str, Metric] = {"seconds/stream": Sum(time.perf_counter() - started)}
        pools, proposed = self._propose(taught)
        judged, ruled = self._judge(pools)
        self.cursor = cursor
        return Take(tuple(judged), plain, cursor, self._version, merge([metrics, proposed, ruled]))

    def _is_taught(self, chunk: Chunk) -> bool:
        return self._taught_share >= 1 or rng.uniform(self._seed, "taught", *chunk.document.key) < self._taught_share

    def _propose(self, chunks: Sequence[Chunk]) -> tuple[list[Pool], dict[str, Metric]]:
        written: list[list[Candidate | Absent]] = [[] for _ in chunks]
        metrics: dict[str, Metric] = {}
        for name, source in self._sources:
            started = time.perf_counter()
            answers = source.propose(chunks) if chunks else []
            limits = {"suffix_length": self._suffix_length, "vocab_size": self._vocab_size}
            for mine, proposal in zip(written, checked_proposals(source, chunks, answers, **limits), strict=True):
                mine.extend(proposal)
            metrics[f"seconds/{name}"] = Sum(time.perf_counter() - started)
        pools = [_pool(chunk, mine) for chunk, mine in zip(chunks, written, strict=True)]
        return pools, metrics | source_metrics(pools)

    def _judge(self, pools: Sequence[Pool]) -> tuple[list[JudgedPool], dict[str, Metric]]:
        judgements: list[list[Judgement]] = [[] for _ in pools]
        metrics: dict[str, Metric] = {}
        for name, judge in self._judges:
            started = time.perf_counter()
            ruled = judge.judge(pools) if pools else []
            for mine, new in zip(judgements, checked_judgements(judge, pools, ruled), strict=True):
                mine.extend(new)
                require_distinct_axes(mine)
            metrics[f"seconds/judge.{name}"] = Sum(time.perf_counter() - started)
        judged = [JudgedPool(pool, tuple(mine)) for pool, mine in zip(pools, judgements, strict=True)]
        return judged, metrics | judgement_metrics(judged)


def deal(chunks: Sequence[Chunk], rank: int, size: int) -> list[Chunk]:
    """The chunks of every ``size``-th document, so that a document's chunks stay together."""
    documents: dict[tuple[int, str, str], int] = {}
    for chunk in chunks:
        documents.setdefault(chunk.document.key, len(documents))
    return [chunk for chunk in chunks if documents[chunk.document.key] % size == rank]


def _pool(chunk: Chunk, written: Sequence[Candidate | Absent]) -> Pool:
    candidates = tuple(c for c in written if not isinstance(c, Absent))
    return Pool(chunk, candidates, tuple(c for c in written if isinstance(c, Absent)))


def source_metrics(pools: Sequence[Pool]) -> dict[str, Metric]:
    """Lengths, endings and first tokens by source, so that an artefact of a source cannot be what is learnt unseen."""
    parts: list[dict[str, Metric]] = []
    for pool in pools:
        for candidate in pool.candidates:
            length = len(candidate.tokens)
            part: dict[str, Metric] = {f"length/{candidate.source}": Mean(length, 1)}
            if not isinstance(candidate, Suffix):
                same = candidate.tokens[:1] == pool.chunk.suffix[:1]
                part[f"first_token/{candidate.source}"] = Mean(float(same), 1)
            if isinstance(candidate, Rollout):
                part["rollout/stopped"] = Mean(float(candidate.finish == "stop"), 1)
                part["tokens/sampled"] = Sum(length)
                part["policy/surprise"] = Mean(-float(candidate.logprobs.array.sum()), length)
            parts.append(part)
        parts.extend({f"absent/{absent.source}": Sum(1)} for absent in pool.absent)
    return merge(parts)


def judgement_metrics(judged: Sequence[JudgedPool]) -> dict[str, Metric]:
    """Scores by axis and source, with the highest; abstentions by axis, by source and by safety, refusals apart.

    What was not asked (nobody to compare with) is neither. A text is unsafe where the axis ``safety`` gives it less
    than one half: judges refuse most on such text, so that its abstentions are not missing at random.
    """
    parts: list[dict[str, Metric]] = []
    for pool in judged:
        kinds = _safety(pool)
        for judgement in pool.judgements:
            axis = judgement.axis
            parts.append({f"calls/{axis}": Sum(judgement.calls)})
            for candidate, kind, verdict in zip(pool.pool.candidates, kinds, judgement.verdicts, strict=True):
                places = [axis, f"{axis}/{candidate.source}"]
                if kind and axis != "safety":
                    places.append(f"{axis}/{kind}")
                match verdict:
                    case Scored(value):
                        part: dict[str, Metric] = {f"abstained/{place}": Mean(0.0, 1) for place in places}
                        part |= {f"score/{axis}/{candidate.source}": Mean(value, 1), f"score_peak/{axis}": Peak(value)}
                    case Abstained() if verdict.asked:
                        part = {f"abstained/{place}": Mean(1.0, 1) for place in places}
                        part[f"refused/{axis}"] = Sum(float(verdict.refused))
                    case Abstained():
                        part = {}
                parts.append(part)
    return merge(parts)


def _safety(judged: JudgedPool) -> list[str]:
    """``safe`` or ``unsafe`` for every candidate by the verdict on safety; empty where there is none."""
    kinds = [""] * len(judged.pool.candidates)
    for judgement in judged.judgements:
        if judgement.axis == "safety":
            scores = [v.value if isinstance(v, Scored) else None for v in judgement.verdicts]
            kinds = ["" if score is None else "safe" if score >= 0.5 else "unsafe" for score in scores]
    return kinds


def first_abstention(judged: Sequence[JudgedPool], axis: str) -> str | None:
    """One reason that the judge of ``axis`` gave for not answering, for the message that stops a run."""
    for pool in judged:
        for judgement in pool.judgements:
            for verdict in judgement.verdicts:
                if judgement.axis == axis and isinstance(verdict, Abstained) and verdict.asked:
                    return verdict.reason
    return None
