"""Small corpora for the tests of the stream."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from tutelage.protocols import Cursor
from tutelage.stream import Corpus, Splits, TextStream
from tutelage.types import Chunk

WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "kestrel", "lagoon")


def sentence(number: int, words: int = 40) -> str:
    """A text of its own for every number: no two are near-duplicates."""
    return " ".join(WORDS[(number * 7 + i * (number % 5 + 1) + i * i) % len(WORDS)] + str(number) for i in range(words))


def write_jsonl(path: Path, rows: Sequence[object], *, packed: bool = False) -> Path:
    """One JSON value a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if packed else raw)
    return path


def plain(path: Path, **settings: object) -> TextStream:
    """A stream of everything below ``path`` in one split, as small as the tests' documents."""
    chosen: dict[str, object] = {"splits": Splits(1.0, validation=0.0, test=0.0), "deduplicate": None}
    chosen |= {"suffix_length": 8, "max_length": 40, "min_prefix": 4, "min_suffix": 4, "block_rows": 8}
    return TextStream((Corpus(str(path)),), **(chosen | settings))  # pyright: ignore[reportArgumentType]


def ids(chunks: Sequence[Chunk]) -> list[str]:
    """Whose chunks they are."""
    return [chunk.document.id for chunk in chunks]


def json_cursor(cursor: Cursor) -> Cursor:
    """A cursor as a checkpoint gives it back."""
    taken, positions = json.loads(json.dumps([cursor.taken, cursor.positions]))
    return Cursor(taken, tuple((name, tuple(position)) for name, position in positions))
