"""The files of samples of a run that may still write them: what each holds, learnt without reading a text.

A file is known by its inode, size and time: one that a resumed run has put in the place of another is read anew.
"""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs
import pyarrow.parquet as pq

from tutelage.samples import SCHEMA, SampleFile, TornSamples, sample_files

FORMAT: Any = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(
        use_buffered_stream=True, buffer_size=1 << 20, pre_buffer=False
    )
)
"""Columns come in by the megabyte, not by the row group: older runs have groups of 200,000 candidates."""
LOCAL: Any = fs.LocalFileSystem()
BATCH = 2_048
"""Candidates in memory at once."""

Mark = tuple[int, int, int]
"""Inode, time and size of a file."""


class Gone(ValueError):
    """A file that was there a moment ago: the run went back to a checkpoint and writes these steps again."""


def mark_of(path: Path) -> Mark | None:
    """What tells one content of ``path`` from another; ``None`` where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, without its texts."""

    file: SampleFile
    steps: Mapping[int, int]
    """Candidates by step, ascending."""
    sources: tuple[str, ...]
    axes: tuple[str, ...]
    """The axes of its first candidates."""


class Shelf:
    """The samples of one run. Safe to be asked by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[Mark, Contents | TornSamples]] = {}
        self._lock = Lock()

    def marks(self) -> list[tuple[str, Mark | None]]:
        """Changes whenever a file comes, goes or is replaced."""
        return [(file.path.name, mark_of(file.path)) for file in sample_files(self._folder)]

    def look(self) -> tuple[list[Contents], list[str]]:
        """The files that can be read, in order; and for each that cannot be, why."""
        sound: list[Contents] = []
        torn: list[str] = []
        with self._lock:
            known, self._known = self._known, {}
            for file in sample_files(self._folder):
                mark = mark_of(file.path)
                if mark is None:  # gone since it was listed
                    continue
                before = known.get(file.path)
                found = before[1] if before and before[0] == mark else _look_into(file)
                if isinstance(found, Gone):
                    continue
                self._known[file.path] = (mark, found)
                if isinstance(found, Contents):
                    sound.append(found)
                else:
                    torn.append(str(found))
        return sound, torn


def _look_into(file: SampleFile) -> Contents | TornSamples | Gone:
    try:
        with reading(file.path), pq.ParquetFile(file.path) as parquet:
            lacking = [name for name in SCHEMA.names if name not in parquet.schema_arrow.names]
            if lacking:
                raise pa.ArrowInvalid(f"it has no column {lacking[0]}")
            steps: Counter[int] = Counter()
            sources: set[str] = set()
            for batch in parquet.iter_batches(columns=["step", "source"], batch_size=65_536):
                for counted in batch["step"].value_counts().to_pylist():
                    steps[counted["values"]] += counted["counts"]
                sources.update(source for source in batch["source"].unique().to_pylist() if source is not None)
            axes: dict[str, None] = {}
            for batch in parquet.iter_batches(columns=["verdicts"], batch_size=BATCH):
                for verdicts in batch["verdicts"].unique().to_pylist():
                    axes |= dict.fromkeys(verdicts_of(verdicts))
                break
            return Contents(file, dict(sorted(steps.items())), tuple(sorted(sources)), tuple(axes))
    except (TornSamples, Gone) as error:
        return error


@contextmanager
def reading(path: Path) -> Generator[None]:
    """While a file of samples is read: what is wrong with it is said with its name.

    Raises:
        Gone: it is no longer there.
        TornSamples: it cannot be read.
    """
    try:
        yield
    except (Gone, TornSamples):
        raise
    except FileNotFoundError as error:
        raise Gone(f"{path.name} is no longer there: the run went back and writes its steps again") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TornSamples(path, error) from error


def verdicts_of(written: str | None) -> dict[str, Any]:
    """Axis → value, or what stands in its place; empty where nothing can be read."""
    try:
        found: Any = json.loads(written or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Piece:
    """One row group of a file: the least that can be read on its own."""

    file: SampleFile
    number: int
    fragment: Any

    @property
    def last(self) -> int:
        """The last step that it holds, by its statistics; that of its file where there are none."""
        told = (self.fragment.row_groups[0].statistics or {}).get("step", {})
        return int(told.get("max", self.file.last))

    def batches(self, columns: Sequence[str] | Mapping[str, Any], which: Any) -> Iterator[Any]:
        """Its rows of which ``which`` holds, ``BATCH`` at a time and in order.

        Raises:
            TornSamples: it cannot be read.
            Gone: it was removed.
        """
        with reading(self.file.path):
            names = columns if isinstance(columns, Mapping) else list(columns)
            yield from self.fragment.to_batches(
                schema=SCHEMA, columns=names, filter=which, batch_size=BATCH, batch_readahead=2, fragment_readahead=1
            )


def pieces(file: SampleFile, which: Any) -> list[Piece]:
    """The row groups of a file that can hold rows of which ``which`` holds, by their statistics.

    Raises:
        TornSamples: it cannot be read.
        Gone: it was removed.
    """
    with reading(file.path):
        fragments = FORMAT.make_fragment(str(file.path), LOCAL).split_by_row_group(filter=which, schema=SCHEMA)
        return [Piece(file, fragment.row_groups[0].id, fragment) for fragment in fragments]


def last_with_text(contents: Sequence[Contents]) -> int | None:
    """The last step of which a text was kept; whole row groups are read from the end until there is one."""
    kept = pc.field("prefix").is_valid()
    for held in reversed(contents):
        with suppress(TornSamples, Gone):
            for piece in reversed(pieces(held.file, None)):
                steps = [step for batch in piece.batches(["step"], kept) for step in batch["step"].to_pylist()]
                if steps:
                    return max(steps)
    return None
