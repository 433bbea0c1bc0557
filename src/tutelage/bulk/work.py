"""The one piece of work that rewriting a corpus consists of: a part.

A part is some documents in the order in which a run reads them. Whoever writes one needs the settings, the place in the
corpus where it begins, and nothing that another part's writer knows: so parts can be written side by side, here or on
other machines, and again after a death.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.bulk.settings import Bulk, BulkFailed, Extent
from tutelage.config import to_plain
from tutelage.protocols import (
    Codec,
    Cursor,
    Resources,
    Rewriter,
    RewriterSpec,
    Stream,
    StreamSpec,
)
from tutelage.rewrites import (
    Header,
    Part,
    Row,
    chunk_key,
    prompt_digest,
    read_rows,
    reading_key,
    write_rows,
)
from tutelage.scripted import NoPolicy
from tutelage.stream import JudgedStream, TextStream
from tutelage.thinking import WholeDocuments
from tutelage.types import Absent, Chunk, Tokens

PIECE = 32
"""Documents read at a time, and at most beyond the last epoch's end."""


NO_POLICY = NoPolicy(BulkFailed("the rewriter asked the policy for text; such a rewriter cannot work in bulk"))


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
    if extent.documents is None and not _ends(bulk.stream):
        raise BulkFailed(f"{type(bulk.stream).__name__} may have no end: say how many documents by --documents")
    codec = bulk.tokenizer.build()
    stream = bulk.stream.build(bulk.seed, codec, bulk.split)
    resources = Resources(bulk.seed, codec, NO_POLICY, bulk.stream.suffix_length, table)
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


def _ends(stream: StreamSpec) -> bool:
    """Whether a stream is known to have an end."""
    return isinstance(stream.stream if isinstance(stream, WholeDocuments) else stream, TextStream | JudgedStream)


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
    return _is_at_end(cursor, bulk)


def _is_at_end(cursor: Cursor, bulk: Bulk) -> bool:
    """Whether every corpus was read as often as it is to be read."""
    return all(position[0] >= bulk.epochs for _, position in cursor.positions)


def finished(done: Mapping[int, Part], number: int, cursor: Cursor) -> Part | None:
    """The part of that number, where it begins at ``cursor``; one that begins elsewhere leaves a gap, or repeats."""
    part = done.get(number)
    return part if part is not None and part.before == cursor else None


def room(bulk: Bulk, done: Mapping[int, Part], number: int, cursor: Cursor, extent: Extent) -> int:
    """Documents of the part that begins at ``cursor``: no more than up to the next part that is finished."""
    numbers = list(done)  # in order
    behind = bisect_right(numbers, number)
    limits = [bulk.documents_per_part]
    if extent.documents is not None:
        limits.append(extent.documents - cursor.taken)
    if behind < len(numbers) and (gap := done[numbers[behind]].before.taken - cursor.taken) >= 0:
        limits.append(gap)
    return min(limits)


def read_task(
    bench: Workbench, number: int, before: Cursor, extent: Extent, most: int, known: Part | None = None
) -> Task:
    """Read the ``most`` documents from ``before`` on, or those of ``known``; epochs that nobody asked for are left out.

    A part that is there is read as it was then, however little is asked for now.
    """
    bulk = bench.bulk
    if known is not None:
        most = known.after.taken - before.taken
    chunks: list[Chunk] = []
    after = before
    while after.taken < before.taken + most and not _is_at_end(after, bulk):
        piece, after = bench.stream.read(after, min(PIECE, before.taken + most - after.taken))
        chunks += piece
    wanted = tuple(chunk for chunk in chunks if chunk.document.epoch < bulk.epochs)
    documents = len({chunk.document.key for chunk in wanted})
    return Task(number, wanted, documents, before, after, is_over(after, bulk, extent), known)


def tasks(bench: Workbench, done: Mapping[int, Part], extent: Extent) -> Iterator[Task]:
    """The parts that are not written yet, or have failures to be asked about again; read as they are taken."""
    cursor, number = bench.stream.start(), 0
    while not is_over(cursor, bench.bulk, extent):
        known = finished(done, number, cursor)
        if known is not None and not (extent.retry_failed and known.failed):
            cursor, number = known.after, number + 1
            continue
        task = read_task(bench, number, cursor, extent, room(bench.bulk, done, number, cursor, extent), known)
        yield task
        cursor, number = task.after, number + 1


def write_part(bench: Workbench, task: Task, max_failed: float) -> Part:
    """Have a part's documents rewritten and write its file; its line in the manifest is the caller's.

    Raises:
        BulkFailed: more than ``max_failed`` of its rows have no rewrite; nothing is written then.
        FatalForRun: nothing can be asked: the key, the model, a cap.
    """
    kept = _kept(bench, task.known)
    asked = [chunk for chunk in task.chunks if _place(chunk) not in kept]
    written = bench.rewriter.rewrite(asked) if asked else []
    if len(written) != len(asked):
        raise BulkFailed(
            f"{type(bench.rewriter).__name__} gave {len(written)} rewrites for {len(asked)} chunks; it must give one "
            "a chunk, in order"
        )
    new = {_place(chunk): _row(bench, chunk, one) for chunk, one in zip(asked, written, strict=True)}
    rows = [kept.get(place) or new[place] for place in map(_place, task.chunks)]
    reasons = Counter(row.reason for row in rows if row.reason is not None)
    failed = sum(reasons.values())
    if failed > max_failed * len(rows):
        reason, times = reasons.most_common(1)[0]
        raise BulkFailed(
            f"{failed} of the {len(rows)} rewrites of part {task.number} failed, more than the {max_failed:.0%} "
            f"allowed (--max-failed), and the part is not kept; {times} of them: {reason}"
        )
    digest, size = write_rows(bench.table, task.number, rows)
    counts = (task.documents, len(rows), failed)
    return Part(task.number, digest, size, *counts, task.before, task.after, task.last)


def _place(chunk: Chunk) -> tuple[int, int]:
    return chunk_key(chunk), reading_key(chunk.document)


def _kept(bench: Workbench, known: Part | None) -> dict[tuple[int, int], Row]:
    """The rewrites of a part that was written before."""
    if known is None:
        return {}
    plain: list[dict[str, Any]] = read_rows(bench.table, known).to_pylist()
    written = [row for row in plain if row["tokens"] is not None]
    for row in written:
        row["tokens"] = tuple(row["tokens"])
    rows = [Row(**row) for row in written]
    return {(row.chunk, row.reading): row for row in rows}


def _row(bench: Workbench, chunk: Chunk, written: Tokens | Absent) -> Row:
    document, header = chunk.document, bench.header
    tokens = written[: bench.bulk.stream.suffix_length] if isinstance(written, Tokens) else None
    absent = None if len(tokens or ()) else "empty rewrite"
    if isinstance(written, Absent):
        absent = written.reason or "no reason was given"
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
