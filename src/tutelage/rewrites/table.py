"""A side-table of rewrites on disk: Parquet files, and a manifest with the digest of each.

    table.json                     what it was made with
    parts/part-00000007.parquet    the rows of so many documents, in the order in which a run reads them
    manifest.rank-0000.jsonl       a line for every finished part: its digest, its counts, where the corpus goes on

A part counts once its line stands in a manifest. The file is written beside its place, synced and renamed before that:
who is killed leaves whole parts behind, and nothing else that counts. A manifest has one writer.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tutelage import rng
from tutelage.protocols import Cursor
from tutelage.record import RecordError, from_json, to_json, write_atomically, writing
from tutelage.types import Chunk, Document, Tokens

VERSION = 1
SCHEMA = pa.schema(
    [
        ("chunk", pa.uint64()),
        ("reading", pa.uint64()),
        ("corpus", pa.string()),
        ("document", pa.string()),
        ("epoch", pa.int64()),
        ("cut", pa.int64()),
        ("prompt", pa.string()),
        ("model", pa.string()),
        ("tokens", pa.list_(pa.int32())),  # null where there is no rewrite
        ("text", pa.string()),
        ("reason", pa.string()),  # why there is none
    ]
)


class TableError(ValueError):
    """A side-table that cannot be used; the message names it, and the remedy."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a table was made with. All but ``settings`` must be the same when it is gone on with."""

    tokenizer: str
    """Fingerprint of the policy's tokenizer."""
    suffix_length: int
    prompt: str
    """Digest of all that decides a rewrite besides the text: the prompt, the model's name, how it is sampled."""
    model: str
    """The rewriter's name."""
    corpus: str
    """Fingerprint of the stream: its files, their order, the cuts."""
    corpora: tuple[str, ...]
    """Their names."""
    seed: int
    split: str
    epochs: int
    documents_per_part: int
    settings: dict[str, Any] = field(default_factory=dict[str, Any], compare=False, hash=False)
    """Stream and rewriter as they were written down, for readers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rewrite, or why there is none."""

    chunk: int
    """``chunk_key`` of what was rewritten."""
    reading: int
    """``reading_key`` of its document."""
    corpus: str
    document: str
    epoch: int
    cut: int
    prompt: str
    model: str
    tokens: tuple[int, ...] | None
    text: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part, as its line in a manifest tells."""

    number: int
    digest: str
    """SHA-256 of its file."""
    size: int
    """Bytes of its file."""
    documents: int
    rows: int
    failed: int
    """Rows without a rewrite."""
    before: Cursor
    after: Cursor
    """Where the corpus goes on behind it."""
    last: bool
    """Whether nothing was left behind it, as far as was asked for."""


def chunk_key(chunk: Chunk) -> int:
    """What a row is found by: document, cut, and the tokens on both sides of it; 64 bits."""
    document = chunk.document
    place = (document.corpus, document.id, chunk.cut)
    return rng.seed("rewrite", *place, chunk.prefix.digest, chunk.suffix.digest)


def reading_key(document: Document) -> int:
    """Identifies a document as it was met in one epoch; 64 bits."""
    return rng.seed("rewritten", *document.key)


# --------------------------------------------------------------------------- the header


def read_header(table: Path) -> Header | None:
    """What the table was made with; ``None`` where there is none.

    Raises:
        TableError: the file cannot be read, or is of another version.
    """
    path = table / "table.json"
    try:
        plain: Any = json.loads(path.read_text("utf-8"))
        if plain.pop("version") != VERSION:
            raise TableError(f"{path} is of another version than {VERSION}; write the table anew into another folder")
        plain["corpora"] = tuple(plain["corpora"])
        return Header(**plain)
    except FileNotFoundError:
        return None
    except TableError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise TableError(f"{path} cannot be read ({error}): put it back, or write the table anew") from error


def write_header(table: Path, header: Header) -> None:
    """Begin a table, or go on with one that was begun with the same.

    Raises:
        TableError: it was begun with something else; says with what.
    """
    known = read_header(table)
    if known is None:
        if any(table.glob("manifest.rank-*.jsonl")):
            raise TableError(f"{table} holds parts and no table.json: put it back, or name another folder")
        write_atomically(table / "table.json", json.dumps({"version": VERSION, **asdict(header)}, indent=1).encode())
        return
    for one in fields(Header):
        before, now = getattr(known, one.name), getattr(header, one.name)
        if one.compare and before != now:
            raise TableError(
                f"{table} was begun with another {one.name.replace('_', ' ')}: {before!r} then, {now!r} now; put the "
                "old one back, or name another folder"
            )


# --------------------------------------------------------------------------- parts


def part_file(table: Path, number: int) -> Path:
    """Where a part stands."""
    return table / "parts" / f"part-{number:08d}.parquet"


def write_rows(table: Path, number: int, rows: Sequence[Row]) -> tuple[str, int]:
    """Write a part's file, all of it or nothing; its digest and size.

    Raises:
        WriteFailed: the disk is full or read-only.
    """
    content = BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA), content, compression="zstd")
    write_atomically(part_file(table, number), content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest(), len(content.getvalue())


WRITE_ANEW = "delete it and run tutelage rewrite with the same words, which writes it anew"
"""What to do about a damaged part."""


def read_rows(table: Path, part: Part) -> Any:
    """A part as an Arrow table, its digest compared.

    Raises:
        TableError: it is gone, damaged, or not what the manifest tells of.
    """
    path = part_file(table, part.number)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error}): {WRITE_ANEW}") from error
    if hashlib.sha256(content).hexdigest() != part.digest:
        raise TableError(f"{path} is not what the manifest tells of (its digest differs): {WRITE_ANEW}")
    return pq.ParquetFile(BytesIO(content)).read()


def rewrite_of(row: dict[str, Any]) -> Tokens | None:
    """The rewrite in a row of a part's Arrow table."""
    return None if row["tokens"] is None else Tokens(row["tokens"])


def append_part(table: Path, rank: int, part: Part) -> None:
    """Add a part to this rank's manifest, synced; a line that a killed process left torn is ended first.

    Raises:
        WriteFailed: the disk is full or read-only.
    """
    path = table / f"manifest.rank-{rank:04d}.jsonl"
    plain = {**asdict(part), "before": to_json(part.before), "after": to_json(part.after)}
    with writing(path), path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write(json.dumps(plain).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def finished_parts(table: Path) -> dict[int, Part]:
    """The parts that all manifests tell of and whose files are there, by number; torn lines are passed over."""
    found: list[Part] = []
    for path in sorted(table.glob("manifest.rank-*.jsonl")):
        found += filter(None, map(_part, path.read_bytes().split(b"\n")))
    # A part that was written again has another digest: of two lines the one that fits the file counts.
    return {part.number: part for part in sorted(found, key=lambda one: one.number) if _is_there(table, part)}


def is_whole(parts: Mapping[int, Part]) -> bool:
    """Whether nothing is left of what was asked for: each part begins where the one before it ends."""
    last = max(parts, default=-1)
    if last < 0 or len(parts) <= last or parts[0].before.taken:
        return False
    return parts[last].last and all(parts[n].before == parts[n - 1].after for n in range(1, last + 1))


def _part(line: bytes) -> Part | None:
    try:
        plain: Any = json.loads(line)
        return Part(**{**plain, "before": from_json(plain["before"]), "after": from_json(plain["after"])})
    except (ValueError, KeyError, TypeError, RecordError):
        return None


def _is_there(table: Path, part: Part) -> bool:
    try:
        return part_file(table, part.number).stat().st_size == part.size
    except OSError:
        return False
