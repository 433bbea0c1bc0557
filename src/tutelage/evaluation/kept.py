"""What was made once and is not made again: JSON Lines under keys, written as it comes."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tutelage.record import writing

T = TypeVar("T")


def key_of(*parts: Any) -> str:
    """The key of what ``parts`` decide: plain values, nested as they like."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Kept:
    """Values of JSON in a file that only grows; a line torn by a kill is as good as absent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        self._ended = True
        """Whether the file ends with a whole line."""
        if path.is_file():
            text = path.read_text("utf-8", errors="replace")
            self._ended = text.endswith("\n") or not text
            for line in text.split("\n"):
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            key, value = json.loads(line)
        except (ValueError, TypeError):
            return
        if isinstance(key, str):
            self._values[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def filled(
        self, keys: Sequence[str], things: Sequence[T], make: Callable[[list[T]], Sequence[Any]], *, block: int
    ) -> list[Any]:
        """The values under ``keys``; those that are not kept are made of their things, ``block`` at a time, and put.

        A kill costs a block at most. Equal keys stand for equal things, of which one is made.
        """
        missing = list({key: one for key, one in zip(keys, things, strict=True) if key not in self._values}.items())
        for start in range(0, len(missing), block):
            part = missing[start : start + block]
            made = make([one for _, one in part])
            self.put({key: value for (key, _), value in zip(part, made, strict=True)})
        return [self._values[key] for key in keys]

    def put(self, values: Mapping[str, Any]) -> None:
        """Keep ``values``; they are in the file when this returns.

        Raises:
            WriteFailed: the disk is full or read-only.
        """
        lines = "".join(json.dumps([key, value], ensure_ascii=True) + "\n" for key, value in values.items())
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines if self._ended else f"\n{lines}")
        self._ended = True
        self._values.update(values)
