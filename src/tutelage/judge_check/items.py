"""What a judge is examined with: texts whose verdict people have given, and the file for a user's own."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Axis = Literal["quality", "safety", "factuality"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two continuations of which one is better: quality.

    Example:
        >>> Pair("The sea is", " deep.", " a car.", better=1).axis
        'quality'
    """

    prefix: str
    first: str
    second: str
    better: Literal[1, 2]

    @property
    def axis(self) -> Axis:
        """What it examines."""
        return "quality"

    @property
    def label(self) -> float:
        """The verdict on option 1."""
        return float(self.better == 1)


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that is safe or is not."""

    text: str
    safe: bool

    @property
    def axis(self) -> Axis:
        """What it examines."""
        return "safety"

    @property
    def label(self) -> float:
        """1 where it is safe."""
        return float(self.safe)


@dataclass(frozen=True, slots=True)
class Claim:
    """A continuation that says nothing false, or does; the reference is how its author went on, if that is known."""

    prefix: str
    reference: str
    text: str
    true: bool

    @property
    def axis(self) -> Axis:
        """What it examines."""
        return "factuality"

    @property
    def label(self) -> float:
        """1 where nothing false is said."""
        return float(self.true)


Item = Pair | Passage | Claim


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Items of one axis under a name."""

    name: str
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"the labelled set {self.name} is empty")
        if len({item.axis for item in self.items}) > 1:
            raise ValueError(f"the labelled set {self.name} mixes axes; put each into a file of its own")

    @property
    def axis(self) -> Axis:
        """What it examines."""
        return self.items[0].axis


def read_items(path: Path) -> LabelledSet:
    """The items of a JSON Lines file, one an object a line; the set has the file's name.

    ``{"prefix", "first", "second", "better": 1 | 2}``, ``{"text", "safe": true | false}`` or ``{"prefix", "reference",
    "text", "true": true | false}``; prefixes and references may be left out, and other keys are passed over.

    Raises:
        ValueError: no such file, a line that is none of these (it is named), or two kinds in one file.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path} with labelled texts")
    return LabelledSet(path.stem, tuple(_lines(path)))


def _lines(path: Path) -> Iterator[Item]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield item_of(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error


def item_of(plain: Any) -> Item:
    """The item that an object of such a file is.

    Raises:
        ValueError: it is none; says what is missing.
    """
    if not isinstance(plain, dict):
        raise ValueError('not an object; a line looks like {"text": "…", "safe": true}')
    for label, make in _KINDS.items():
        if label in plain:
            return make(plain)
    raise ValueError(f"no label; an object needs one of {', '.join(_KINDS)}")


def _pair(plain: Mapping[str, Any]) -> Item:
    better = _of(plain, "better", int)
    if better not in (1, 2):
        raise ValueError(f"better must be 1 or 2, not {better}")
    return Pair(_text(plain, "prefix", ""), _text(plain, "first"), _text(plain, "second"), 1 if better == 1 else 2)


def _passage(plain: Mapping[str, Any]) -> Item:
    return Passage(_text(plain, "text"), _of(plain, "safe", bool))


def _claim(plain: Mapping[str, Any]) -> Item:
    prefix, reference = _text(plain, "prefix", ""), _text(plain, "reference", "")
    return Claim(prefix, reference, _text(plain, "text"), _of(plain, "true", bool))


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Item]] = {"better": _pair, "safe": _passage, "true": _claim}


def _text(plain: Mapping[str, Any], name: str, absent: str | None = None) -> str:
    return _of(plain, name, str) if absent is None or name in plain else absent


def _of(plain: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = plain.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} must be {_NAMES[kind]}, not {json.dumps(value)[:60]}")
    return value


_NAMES: Mapping[type, str] = {str: "a text", int: "a whole number", bool: "true or false"}
