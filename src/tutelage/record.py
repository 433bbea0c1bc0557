"""Nouns to disk and back: plain JSON, nothing executable.

Pools and verdicts are written before the update that learns from them (the *ring*), so that a resumed run replays what
was sampled and judged instead of asking again. A record carries a digest; a torn or altered one is as good as absent.
"""

import base64
import errno
import hashlib
import json
import os
import re
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tutelage import episodes, types
from tutelage.protocols import Cursor
from tutelage.types import Floats, Tokens

_NOUNS: dict[str, type] = {
    noun.__name__: noun
    for noun in (
        *(types.Document, types.Chunk, types.Suffix, types.Rewrite, types.Rollout, types.Absent, types.Pool),
        *(
            types.Scored,
            types.Abstained,
            types.Judgement,
            types.JudgedPool,
            types.Segment,
            types.Row,
            types.Pair,
        ),
        *(types.Group, Cursor),
        *(episodes.Problem, episodes.Turn, episodes.Episode, episodes.EpisodeGroup),
    )
}


_RECORD = re.compile(r"step-(\d{8})\.rank-(\d{4})(?:-of-(\d{4}))?\.json\.z")


class RecordError(ValueError):
    """A record that cannot be read back: torn, altered, or written by another version."""


def to_json(noun: Any) -> Any:
    """A noun, or a tuple, list, dict or scalar that holds nouns, as JSON values."""
    match noun:
        case Tokens():
            return {"tokens": base64.b64encode(noun.array.astype("<i4").tobytes()).decode()}
        case Floats():
            return {"floats": base64.b64encode(noun.array.astype("<f4").tobytes()).decode()}
        case tuple() | list():
            return [to_json(entry) for entry in noun]
        case dict():
            return {"map": {str(key): to_json(value) for key, value in noun.items()}}
        case None | str() | int() | float():
            return noun
        case _ if is_dataclass(noun) and type(noun).__name__ in _NOUNS:
            return {
                "noun": type(noun).__name__,
                **{f.name: to_json(getattr(noun, f.name)) for f in fields(noun)},
            }
        case _:
            raise TypeError(f"{type(noun).__name__} is not a noun and cannot be recorded")


def from_json(plain: Any) -> Any:
    """The inverse of ``to_json``; lists come back as tuples.

    Raises:
        RecordError: an unknown noun or field.
    """
    if isinstance(plain, list):
        return tuple(from_json(entry) for entry in plain)
    if not isinstance(plain, dict):
        return plain
    if "tokens" in plain and "noun" not in plain:
        return Tokens(np.frombuffer(base64.b64decode(plain["tokens"]), "<i4"))
    if "floats" in plain:
        return Floats(np.frombuffer(base64.b64decode(plain["floats"]), "<f4"))
    if "map" in plain:
        return {key: from_json(value) for key, value in plain["map"].items()}
    try:
        noun = _NOUNS[plain["noun"]]
        return noun(**{key: from_json(value) for key, value in plain.items() if key != "noun"})
    except (KeyError, TypeError) as error:
        raise RecordError(f"not a record of this version: {error}") from error


class WriteFailed(ValueError):
    """A file could not be written: the disk is full, or the permissions do not allow it."""


@contextmanager
def writing(path: Path) -> Generator[None]:
    """While ``path`` is written: a fault of the disk becomes one that names the file and the remedy.

    Raises:
        WriteFailed: instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        remedy = "free space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend the disk or its permissions"
        raise WriteFailed(f"cannot write {path} ({error}): {remedy}, then resume with the same command") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either all of it or what it held before, also after a power cut.

    Raises:
        WriteFailed: the disk is full or read-only.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            _write_synced(path, temporary, content)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _write_synced(path: Path, temporary: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of a ring."""

    step: int
    rank: int
    size: int
    """How many ranks there were."""
    path: Path


def record_files(folder: Path) -> list[RecordFile]:
    """The files of a ring, by step, number of ranks, and rank."""
    found = [(_RECORD.fullmatch(path.name), path) for path in folder.glob("step-*.json.z")]
    files = [RecordFile(int(m[1]), int(m[2]), int(m[3] or 1), path) for m, path in found if m]
    return sorted(files, key=lambda file: (file.step, file.size, file.rank))


class Ring:
    """The records of the steps since the last checkpoint, one file a step and rank, for exact resume and replay."""

    def __init__(self, folder: Path, rank: int, size: int = 1) -> None:
        self._folder = folder
        self._place = (rank, size)
        # What a rank draws depends on how many there are: another number of them finds no record here.
        self._name = f"rank-{rank:04d}" if size == 1 else f"rank-{rank:04d}-of-{size:04d}"

    def path(self, step: int) -> Path:
        """Where the record of ``step`` stands."""
        return self._folder / f"step-{step:08d}.{self._name}.json.z"

    def put(self, step: int, noun: Any) -> None:
        """Record what was drawn for ``step``, before the update."""
        content = json.dumps(to_json(noun), separators=(",", ":")).encode()
        write_atomically(self.path(step), hashlib.sha256(content).digest() + zlib.compress(content, 1))

    def get(self, step: int) -> Any:
        """The record of ``step``, or ``None`` where there is no intact one."""
        try:
            return read_record(self.path(step))
        except (FileNotFoundError, RecordError):
            return None

    def keep(self, steps: Iterable[int]) -> None:
        """Delete this rank's records of all other steps."""
        wanted = set(steps)
        for file in record_files(self._folder):
            if (file.rank, file.size) == self._place and file.step not in wanted:
                file.path.unlink(missing_ok=True)


def read_record(path: Path) -> Any:
    """Read one file of a ring.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is torn or altered.
    """
    raw = path.read_bytes()
    try:
        content = zlib.decompress(raw[32:])
    except zlib.error as error:
        raise RecordError(f"{path}: torn record ({error})") from error
    if hashlib.sha256(content).digest() != raw[:32]:
        raise RecordError(f"{path}: the digest does not match")
    return from_json(json.loads(content))
