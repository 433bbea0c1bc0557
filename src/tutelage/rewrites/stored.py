"""A rewriter that wrote before: it reads the side-table of ``tutelage rewrite`` while documents stream by."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tutelage.config import fingerprint, to_plain
from tutelage.config.mapping import exchanged
from tutelage.endpoints import Cap, Endpoint, Price, Requests
from tutelage.protocols import Resources, Rewriter, RewriterSpec
from tutelage.rewrites.table import (
    WRITE_ANEW,
    Header,
    Part,
    TableError,
    chunk_key,
    finished_parts,
    is_whole,
    part_file,
    read_header,
    read_rows,
    reading_key,
    rewrite_of,
)
from tutelage.types import Absent, Chunk, Tokens

OPEN_PARTS = 8
"""Parts whose rows are held in memory; in the order of the table one is enough."""


def prompt_digest(rewriter: RewriterSpec) -> str:
    """Hex digest of what decides a rewrite besides the text: not which servers are asked, nor how often or for what."""

    def unserved(part: Any) -> Any:
        if not isinstance(part, Endpoint):
            return part
        anywhere = {"servers": ("http://anywhere",), "key_variable": "", "role": "rewriter", "cache": None}
        return replace(part, **anywhere, requests=Requests(), price=Price(), cap=Cap())

    return fingerprint(to_plain(exchanged(rewriter, unserved), RewriterSpec))


@dataclass(frozen=True, slots=True)
class StoredRewrites:
    """Rewrites from a side-table that ``tutelage rewrite`` made: paid once, for any number of runs.

    A document that is not in the table is absent, or asked for ``live``. A row that tells of a failure is absent with
    the recorded reason and not asked for again. A table that was made for another tokenizer, suffix length or corpus,
    or with other cuts, is refused.
    """

    table: str
    """Its folder."""
    live: RewriterSpec | None = None
    """Who is asked where the table has no row: the rewriter that the table was made with, or ``null``."""

    def build(self, resources: Resources) -> Rewriter:
        """The working rewriter, the table's keys in memory: some 24 bytes a row.

        Raises:
            TableError: no table there, one made with something else, or by another rewriter than ``live``.
        """
        folder = Path(self.table).expanduser()
        header = read_header(folder)
        if header is None:
            raise TableError(f"{folder.absolute()} holds no table of rewrites; tutelage rewrite RUN {folder} makes one")
        _require_same(folder, header, resources)
        live = self.live.build(resources) if self.live is not None else None
        if self.live is not None and live is not None:
            _require_author(folder, header, live.name, prompt_digest(self.live))
        return TableRewriter(folder, header, live, resources.seed)


def _require_same(folder: Path, header: Header, resources: Resources) -> None:
    if header.tokenizer != resources.codec.fingerprint:
        raise TableError(
            f"{folder} was made for another tokenizer: its fingerprint is {header.tokenizer[:12]}…, that of this run "
            f"{resources.codec.fingerprint[:12]}…; make a table with this run's tokenizer"
        )
    if header.suffix_length != resources.suffix_length:
        raise TableError(
            f"{folder} was made for suffixes of {header.suffix_length} tokens, and those of this run have up to "
            f"{resources.suffix_length}: set stream.suffix_length, or make another table"
        )


def _require_author(folder: Path, header: Header, name: str, prompt: str) -> None:
    if (header.model, header.prompt) != (name, prompt):
        what = f"{header.model!r}, not by {name!r}" if header.model != name else "another prompt or sampling"
        raise TableError(
            f"{folder} was written by {what}: rewrites of two kinds must not be mixed under one name. Make live the "
            "rewriter that the table was made with, or null, or make another table"
        )


class TableRewriter:
    """``StoredRewrites`` at work."""

    def __init__(self, folder: Path, header: Header, live: Rewriter | None, seed: int) -> None:
        self._folder = folder
        self._header = header
        self._live = live
        self._seed = seed
        self._parts = finished_parts(folder)
        self._whole = is_whole(self._parts)
        self._rows: OrderedDict[int, list[dict[str, Any]]] = OrderedDict()
        self._keys, self._places, self._readings = _index(folder, self._parts)

    @property
    def name(self) -> str:
        """The name of the model that wrote the table."""
        return self._header.model

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """What the table has for every chunk; what it lacks from ``live``, or absent.

        Raises:
            TableError: the table was made from other corpora or with other cuts, or a part of it is damaged.
        """
        found = [self._stored(chunk) for chunk in chunks]
        missing = [i for i, one in enumerate(found) if one is None]
        if missing and self._live is not None:
            for i, written in zip(missing, self._live.rewrite([chunks[i] for i in missing]), strict=True):
                found[i] = written
        gone = Absent("rewrite", f"{self._folder} has no row for this document{self._unfinished}")
        return [gone if one is None else one for one in found]

    def missing(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Those that the table has no row for.

        Raises:
            TableError: as ``rewrite``.
        """
        return [chunk for chunk in chunks if self._stored(chunk) is None]

    @property
    def _unfinished(self) -> str:
        return "" if self._whole else ": it is not finished"

    def _stored(self, chunk: Chunk) -> Tokens | Absent | None:
        """The rewrite or the recorded failure; ``None`` where the document is not in the table."""
        key = chunk_key(chunk)
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        if at == len(self._keys) or int(self._keys[at]) != key:
            self._require_unknown(chunk)
            return None
        number, index = (int(place) for place in self._places[at])
        row = self._part(number)[index]
        if (row["corpus"], row["document"], row["cut"]) != (chunk.document.corpus, chunk.document.id, chunk.cut):
            return None  # another row with the same 64 bits
        tokens = rewrite_of(row)
        return Absent("rewrite", str(row["reason"])) if tokens is None else tokens

    def _require_unknown(self, chunk: Chunk) -> None:
        """A document whose row is missing must not be in the table at all, for all its cuts would be."""
        document, header = chunk.document, self._header
        if document.corpus not in header.corpora:
            raise TableError(
                f"{self._folder} holds rewrites of the corpora {', '.join(header.corpora)}, and the run reads "
                f"{document.corpus!r}: give the corpus the name that it had"
            )
        key = np.uint64(reading_key(document))
        at = int(np.searchsorted(self._readings, key))
        if at < len(self._readings) and self._readings[at] == key:
            seeds = f" (its seed was {header.seed}, that of this run is {self._seed})"
            raise TableError(
                f"{self._folder} has rewrites of document {document.id!r} of {document.corpus!r}, but none at token "
                f"{chunk.cut} behind the same prefix: it was made with other cuts, lengths or text"
                f"{seeds if header.seed != self._seed else ''}; its settings are in table.json. Read the corpus as it "
                "was read then, or make another table"
            )

    def _part(self, number: int) -> list[dict[str, Any]]:
        if number in self._rows:
            self._rows.move_to_end(number)
        else:
            table = read_rows(self._folder, self._parts[number])
            columns = ["corpus", "document", "cut", "tokens", "reason"]
            self._rows[number] = table.select(columns).to_pylist()
            if len(self._rows) > OPEN_PARTS:
                self._rows.popitem(last=False)
        return self._rows[number]


def _index(folder: Path, parts: dict[int, Part]) -> tuple[Any, Any, Any]:
    """Keys of all rows in order, shape ``(N,)``; part and row of each, ``(N, 2)``; keys of all readings in order.

    Raises:
        TableError: a part cannot be read.
    """
    keys, places, readings = [np.empty(0, np.uint64)], [np.empty((0, 2), np.int32)], [np.empty(0, np.uint64)]
    for number in parts:
        path = part_file(folder, number)
        try:
            with pq.ParquetFile(path) as file:
                table: Any = file.read(columns=["chunk", "reading"])
        except (OSError, ValueError, pa.ArrowException) as error:
            raise TableError(f"{path} cannot be read ({' '.join(str(error).split())}): {WRITE_ANEW}") from error
        keys.append(table["chunk"].to_numpy())
        places.append(np.stack([np.full(table.num_rows, number), np.arange(table.num_rows)], axis=1).astype(np.int32))
        readings.append(np.unique(table["reading"].to_numpy()))
    whole = np.concatenate(keys)
    order = np.argsort(whole, kind="stable")
    return whole[order], np.concatenate(places)[order], np.unique(np.concatenate(readings))
