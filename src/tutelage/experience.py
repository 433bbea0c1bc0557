"""Where judged pools come from: read documents, cut them, write candidates, judge them.

``take`` gives this rank's share of the next documents; ``publish`` tells what policy writes from now on. What was
proposed ahead is judged in the background, while other documents are sampled and learnt from, and is taken first; where
nothing was, every rollout is written by the policy that learns from it.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

from tutelage import rng
from tutelage.checking import checked_judgements, checked_proposals, require_distinct_axes
from tutelage.endpoints import call_back
from tutelage.episodes import EpisodeGroup
from tutelage.metrics import Metric, Sum, counted, merge
from tutelage.policy import Policy
from tutelage.pool_metrics import judgement_metrics, source_metrics
from tutelage.protocols import Cursor, Judge, Source, Stream
from tutelage.types import Absent, Candidate, Chunk, JudgedPool, Judgement, Pool


class TooStale(ValueError):
    """Pools whose policy has been updated more often since than was allowed."""


@dataclass(frozen=True, slots=True)
class Take:
    """What one step learns from, on this rank."""

    judged: tuple[JudgedPool, ...]
    """Documents that are taught; none where the task is another than the suffix task."""
    plain: tuple[Chunk, ...]
    """Documents that train as plain next-token prediction."""
    cursor: Cursor
    """Where the stream stands after this step."""
    version: int
    """Version of the policy that wrote the rollouts."""
    metrics: dict[str, Metric] = field(default_factory=dict[str, Metric], hash=False, compare=False)
    episodes: tuple[EpisodeGroup, ...] = ()
    """Problems with the attempts at them, where the task is to correct."""

    @property
    def groups(self) -> tuple[JudgedPool | EpisodeGroup, ...]:
        """All that the objective makes a lesson of, in order."""
        return (*self.judged, *self.episodes)


@dataclass(frozen=True, slots=True)
class SuffixTask:
    """Prefix in, continuation out, judged against its rivals: what the phase's sources, judges and stream say."""


def require_fresh(written: int, version: int, max_staleness: int) -> None:
    """Refuse what version ``written`` of a policy wrote, where ``version``, its present one, is too many updates on.

    Raises:
        TooStale: naming both versions.
    """
    if version - written > max_staleness:
        raise TooStale(
            f"the rollouts of this step were written by version {written} of the policy, which is at version {version} "
            f"now; at most {max_staleness} updates may lie between (queue_depth)"
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """Pools without verdicts: what becomes a ``Take`` once they are judged."""

    count: int
    """Documents that were read for it, over all ranks."""
    pools: tuple[Pool, ...]
    plain: tuple[Chunk, ...]
    cursor: Cursor
    version: int
    metrics: dict[str, Metric] = field(hash=False, compare=False)


Ruling = tuple[list[JudgedPool], dict[str, Metric]]
"""What judges made of a proposal's pools, and what is counted of it."""


@runtime_checkable
class Experience(Protocol):
    """Gives judged groups to learn from."""

    cursor: Cursor
    """Where the next documents are read on; set behind a step that is replayed."""

    def propose(self, count: int) -> None:
        """Read the next ``count`` documents and write their candidates now; their judges begin in the background."""
        ...

    def take(self, count: int, *, max_staleness: int) -> Take:
        """This rank's share of ``count`` documents, written by a policy at most so many updates old.

        These are the documents that were proposed first and not taken yet, or the next ones where there are none.

        Raises:
            ValueError: ``max_staleness`` is negative, or ``count`` is not what was proposed.
            TooStale: the rollouts are older.
        """
        ...

    def publish(self, policy: Policy, version: int) -> None:
        """From now on ``policy`` at ``version`` writes the rollouts."""
        ...

    def close(self) -> None:
        """Drop what was proposed and not taken, and wait for the judge that is at work."""
        ...


@runtime_checkable
class Proposed(Protocol):
    """What was written ahead of the step that learns from it."""

    @property
    def count(self) -> int:
        """Documents or problems that were read for it, over all ranks."""
        ...

    @property
    def version(self) -> int:
        """Version of the policy that wrote it."""
        ...


P = TypeVar("P", bound=Proposed)
R = TypeVar("R")


class Ahead(Generic[P, R]):
    """What was proposed and not taken yet, while a thread works on what is to be known of it, in order.

    There is one thread, which starts with the first proposal: judges and verifiers are asked about one step after the
    other.
    """

    def __init__(self) -> None:
        self._proposed: deque[tuple[P, Future[R]]] = deque()
        self._futures: list[Future[R]] = []
        self._background = ThreadPoolExecutor(1, "judges")

    def add(self, proposal: P, work: Callable[[P], R]) -> None:
        """Begin ``work`` on a proposal when that on those before it is done."""
        future = self._background.submit(work, proposal)
        self._proposed.append((proposal, future))
        self._futures = [*(one for one in self._futures if not one.done()), future]

    def take(self, count: int, version: int, max_staleness: int) -> tuple[P, R, dict[str, Metric]] | None:
        """What was proposed first, with what its work came to, waited for; and for how long. ``None`` if nothing was.

        Raises:
            ValueError: ``max_staleness`` is negative, or ``count`` is not what was proposed.
            TooStale: the policy, at ``version`` now, was updated more often since.
        """
        if max_staleness < 0:
            raise ValueError(f"max_staleness is {max_staleness}; it counts updates and must be at least 0")
        if not self._proposed:
            return None
        proposal, future = self._proposed.popleft()
        require_fresh(proposal.version, version, max_staleness)
        if count != proposal.count:
            raise ValueError(f"{proposal.count} documents were proposed ahead; {count} cannot be taken of them")
        started = time.perf_counter()
        found = future.result()
        return proposal, found, {"seconds/wait_for_judges": Sum(time.perf_counter() - started)}

    def close(self) -> None:
        """Drop what was proposed and not taken; work in progress is waited for, for no thread can be killed.

        What it asks of servers is called back: they may be down, and their answers are not wanted any more.
        """
        self._proposed.clear()
        self._background.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in self._futures):
            call_back()
            time.sleep(0.01)
        self._background.shutdown()


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
        self._ahead = Ahead[Proposal, Ruling]()
        self.cursor = cursor

    def publish(self, policy: Policy, version: int) -> None:
        """Sources sample from the live weights; only the version changes."""
        self._version = version

    def propose(self, count: int) -> None:
        """Read and write candidates now; the judges begin when they are done with what was proposed before."""
        proposal = self._write(count)
        self.cursor = proposal.cursor
        self._ahead.add(proposal, lambda written: self._judge(written.pools))

    def take(self, count: int, *, max_staleness: int = 0) -> Take:
        """What was proposed first, waited for; else read, propose and judge here and now, with a staleness of 0.

        Documents are dealt round robin to the ranks, and all draws are keyed by document: the pools of a step are the
        same for any number of ranks. What a judge raised in the background is raised here.

        Raises:
            ValueError: ``max_staleness`` is negative, or ``count`` is not what was proposed.
            TooStale: the policy was updated more often since the proposal.
        """
        ahead = self._ahead.take(count, self._version, max_staleness)
        if ahead is None:
            proposal = self._write(count)
            take = _taken(proposal, self._judge(proposal.pools))
            self.cursor = take.cursor
            return take
        proposal, (judged, counted), waited = ahead
        return _taken(proposal, (judged, counted | waited))

    def close(self) -> None:
        """Drop what was proposed and not taken, and wait for the judge that is at work."""
        self._ahead.close()

    def _write(self, count: int) -> Proposal:
        """Read the next documents and let every source write; the cursor stays."""
        started = time.perf_counter()
        chunks, cursor = self._stream.read(self.cursor, count)
        mine = deal(chunks, self._rank, self._size)
        taught = [chunk for chunk in mine if self._is_taught(chunk)]
        plain = tuple(chunk for chunk in mine if not self._is_taught(chunk))
        metrics: dict[str, Metric] = {"seconds/stream": Sum(time.perf_counter() - started)}
        pools, proposed = self._candidates(taught)
        return Proposal(count, tuple(pools), plain, cursor, self._version, merge([metrics, proposed]))

    def _is_taught(self, chunk: Chunk) -> bool:
        return self._taught_share >= 1 or rng.uniform(self._seed, "taught", *chunk.document.key) < self._taught_share

    def _candidates(self, chunks: Sequence[Chunk]) -> tuple[list[Pool], dict[str, Metric]]:
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

    def _judge(self, pools: Sequence[Pool]) -> Ruling:
        judgements: list[list[Judgement]] = [[] for _ in pools]
        metrics: dict[str, Metric] = {}
        for name, judge in self._judges:
            started = time.perf_counter()
            ruled = judge.judge(pools) if pools else []
            for mine, new in zip(judgements, checked_judgements(judge, pools, ruled), strict=True):
                mine.extend(new)
                require_distinct_axes(mine)
            metrics[f"seconds/judge.{name}"] = Sum(time.perf_counter() - started)
            metrics = merge([metrics, counted(judge)])
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


def _taken(proposal: Proposal, ruling: Ruling) -> Take:
    judged, counted = ruling
    return Take(tuple(judged), proposal.plain, proposal.cursor, proposal.version, merge([proposal.metrics, counted]))
