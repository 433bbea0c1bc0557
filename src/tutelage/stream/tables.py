"""Parquet files and ``datasets``: rows in Arrow tables, memory-mapped or streamed."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from tutelage.stream.lines import RowBlock
from tutelage.stream.rows import Block, Broken, Columns, MetRow
from tutelage.stream.settings import Corpus, StreamError

LISTS = (pa.ListScalar, pa.LargeListScalar, pa.FixedSizeListScalar)


class TableBlock:
    """Rows of an Arrow table: a row becomes a Python object only when it is asked for."""

    def __init__(self, table: Any, columns: Columns, file: str, name: str, first: int) -> None:
        self._table, self._columns = table, columns
        self._file, self._name, self._first = file, name, first

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def row(self, index: int) -> MetRow:
        """One row."""
        number = self._first + index
        place = f"{self._file}:row {number}"
        try:
            values = {column: plain(self._table[column][index]) for column in self._columns.names}
        except (pa.ArrowException, ValueError, OverflowError) as error:
            return Broken(place, f"Arrow cannot give its value ({str(error)[:100]})")
        return self._columns.document(values, place, f"{self._name}:{number}")


def plain(scalar: Any) -> object:
    """An Arrow value as text, array or number."""
    if isinstance(scalar, LISTS):
        values = scalar.values
        return None if values is None else values.to_numpy(zero_copy_only=False)
    if isinstance(scalar, pa.StringScalar | pa.LargeStringScalar):
        buffer = scalar.as_buffer()  # Arrow does not promise that its strings are UTF-8
        return None if buffer is None else buffer.to_pybytes()
    return scalar.as_py()


class ParquetShard:
    """A Parquet file. A block is a row group, whatever ``block_rows``: its text column is read as one."""

    def __init__(self, path: Path, name: str, corpus: Corpus) -> None:
        self._path, self._name = path, name
        try:
            self._metadata = pq.read_metadata(path)
            self.columns: tuple[str, ...] = tuple(self._metadata.schema.to_arrow_schema().names)
        except (pa.ArrowException, OSError) as error:
            raise StreamError(f"{path}: not a Parquet file that can be read ({error})") from error
        self._chosen = Columns.find(corpus, str(path), self.columns)
        for name in self._chosen.names:
            if self.columns.count(name) > 1:
                raise StreamError(
                    f"{path}: {self.columns.count(name)} columns are named {name!r}: rename all but one of them, "
                    "or leave the file out by skip_files"
                )
        groups = range(self._metadata.num_row_groups)
        sizes = [int(self._metadata.row_group(i).num_rows) for i in groups]
        self._firsts = [0, *accumulate(sizes)][:-1]

    @property
    def blocks(self) -> int:
        """Number of row groups."""
        return len(self._firsts)

    def block(self, index: int) -> Block:
        """Read one row group.

        Raises:
            StreamError: where it is damaged; names the file and the row group.
        """
        try:
            with pq.ParquetFile(self._path, metadata=self._metadata) as file:
                table = file.read_row_group(index, columns=self._chosen.names)
        except (pa.ArrowException, OSError, KeyError) as error:
            why = " ".join(str(error).split())
            raise StreamError(
                f"{self._path}: row group {index} of {self.blocks} cannot be read ({why}): put an intact copy in its "
                "place, or leave the file out by skip_files"
            ) from error
        return TableBlock(table, self._chosen, str(self._path), self._name, self._firsts[index])


class DatasetShard:
    """A ``datasets.Dataset``, memory-mapped by that library."""

    def __init__(self, dataset: datasets.Dataset, corpus: Corpus, block_rows: int) -> None:
        self.columns: tuple[str, ...] = tuple(dataset.column_names)
        self._chosen = Columns.find(corpus, corpus.path, self.columns)
        self._rows = dataset.select_columns(self._chosen.names).with_format("arrow")
        self._block_rows, self._corpus = block_rows, corpus

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-len(self._rows) // self._block_rows)

    def block(self, index: int) -> Block:
        """Map one block."""
        first = index * self._block_rows
        table = cast("pa.Table", self._rows[first : first + self._block_rows])
        return TableBlock(table, self._chosen, self._corpus.path, self._corpus.name, first)


class StreamedShard:
    """A ``datasets.IterableDataset``: length unknown, blocks in its own order.

    Reading block after block continues one pass; a jump (resume, a new epoch) starts again and skips.
    """

    def __init__(self, dataset: datasets.IterableDataset, corpus: Corpus, block_rows: int) -> None:
        self._dataset, self._corpus, self._block_rows = dataset, corpus, block_rows
        names = dataset.column_names
        if names is None:
            names = list(next(iter(dataset), {}))
        self.columns: tuple[str, ...] = tuple(names)
        self._chosen = Columns.find(corpus, corpus.path, self.columns)
        self._next = -1
        self._pass: Iterator[dict[str, object]] = iter(())

    @property
    def blocks(self) -> None:
        """Unknown."""
        return None

    def block(self, index: int) -> Block | None:
        """The rows of one block; ``None`` past the end."""
        if index != self._next:
            self._pass = iter(self._dataset.skip(index * self._block_rows))
        self._next = index + 1
        first = index * self._block_rows
        rows: list[MetRow] = []
        for number, record in enumerate(self._pass, start=first):
            place = f"{self._corpus.path}:row {number}"
            rows.append(self._chosen.document(record, place, f"{self._corpus.name}:{number}"))
            if len(rows) == self._block_rows:
                break
        return RowBlock(rows) if rows else None
