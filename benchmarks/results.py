"""Results on disk: each row is merged in as soon as it is there, so that an interrupted bench loses nothing."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pairing import Ratio
from benchmarks.rows import Row

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Result:
    """One row."""

    name: str
    against: str
    shape: tuple[int, int, int]
    """P, N, K."""
    ratio: Ratio
    """How many times better ours is; for ``surcharge_…`` how many times dearer than plain pretraining."""
    ours: float
    """The median over the pairs, in ``unit``."""
    theirs: float
    unit: str
    pairs: int
    prompts: int
    """Prompts, or documents, of a step."""
    cuts: int
    grown_mib: dict[str, float]
    """Peak memory of each side above its loaded model, in MiB."""
    command: str
    machine: str
    date: str
    commit: str = ""
    """What was measured, with a ``+`` where files differed from it; empty in rows of before this was kept."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> tuple[object, ...]:
        """A row with the same key replaces this one."""
        return (self.name, self.against, tuple(self.shape), self.prompts, self.cuts)


def read(path: Path) -> list[Result]:
    """The rows of a file; none where there is no file.

    Raises:
        TypeError: a row lacks a field, or has one that is not known.
    """
    if not path.exists():
        return []
    rows = json.loads(path.read_text("utf-8"))
    return [_result(row) for row in rows]


def _result(row: dict[str, Any]) -> Result:
    """The inverse of ``asdict``."""
    fields: dict[str, Any] = {**row, "shape": tuple(row["shape"]), "ratio": Ratio(**row["ratio"])}
    return Result(**fields)


def stays(path: Path, key: tuple[object, ...]) -> str:
    """What to say of a row that could not be measured again: which measurement the file still shows for it, if any."""
    found = [row for row in read(path) if row.key == key]
    versions = [f"{row.date}, {row.commit}" if row.commit else row.date for row in found]
    return f" (the file keeps the row of {versions[0]})" if versions else ""


def missing(path: Path, rows: Sequence[Row]) -> list[Row]:
    """Those of ``rows`` that the file lacks; one that its time limit cut short is there as it is."""
    known = {row.key for row in read(path)}
    return [row for row in rows if row.key not in known]


def merge(path: Path, new: Result) -> None:
    """Put a row into the file, in the place of one with the same key or at the end."""
    rows = read(path)
    keys = [row.key for row in rows]
    if new.key in keys:
        rows[keys.index(new.key)] = new
    else:
        rows.append(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n", "utf-8")
    os.replace(draft, path)
