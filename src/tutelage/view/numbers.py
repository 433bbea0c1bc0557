"""The metrics of a run that may still write them: only what was appended is read, and of a replaced file all."""

import json
import math
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np

from tutelage.view.shelf import mark_of

TAIL = 256
"""Bytes before the place of reading by which a file that was put in the place of another is told."""


class Numbers:
    """``metrics.jsonl`` as columns. Safe to be asked by several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._forget()
        self.rewound = 0
        """How often the file was replaced by another: a run that resumes drops the steps that it makes again."""

    def _forget(self) -> None:
        self._inode = self._at = self._damaged = 0
        self._tail = b""
        self._steps = array("d")
        self._columns: dict[str, array[float]] = {}

    def refresh(self) -> None:
        """Take in what was written since the last call."""
        with self._lock:
            mark = mark_of(self._path)
            if mark is None:
                if self._at:
                    self.rewound += 1
                self._forget()
                return
            try:
                with self._path.open("rb") as file:
                    if self._at and not self._goes_on(file, mark[0]):
                        self.rewound += 1
                        self._forget()
                    self._inode = mark[0]
                    file.seek(self._at)
                    self._take(file)
            except OSError:
                return  # replaced meanwhile; the next call finds the new one

    def _goes_on(self, file: Any, inode: int) -> bool:
        file.seek(self._at - len(self._tail))
        return inode == self._inode and file.read(len(self._tail)) == self._tail

    def _take(self, file: Iterable[bytes]) -> None:
        for line in file:
            if not line.endswith(b"\n"):  # half-written; it is whole the next time
                return
            self._at += len(line)
            self._tail = (self._tail + line)[-TAIL:]
            self._add(line)

    def _add(self, line: bytes) -> None:
        try:
            found: Any = json.loads(line)
            step = float(found["step"])
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self._damaged += 1
            return
        if not step.is_integer():
            self._damaged += 1
            return
        count = len(self._steps)
        self._steps.append(step)
        for name, value in cast("dict[str, Any]", found).items():
            if isinstance(value, int | float) and name != "step":
                column = self._columns.setdefault(name, array("d", [math.nan]) * count)
                column.append(float(value))
        for column in self._columns.values():
            if len(column) == count:
                column.append(math.nan)

    @property
    def damaged(self) -> int:
        """Whole lines that could not be read."""
        return self._damaged

    @property
    def count(self) -> int:
        """Steps that are known."""
        return len(self._steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that occur, sorted."""
        with self._lock:
            return tuple(sorted(self._columns))

    def last(self) -> dict[str, float]:
        """The last step and its metrics; empty before there is one."""
        with self._lock:
            if not self._steps:
                return {}
            told = {name: column[-1] for name, column in self._columns.items() if math.isfinite(column[-1])}
            return {"step": self._steps[-1], **told}

    def curves(self, names: Sequence[str], points: int) -> dict[str, list[float | None]]:
        """Means over at most ``points`` bins of as many steps each, ``None`` where a bin holds no number.

        Returns:
            ``step`` (the last of each bin), ``tokens`` (trained until then, in all), and the metrics that occur.
        """
        with self._lock:
            steps = np.array(self._steps)
            columns = {name: np.array(self._columns[name]) for name in names if name in self._columns}
            trained = np.array(self._columns.get("tokens/trained", array("d", bytes(8 * len(steps)))))
        if not len(steps):
            return {"step": [], "tokens": []}
        edges = np.unique(np.linspace(0, len(steps), min(points, len(steps)) + 1).astype(int))
        total = np.cumsum(np.nan_to_num(trained))
        found: dict[str, list[float | None]] = {
            "step": steps[edges[1:] - 1].tolist(),
            "tokens": total[edges[1:] - 1].tolist(),
        }
        return found | {name: _means(values, edges) for name, values in columns.items()}


def _means(values: Any, edges: Any) -> list[float | None]:
    known = np.isfinite(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), edges[:-1])
    counts = np.add.reduceat(known.astype(int), edges[:-1])
    return [total / count if count else None for total, count in zip(sums.tolist(), counts.tolist(), strict=True)]
