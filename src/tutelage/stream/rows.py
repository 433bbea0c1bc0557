"""Rows as files hold them, and what every kind of file offers: blocks of rows, each read on its own."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

import numpy as np

from tutelage.stream.settings import Corpus, StreamError
from tutelage.types import Tokens

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Raw:
    """A document as the file has it."""

    id: str
    content: str | Tokens
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that holds no document, though it should."""

    place: str
    """``file:line``"""
    reason: str


@dataclass(frozen=True, slots=True)
class Blank:
    """An empty line: no document, and no fault."""


MetRow = Raw | Broken | Blank


@runtime_checkable
class Block(Protocol):
    """Rows that are read together."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> MetRow:
        """The row at ``index``, parsed when asked for."""
        ...


@runtime_checkable
class Shard(Protocol):
    """A file, or a data set seen as one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns found, for messages and reports."""
        ...

    @property
    def blocks(self) -> int | None:
        """How many blocks there are; ``None`` where only reading to the end would tell."""
        ...

    def block(self, index: int) -> Block | None:
        """One block; ``None`` past the end where ``blocks`` is unknown."""
        ...


class Recent(Generic[K, V]):
    """The last few values made, by key."""

    def __init__(self, size: int, make: Callable[[K], V]) -> None:
        self._size, self._make = size, make
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __call__(self, key: K) -> V:
        """The value for ``key``, made if it is not at hand."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = self._make(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that one file's documents are read from."""

    text: str
    id: str | None
    tags: str | None = None

    @classmethod
    def find(cls, corpus: Corpus, file: str, present: tuple[str, ...]) -> "Columns":
        """Choose among those ``present``.

        Raises:
            StreamError: naming the file, the column that is missing and the ones that are there.
        """
        there = ", ".join(present) or "none"
        text = next((name for name in corpus.text_columns if name in present), None)
        if text is None:
            wanted = " or ".join(map(repr, corpus.text_columns))
            raise StreamError(
                f"{file}: there is no column {wanted}; its columns are: {there}. "
                "Set text_column, or leave the file out by skip_files"
            )
        for kind, name in (("id", corpus.id_column), ("tags", corpus.tags_column)):
            if name is not None and name not in present:
                raise StreamError(f"{file}: there is no {kind} column {name!r}; its columns are: {there}")
        return cls(text, corpus.id_column, corpus.tags_column)

    @property
    def names(self) -> list[str]:
        """The columns to read."""
        return list(dict.fromkeys(name for name in (self.text, self.id, self.tags) if name is not None))

    def document(self, row: Mapping[str, object], place: str, default_id: str) -> Raw | Broken:
        """The document in ``row``."""
        content = content_of(row.get(self.text), self.text)
        if isinstance(content, Fault):
            return Broken(place, content.reason)
        tags = () if self.tags is None else tags_of(row.get(self.tags), self.tags)
        if isinstance(tags, Fault):
            return Broken(place, tags.reason)
        if self.id is None:
            return Raw(default_id, content, tags)
        found = row.get(self.id)
        if isinstance(found, bytes):
            found = content_of(found, self.id)
            if isinstance(found, Fault):
                return Broken(place, f"id column {self.id!r}: {found.reason}")
        if not isinstance(found, str | int) or isinstance(found, bool):
            return Broken(place, f"id column {self.id!r} holds {type(found).__name__}, not text or a number")
        return Raw(str(found), content, tags)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a value is neither text nor tokens."""

    reason: str


def content_of(value: object, column: str) -> str | Tokens | Fault:
    """Text or tokens as a file holds them: a string, UTF-8 bytes, or a list of integers."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            return Fault(f"invalid UTF-8 at byte {error.start}")
    if isinstance(value, str):
        if value.isascii() or is_unicode(value):
            return value
        return Fault(f"column {column!r} holds a lone surrogate, which is not valid Unicode")
    if isinstance(value, list | np.ndarray):
        try:
            ids = np.asarray(cast("list[int]", value))
        except (ValueError, OverflowError, RecursionError):  # ragged, or nested deeper than an array can be
            return Fault(f"column {column!r} holds a list that is not token ids")
        if ids.dtype.kind in "iu" and ids.ndim == 1 and 0 <= ids.min(initial=0) <= ids.max(initial=0) < 2**31:
            return Tokens(ids.astype(np.int32))
        return Fault(f"column {column!r} holds a list that is not token ids")
    return Fault(f"column {column!r} holds {type(value).__name__}, not text" if value is not None else f"no {column!r}")


def tags_of(value: object, column: str) -> tuple[str, ...] | Fault:
    """Tags as a file holds them: nothing, a text, a number, or a list of these."""
    if isinstance(value, list | np.ndarray):
        each = [tags_of(one, column) for one in value]
        fault = next((one for one in each if isinstance(one, Fault)), None)
        return fault or tuple(tag for one in each if not isinstance(one, Fault) for tag in one)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or value == "":
        return ()
    if isinstance(value, str | int | float | np.number) and not isinstance(value, bool):
        return (str(value),)
    return Fault(f"tags column {column!r} holds {type(value).__name__}, not text, a number or a list of them")


def is_unicode(text: str) -> bool:
    """Whether ``text`` has no lone surrogate (JSON can spell one)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
