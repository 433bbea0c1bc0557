"""What is rewritten, by whom, and the one piece of work that all of it consists of: a part.

A part is some documents in the order in which a run reads them. Whoever writes one needs the settings, the place in the
corpus where it begins, and nothing that another part's writer knows: so parts can be written side by side, here or on
other machines, and again after a death.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tutelage.codec import Tokenizer
from tutelage.config import to_plain
from tutelage.config.mapping import parts_of
from tutelage.maths.ranges import require
from tutelage.protocols import (
    Codec,
    Cursor,
    Resources,
    Rewriter,
    RewriterSpec,
    SampleRequest,
    Stream,
    StreamSpec,
)
from tutelage.rewrites import (
    Header,
    Part,
    Row,
    StoredRewrites,
    chunk_key,
    prompt_digest,
    read_rows,
    reading_key,
    write_rows,
)
from tutelage.run import Run
from tutelage.sources import RewriteSource
from tutelage.stream import JudgedStream, TextStream
from tutelage.types import Absent, Chunk, Tokens


class BulkFailed(ValueError):
    """A corpus cannot be rewritten as it was asked for, or its rewriter fails too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What decides a table of rewrites."""

    stream: StreamSpec
    """Which documents, and how they are cut: as in the runs that will read the table."""
    rewriter: RewriterSpec
    """Who writes."""
    tokenizer: Tokenizer
    """Of the policy that will read the table."""
    seed: int = 0
    """Of the runs that will read the table: random cuts are drawn by it."""
    split: str = "policy"
    """Which keyed split of the documents."""
    epochs: int = 1
    """How often the corpus is read; random cuts are others in each epoch."""
    documents_per_part: int = 256
    """What is lost at most, for each part in progress, when a machine dies; a file of the table holds so many."""

    def __post_init__(self) -> None:
        require(self, "epochs", "documents_per_part", at_least=1)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of it is done now; it may grow from call to call."""

    documents: int | None = None
    """Only the first so many that a run reads; ``None`` goes on to the end of the last epoch."""
    retry_failed: bool = False
    """Ask again about what has no rewrite in parts that are finished."""
    max_failed: float = 0.5
    """Stop at a part in which more than this share has no rewrite, and do not keep it."""

    def __post_init__(self) -> None:
        require(self, "documents", at_least=1)
        require(self, "max_failed", at_least=0, at_most=1)


def bulk_of_run(run: Run, phase: int | None = None, **settings: Any) -> Bulk:
    """What a run's rewriter would be asked, phase ``phase`` or all of it.

    Raises:
        BulkFailed: no phase has a rewriter, or they differ in rewriter or documents; names the phases.
    """
    found: list[tuple[RewriterSpec, StreamSpec]] = []
    numbers: list[int] = []
    for number, one in enumerate(run.phases):
        for _, source in parts_of(one.sources, RewriteSource):
            if phase in (None, number) and (rewriter := _live(source.rewriter)) is not None:
                if (rewriter, one.stream or run.stream) not in found:
                    found.append((rewriter, one.stream or run.stream))
                    numbers.append(number)
    if not found:
        where = "the run" if phase is None else f"phase {phase} of {len(run.phases)} (counted from 0)"
        raise BulkFailed(f"{where} has no source of rewrites with a rewriter that writes (RewriteSource)")
    if len(found) > 1:
        raise BulkFailed(
            f"the run has {len(found)} different rewriters or corpora to rewrite, in the phases "
            f"{', '.join(map(str, numbers))}: choose one by --phase"
        )
    ((rewriter, stream),) = found
    return Bulk(
        stream=stream, rewriter=rewriter, tokenizer=run.tokenizer, seed=run.seed, split=run.split, **settings
    )


def _live(rewriter: RewriterSpec) -> RewriterSpec | None:
    """The rewriter that writes: behind a table the one that is asked where a row is missing."""
    return rewriter.live if isinstance(rewriter, StoredRewrites) else rewriter


class NoPolicy:
    """Stands where a rewriter would find the policy: in bulk there is none."""

    version = 0

    def sample(self, requests: Sequence[SampleRequest]) -> NoReturn:
        """Refuse.

        Raises:
            BulkFailed: always.
        """
        raise BulkFailed("the rewriter asked the policy for text; such a rewriter cannot work in bulk")


@dataclass(frozen=True, slots=True, eq=False)
class Workbench:
    """``Bulk`` at work in one process."""

    table: Path
    bulk: Bulk
    codec: Codec
    stream: Stream
    rewriter: Rewriter
    header: Header


def set_up(bulk: Bulk, table: Path, extent: Extent) -> Workbench:
    """Open corpus and tokenizer, and build the rewriter.

    Raises:
        BulkFailed: the stream has no end, and none was asked for.
    """
    if extent.documents is None and not isinstance(bulk.stream, TextStream | JudgedStream):
        raise BulkFailed(f"{type(bulk.stream).__name__} may have no end: say how many documents by --documents")
    codec = bulk.tokenizer.build()
    stream = bulk.stream.build(bulk.seed, codec, bulk.split)
    resources = Resources(bulk.seed, codec, NoPolicy(), bulk.stream.suffix_length, table)
    rewriter = bulk.rewriter.build(resources)
    header = Header(
        tokenizer=codec.fingerprint,
        suffix_length=bulk.stream.suffix_length,
        prompt=prompt_digest(bulk.rewriter),
        model=rewriter.name,
        corpus=stream.fingerprint,
        corpora=tuple(name for name, _ in stream.start().positions),
        seed=bulk.seed,
        split=bulk.split,
        epochs=bulk.epochs,
        documents_per_part=bulk.documents_per_part,
        settings={"stream": to_plain(bulk.stream, StreamSpec), "rewriter": to_plain(bulk.rewriter, RewriterSpec)},
    )
    return Workbench(table, bulk, codec, stream, rewriter, header)


# --------------------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True)
class Task:
    """A part to write, its documents read."""

    number: int
    chunks: tuple[Chunk, ...]
    documents: int
    before: Cursor
    after: Cursor
    last: bool
    known: Part | None = None
    """The same part as it was written before, where only its failures are asked for again."""


def is_over(cursor: Cursor, bulk: Bulk, extent: Extent) -> bool:
    """Whether all that was asked for lies before ``cursor``."""
    if extent.documents is not None and cursor.taken >= extent.documents:
        return True
    return all(position[0] >= bulk.epochs for _, position in cursor.positions)


def read_task(bench: Workbench, number: int, before: Cursor, extent: Extent, known: Part | None = None) -> Task:
    """Read the documents of the part that begins at ``before``; those of epochs that nobody asked for are left out."""
    bulk = bench.bulk
    most = bulk.documents_per_part
    if known is not None:
        most = known.after.taken - before.taken
    elif extent.documents is not None:
        most = min(most, extent.documents - before.taken)
    chunks, after = bench.stream.read(before, most)
    wanted = tuple(chunk for chunk in chunks if chunk.document.epoch < bulk.epochs)
    documents = len({chunk.document.key for chunk in wanted})
    return Task(number, wanted, documents, before, after, is_over(after, bulk, extent), known)


def tasks(bench: Workbench, done: Mapping[int, Part], extent: Extent) -> Iterator[Task]:
    """The parts that are not written yet, or have failures to be asked about again; read as they are taken."""
    cursor, number = bench.stream.start(), 0
    while not is_over(cursor, bench.bulk, extent):
        known = done.get(number)
        if known is not None and not (extent.retry_failed and known.failed):
            cursor, number = known.after, number + 1
            continue
        task = read_task(bench, number, cursor, extent, known)
        yield task
        cursor, number = task.after, number + 1


def write_part(bench: Workbench, task: Task, max_failed: float) -> Part:
    """Have a part's documents rewritten and write its file; its line in the manifest is the caller's.

    Raises:
        BulkFailed: more than ``max_failed`` of its rows have no rewrite; nothing is written then.
        FatalForRun: nothing can be asked: the key, the model, a cap.
    """
    kept = _kept(bench, task.known)
    asked = [chunk for chunk in task.chunks if chunk_key(chunk) not in kept]
    written = bench.rewriter.rewrite(asked) if asked else []
    if len(written) != len(asked):
        raise BulkFailed(
            f"{type(bench.rewriter).__name__} gave {len(written)} rewrites for {len(asked)} chunks; it must give one "
            "a chunk, in order"
        )
    new = {chunk_key(chunk): _row(bench, chunk, one) for chunk, one in zip(asked, written, strict=True)}
    rows = [kept.get(key) or new[key] for key in map(chunk_key, task.chunks)]
    reasons = Counter(row.reason for row in rows if row.reason is not None)
    failed = sum(reasons.values())
    if failed > max_failed * len(rows):
        reason, times = reasons.most_common(1)[0]
        raise BulkFailed(
            f"{failed} of the {len(rows)} rewrites of part {task.number} failed, more than the {max_failed:.0%} allowed "
            f"(--max-failed), and the part is not kept; {times} of them: {reason}"
        )
    digest, size = write_rows(bench.table, task.number, rows)
    counts = (task.documents, len(rows), failed)
    return Part(task.number, digest, size, *counts, task.before, task.after, task.last)


def _kept(bench: Workbench, known: Part | None) -> dict[int, Row]:
    """The rewrites of a part that was written before."""
    if known is None:
        return {}
    plain: list[dict[str, Any]] = read_rows(bench.table, known).to_pylist()
    rows = (Row(**{**row, "tokens": tuple(row["tokens"])}) for row in plain if row["tokens"] is not None)
    return {row.chunk: row for row in rows}


def _row(bench: Workbench, chunk: Chunk, written: Tokens | Absent) -> Row:
    document, header = chunk.document, bench.header
    tokens = written[: bench.bulk.stream.suffix_length] if isinstance(written, Tokens) else None
    absent = written.reason if isinstance(written, Absent) else None if len(written) else "empty rewrite"
    return Row(
        chunk=chunk_key(chunk),
        reading=reading_key(document),
        corpus=document.corpus,
        document=document.id,
        epoch=document.epoch,
        cut=chunk.cut,
        prompt=header.prompt,
        model=header.model,
        tokens=None if absent or tokens is None else tuple(tokens.tolist()),
        text=None if absent or tokens is None else bench.codec.decode(tokens),
        reason=absent.encode("utf-8", "replace").decode() if absent else None,
    )
