"""What the candidates were, what was said of them, and what was chosen: Parquet, within a budget.

Every step keeps ids, sources, scores and the chosen pair. Text is kept every ``text_every`` steps until
``text_bytes`` are spent. A file ends at every checkpoint, so that a resumed run can drop exactly what it repeats.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from tutelage.episodes import VERIFIER, Episode, EpisodeGroup, Turn
from tutelage.maths.ranges import require
from tutelage.protocols import Codec
from tutelage.record import writing
from tutelage.types import (
    Abstained,
    Candidate,
    Group,
    Item,
    JudgedPool,
    Judgement,
    Pair,
    Rollout,
    Scored,
    Segment,
    Tokens,
    Verdict,
)

SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("corpus", pa.string()),
        ("document", pa.string()),
        ("epoch", pa.int64()),
        ("cut", pa.int64()),
        ("candidate", pa.int32()),
        ("source", pa.string()),
        ("author", pa.string()),
        ("length", pa.int32()),
        ("policy_version", pa.int64()),
        ("role", pa.string()),  # chosen, rejected, trained, or empty
        ("total", pa.float64()),
        ("verdicts", pa.string()),  # JSON: axis → value, or {"abstained": reason}
        ("words", pa.string()),
        ("prefix", pa.string()),  # on a pool's first candidate only
        ("text", pa.string()),
    ]
)
POOL_KEY = ("corpus", "document", "epoch", "cut")
"""The columns that tell the pools of a step apart."""
Rows = Sequence[Mapping[str, Any]]
ROWS_PER_GROUP = 2_000
"""Candidates that a reader of a file must take in at once to see one of them [I]: a few megabytes of text."""
_NAME = re.compile(r"step-(\d{8})-(\d{8})\.rank-(\d{4})\.parquet")


@dataclass(frozen=True, slots=True)
class Recording:
    """How much of what was sampled is kept."""

    text_every: int = 1
    """Keep full text every so many steps."""
    text_bytes: int = 1_000_000_000
    """Most bytes of text over the whole run, per rank; ids and scores go on after that."""
    rows_per_file: int = 200_000
    """A file ends at so many candidates, and at every checkpoint."""

    def __post_init__(self) -> None:
        require(self, "text_every", "rows_per_file", at_least=1)
        require(self, "text_bytes", at_least=0)


class SampleWriter:
    """Collects a run's candidates on this rank and writes them as Parquet files."""

    def __init__(self, folder: Path, settings: Recording, codec: Codec, rank: int, *, text_bytes: int = 0) -> None:
        self._folder = folder
        self._settings = settings
        self._codec = codec
        self._rank = rank
        self._rows: list[dict[str, Any]] = []
        self.text_bytes = text_bytes
        """Bytes of text written so far; part of the checkpoint."""

    def add(self, step: int, groups: Sequence[JudgedPool | EpisodeGroup], items: Sequence[Item | None]) -> None:
        """Take a step's pools or episodes with what was made of each."""
        full = step % self._settings.text_every == 0 and self.text_bytes < self._settings.text_bytes
        for group, item in zip(groups, items, strict=True):
            match group:
                case JudgedPool():
                    self._rows.extend(self._pool(step, group, item, full=full))
                case EpisodeGroup():
                    self._rows.extend(self._episodes(step, group, item, full=full))
                case _:
                    assert_never(group)
        if len(self._rows) >= self._settings.rows_per_file:
            self.flush()

    def _pool(self, step: int, pool: JudgedPool, item: Item | None, *, full: bool) -> Iterator[dict[str, Any]]:
        roles = _roles(pool.pool.candidates, item)
        for index, candidate in enumerate(pool.pool.candidates):
            row = _row(step, pool, index, candidate, roles.get(index, ""))
            yield row | (self._text(pool, index, candidate) if full else {})

    def _episodes(self, step: int, group: EpisodeGroup, item: Item | None, *, full: bool) -> Iterator[dict[str, Any]]:
        """A row an attempt, the attempts of an episode below each other."""
        trained = _trained(item)
        for place, episode in enumerate(group.episodes):
            for number, turn in enumerate(episode.turns, 1):
                role = "trained" if (number, turn.completion) in trained else ""
                row = _attempt_row(step, group, episode, number, turn, role)
                question = [("prefix", turn.prompt)] if place == 0 and number == 1 else []
                yield row | (self._decoded([("text", turn.completion), *question]) if full else {})

    def _decoded(self, said: Sequence[tuple[str, Tokens]]) -> dict[str, str]:
        text = {name: self._codec.decode(tokens) for name, tokens in said}
        self.text_bytes += sum(len(value.encode()) for value in text.values())
        return text

    def _text(self, pool: JudgedPool, index: int, candidate: Candidate) -> dict[str, str]:
        prefix = [("prefix", pool.pool.chunk.prefix)] if index == 0 else []
        return self._decoded([("text", candidate.tokens), *prefix])

    def flush(self) -> None:
        """Write what is waiting as one file named after its first and last step.

        Raises:
            WriteFailed: the disk is full or read-only; names the file.
        """
        if not self._rows:
            return
        first, last = self._rows[0]["step"], self._rows[-1]["step"]
        path = self._folder / f"step-{first:08d}-{last:08d}.rank-{self._rank:04d}.parquet"
        partial = path.with_suffix(".part")
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(self._rows, schema=SCHEMA)
            pq.write_table(table, partial, compression="zstd", row_group_size=ROWS_PER_GROUP)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        self._rows = []

    def rewind(self, step: int) -> None:
        """Drop all ranks' files that hold steps from ``step`` on; for one rank to call before any writes."""
        for file in sample_files(self._folder):
            if file.last >= step:
                file.path.unlink()


@dataclass(frozen=True, slots=True, order=True)
class SampleFile:
    """A file of samples, by its name."""

    first: int
    """The first step that it holds."""
    last: int
    rank: int
    path: Path


def sample_files(folder: Path) -> list[SampleFile]:
    """The files of samples in a folder, by first and last step and rank; none where there is no folder."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("step-*.parquet")]
    return sorted(SampleFile(int(m[1]), int(m[2]), int(m[3]), path) for m, path in found if m)


class TornSamples(ValueError):
    """A file of samples that is torn or altered."""

    def __init__(self, path: Path, why: Exception) -> None:
        super().__init__(f"{path} cannot be read, it is torn or altered ({why}); move it away to read the others")
        self.path = path


def read_table(path: Path, **which: Any) -> Any:
    """One file of samples, or the columns and rows of it that ``which`` says, as ``pyarrow.parquet.read_table`` does.

    Raises:
        TornSamples: it cannot be read.
    """
    try:
        return pq.read_table(path, **which)
    except (pa.ArrowException, OSError) as error:
        raise TornSamples(path, error) from error


def read_samples(folder: Path, step: int | None = None, without: Collection[Path] = ()) -> list[dict[str, Any]]:
    """Rows of all ranks, in order; of one step where ``step`` is given; the files in ``without`` are passed over.

    Raises:
        ValueError: the folder holds no samples, or none of that step; says which steps there are.
        TornSamples: a file cannot be read.
    """
    files = [file for file in sample_files(folder) if file.path not in without]
    rows: list[dict[str, Any]] = []
    for file in files:
        if step is None or file.first <= step <= file.last:
            rows += read_table(file.path, filters=None if step is None else [("step", "==", step)]).to_pylist()
    if not rows:
        known = (
            f"steps {min(f.first for f in files)} to {max(f.last for f in files)} are there" if files else "none yet"
        )
        raise ValueError(f"{folder} holds no samples{'' if step is None else f' of step {step}'}: {known}")
    return rows


def pools_of(rows: Rows) -> list[Rows]:
    """The candidates of every chunk together, in the order in which they were recorded."""
    pools: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        pools.setdefault(tuple(row[key] for key in POOL_KEY), []).append(row)
    return list(pools.values())


def _row(step: int, judged: JudgedPool, index: int, candidate: Candidate, role: str) -> dict[str, Any]:
    document, total = judged.pool.chunk.document, judged.total(index)
    return {
        "step": step,
        "corpus": document.corpus,
        "document": document.id,
        "epoch": document.epoch,
        "cut": judged.pool.chunk.cut,
        "candidate": index,
        "source": candidate.source,
        "author": getattr(candidate, "author", ""),
        "length": len(candidate.tokens),
        "policy_version": getattr(candidate, "policy_version", None),
        "role": role,
        "total": total.value if isinstance(total, Scored) else None,
        "verdicts": json.dumps(_verdicts(judged.judgements, index)),
        "words": "\n".join(j.words[index] for j in judged.judgements if j.words and j.words[index]),
    }


def _trained(item: Item | None) -> set[tuple[int, Tokens]]:
    """The attempts that a lesson trains, by turn and text."""
    rows = item.rows if isinstance(item, Group) else ()
    return {(segment.turn, segment.tokens) for row in rows for segment in row.segments if segment.trained}


def _attempt_row(
    step: int, group: EpisodeGroup, episode: Episode, number: int, turn: Turn, role: str
) -> dict[str, Any]:
    """An attempt in the columns of a candidate: the episode's draw is its number, the turn its source."""
    reward = turn.reward
    return {
        "step": step,
        "corpus": "problems",
        "document": group.problem.id,
        "epoch": group.epoch,
        "cut": 0,
        "candidate": episode.draw,
        "source": f"turn{number}",
        "author": episode.first_attempt_by if number == 1 else "policy",
        "length": len(turn.completion),
        "policy_version": episode.policy_version,
        "role": role,
        "total": reward.value if isinstance(reward, Scored) else None,
        "verdicts": json.dumps({VERIFIER: _said(reward)}),
        "words": " · ".join([f"answer: {turn.answer}", *(["cut off"] if turn.finish == "length" else [])]),
    }


def _verdicts(judgements: Sequence[Judgement], index: int) -> Mapping[str, Any]:
    spoken = {judgement.axis: judgement.verdicts[index] for judgement in judgements}
    return {axis: _said(verdict) for axis, verdict in spoken.items()}


def _said(verdict: Verdict) -> Any:
    return {"abstained": verdict.reason} if isinstance(verdict, Abstained) else verdict.value


def _roles(candidates: Sequence[Candidate], item: Item | None) -> dict[int, str]:
    """Role by index. A row knows its text, not its candidate: of several that read alike, the first has the role."""
    match item:
        case None:
            trained: list[tuple[str, Segment]] = []
        case Pair(chosen, rejected):
            trained = [("chosen", chosen.segments[-1]), ("rejected", rejected.segments[-1])]
        case Group(rows):
            trained = [("trained", row.segments[-1]) for row in rows if row.segments[-1].trained]
    roles: dict[int, str] = {}
    for role, end in trained:
        alike = (i for i, c in enumerate(candidates) if i not in roles and _wrote(c, end))
        if (found := next(alike, None)) is not None:
            roles[found] = role
    return roles


def _wrote(candidate: Candidate, end: Segment) -> bool:
    """Whether ``end`` can be this candidate's: its text, and where it has log-probabilities, a rollout."""
    return candidate.tokens == end.tokens and (end.logprobs is None or isinstance(candidate, Rollout))
