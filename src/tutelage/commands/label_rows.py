"""What ``tutelage label`` finds, row by row on disk before more is asked, so that a later call goes on from there."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tutelage.commands.failing import UsageError
from tutelage.record import write_atomically

Row = Mapping[str, Any]
Found = Literal["good", "bad", "not unanimous", "abstained"]
"""What became of the verdicts on a suffix; the first two are labels."""
LABELS: tuple[Found, ...] = ("good", "bad")
PART = "documents.part.jsonl"


class Rows:
    """The rows of one folder: those of an earlier call first, then what is added."""

    def __init__(self, folder: Path, order: str) -> None:
        """Open the folder.

        Args:
            folder: where ``documents.jsonl``, ``labels.jsonl`` and ``counts.json`` will lie.
            order: digest of all that the rows depend on.

        Raises:
            UsageError: the folder holds rows that another order began.
        """
        self._folder, self._part = folder, folder / PART
        self.counts = Counter[str]()
        folder.mkdir(parents=True, exist_ok=True)
        if not self._part.exists():
            write_atomically(self._part, _begun(order))
        self._drop_torn_line()
        begun, *rows = _lines(self._part)
        if begun != {"order": order} and not rows:
            write_atomically(self._part, _begun(order))
        elif begun != {"order": order}:
            raise UsageError(
                f"{self._part} was begun with other settings: give them again to go on, name another folder, or remove "
                "that file"
            )
        self.known = len(rows)
        for row in rows:
            self.counts.update(_kinds(row))

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows down, and count them."""
        with self._part.open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
                self.counts.update(_kinds(row))

    def finish(self, overlaps: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``labels.jsonl`` and ``counts.json``, name the rows ``documents.jsonl``, and return the counts."""
        counts = {**self.counts, **overlaps}
        for name, labels in (("documents.jsonl", None), ("labels.jsonl", LABELS)):
            rows = (row for number, row in enumerate(_lines(self._part)) if number)
            kept = (row for row in rows if labels is None or row.get("label") in labels)
            lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in kept)
            write_atomically(self._folder / name, lines.encode())
        write_atomically(self._folder / "counts.json", json.dumps(counts, indent=1).encode())
        self._part.unlink()
        return counts

    def _drop_torn_line(self) -> None:
        """A call that was killed may have left half of a line."""
        content = self._part.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_atomically(self._part, whole)


def _begun(order: str) -> bytes:
    """The first line: what the rows below depend on."""
    return f"{json.dumps({'order': order})}\n".encode()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _kinds(row: Row) -> Iterator[str]:
    """What a row counts as."""
    yield "documents"
    if "label" in row:
        yield row["label"]
    if row.get("tags"):
        yield "tagged"
    if row.get("suspicious"):
        yield "suspicious"
