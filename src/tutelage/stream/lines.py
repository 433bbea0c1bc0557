"""JSON lines, plain or compressed, and plain text.

A JSONL file is scanned once for line ends when it is opened; from then on a block is one seek and one read.
A compressed file is unpacked once, into memory or beyond 64 MiB into an unnamed temporary file, and is then
the same.
"""

import gzip
import json
import tempfile
import weakref
import zlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, cast

import numpy as np

from tutelage.stream.rows import Blank, Block, Broken, Columns, MetRow, Raw
from tutelage.stream.settings import Corpus, StreamError

SCANNED = 1 << 23
"""Bytes scanned at a time for line ends."""
BLOCK_BYTES = 1 << 25
"""A block ends here even where it has fewer rows, so that long documents do not fill the memory."""
UNPACKED = 1 << 26
"""Bytes of a compressed file kept in memory; the rest goes to disk."""
TRIED = 1 << 23
"""Bytes of a file's beginning in which its columns are looked for."""
TRIED_LINES = 20
"""Lines that are looked at also where the first has the columns that are wanted."""


def scan_lines(file: IO[bytes], block_rows: int, block_bytes: int = BLOCK_BYTES) -> tuple[list[int], list[int]]:
    """Where blocks begin: byte offsets (with the file's end as last), and the number of lines before each."""
    starts, lines = [0], [0]
    seen, offset = 0, 0
    file.seek(0)
    while chunk := file.read(SCANNED):
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10) + 1 + offset
        while True:
            by_rows = lines[-1] + block_rows - 1 - seen
            stop = min(by_rows, int(np.searchsorted(ends, starts[-1] + block_bytes)))
            if stop >= len(ends):
                break
            starts.append(int(ends[stop]))
            lines.append(seen + stop + 1)
        seen, offset = seen + len(ends), offset + len(chunk)
    if starts[-1] < offset:
        starts.append(offset)
    return starts, lines


class LineBlock:
    """A few lines of a JSONL file."""

    def __init__(self, lines: list[bytes], first: int, shard: "LineShard") -> None:
        self._lines, self._first, self._shard = lines, first, shard

    def __len__(self) -> int:
        return len(self._lines)

    def row(self, index: int) -> MetRow:
        """Parse one line."""
        return self._shard.parse(self._lines[index], self._first + index + 1)


class LineShard:
    """A JSONL file."""

    def __init__(self, path: Path, name: str, corpus: Corpus, block_rows: int) -> None:
        self._path, self._name = path, name
        self._unpacked = unpack(path) if path.name.endswith(".gz") else None
        if self._unpacked is not None:
            weakref.finalize(self, self._unpacked.close)
        with self._open() as file:
            self._starts, self._lines = scan_lines(file, block_rows)
            self.columns = self._find_columns(file, corpus)
        # Without one good line there is nothing to choose from: its lines will be counted as broken.
        wanted = (corpus.text_columns[0], corpus.id_column, corpus.tags_column)
        known = self.columns or tuple(name for name in wanted if name)
        self._chosen = Columns.find(corpus, str(path), known)

    def _open(self) -> AbstractContextManager[IO[bytes]]:
        return self._path.open("rb") if self._unpacked is None else nullcontext(self._unpacked)

    def _find_columns(self, file: IO[bytes], corpus: Corpus) -> tuple[str, ...]:
        """The columns of the first lines, and of as many more as it takes to meet the wanted ones."""
        file.seek(0)
        found: dict[str, None] = {}
        for number, line in enumerate(file, start=1):
            record = as_record(line, number)
            if isinstance(record, dict):
                found |= dict.fromkeys(record)
            has_text = any(name in found for name in corpus.text_columns)
            has_rest = all(name is None or name in found for name in (corpus.id_column, corpus.tags_column))
            if (has_text and has_rest and number >= TRIED_LINES) or file.tell() > TRIED:
                break
        return tuple(found)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._starts) - 1

    def block(self, index: int) -> Block:
        """Read one block."""
        with self._open() as file:
            file.seek(self._starts[index])
            raw = file.read(self._starts[index + 1] - self._starts[index])
        return LineBlock(raw.removesuffix(b"\n").split(b"\n"), self._lines[index], self)

    def parse(self, line: bytes, number: int) -> MetRow:
        """The document on line ``number``."""
        record = as_record(line, number)
        if record is None:
            return Blank()
        if isinstance(record, str):
            return Broken(f"{self._path}:{number}", record)
        return self._chosen.document(record, f"{self._path}:{number}", f"{self._name}:{number}")


def as_record(line: bytes, number: int) -> dict[str, object] | str | None:
    """The JSON object on a line, why there is none, or ``None`` for an empty line."""
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start} of the line"
    return json_object(text) if text.strip() else None


def json_object(text: str) -> dict[str, object] | str:
    """The JSON object that ``text`` is, or why it is none."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:  # too long a number and too deep a nesting among them
        return f"not JSON: {str(error)[:100]}"
    return cast("dict[str, object]", found) if isinstance(found, dict) else "not a JSON object"


def unpack(path: Path) -> IO[bytes]:
    """The content of a gzip file, seekable.

    Raises:
        StreamError: where the file is damaged or cut off.
    """
    out = tempfile.SpooledTemporaryFile(max_size=UNPACKED)  # noqa: SIM115 - closed with the shard
    try:
        with gzip.open(path) as packed:
            while chunk := packed.read(SCANNED):
                out.write(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        out.close()
        raise StreamError(f"{path}: the gzip file is damaged or cut off ({error})") from error
    return cast("IO[bytes]", out)


class TextShard:
    """A plain text file, one document or several; held in memory while it is read."""

    columns = ("text",)

    def __init__(self, path: Path, name: str, corpus: Corpus, block_rows: int) -> None:
        self._rows = text_rows(path, name, corpus.separator)
        self._block_rows = block_rows

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-len(self._rows) // self._block_rows)

    def block(self, index: int) -> Block:
        """One block."""
        return RowBlock(self._rows[index * self._block_rows : (index + 1) * self._block_rows])


class RowBlock:
    """Rows that are in memory already."""

    def __init__(self, rows: list[MetRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> MetRow:
        """One row."""
        return self._rows[index]


def text_rows(path: Path, name: str, separator: str | None) -> list[MetRow]:
    """The documents of a plain text file; one broken row where it is not UTF-8."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return [Broken(f"{path}:{line}", "invalid UTF-8")]
    if separator is None:
        return [Raw(name, text) if text.strip() else Blank()]
    parts = [part.strip("\n") for part in text.split(separator)]
    return [Raw(f"{name}:{i + 1}", part) if part.strip() else Blank() for i, part in enumerate(parts)]
