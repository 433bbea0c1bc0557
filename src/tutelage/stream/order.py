"""The keyed order of a corpus: shards, then blocks inside a shard, then rows inside a block.

No shuffle buffer, and no need to know how long the corpus is: a shard's blocks are counted when it is opened,
a block's rows when it is read. A position is therefore four numbers, whatever the corpus's size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage import rng
from tutelage.stream.files import Listing, locate, open_shard
from tutelage.stream.rows import Block, MetRow, Recent, Shard
from tutelage.stream.settings import Corpus

Position = tuple[int, int, int, int]
"""Epoch, shard, block and row, the last three counted in the epoch's own order."""
Place = tuple[int, int, int]
"""Shard, block and row as they lie on disk: the same in every epoch."""
OPEN_SHARDS = 4
KEPT_BLOCKS = 4


def permutation(count: int, *key: rng.Key) -> NDArray[np.int64]:
    """The numbers below ``count`` in the order that ``key`` decides."""
    return np.argsort(rng.generator(*key).random(count), kind="stable").astype(np.int64)


@dataclass(frozen=True, slots=True)
class Met:
    """A row that was met on the walk."""

    row: MetRow
    place: Place
    epoch: int
    after: Position
    """Where to go on after it."""


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """The corpus was walked to its end; the next row belongs to the next epoch."""

    epoch: int


class CorpusReader:
    """Walks one corpus from any position on. What it keeps is only to save reading twice."""

    def __init__(self, corpus: Corpus, seed: int, block_rows: int) -> None:
        self.corpus = corpus
        self.listing: Listing = locate(corpus)
        self._seed, self._block_rows = seed, block_rows
        self._shard = Recent[int, Shard](OPEN_SHARDS, self._open)
        self._block = Recent[tuple[int, int], Block | None](KEPT_BLOCKS, self._read)
        self._shards = Recent[int, NDArray[np.int64]](2, self._shard_order)
        self._block_orders = Recent[tuple[int, int, int], NDArray[np.int64]](OPEN_SHARDS, self._block_order)
        self._rows = Recent[tuple[int, int, int, int], NDArray[np.int64]](KEPT_BLOCKS, self._row_order)

    def walk(self, position: Position) -> Iterator[Met | EpochEnd]:
        """Every row from ``position`` on, epoch after epoch, without end."""
        epoch, shard, block, row = position
        while True:
            order = self._shards(epoch)
            for at in range(shard, len(order)):
                yield from self._walk_shard(epoch, at, int(order[at]), block, row)
                block = row = 0
            yield EpochEnd(epoch)
            epoch, shard = epoch + 1, 0

    def natural(self) -> Iterator[tuple[Place, MetRow]]:
        """Every row once, in the order on disk."""
        for shard in range(len(self.listing.shards)):
            block = 0
            while (found := self._block((shard, block))) is not None:
                for row in range(len(found)):
                    yield (shard, block, row), found.row(row)
                block += 1

    def shard_rows(self, shard: int) -> Iterator[MetRow]:
        """The rows of one shard, in the order on disk."""
        block = 0
        while (found := self._block((shard, block))) is not None:
            yield from map(found.row, range(len(found)))
            block += 1

    def epochs_before(self, position: Position) -> float:
        """About how many readings of the corpus lie before ``position``: files count alike, and a file's blocks."""
        epoch, shard, block, row = position
        order = self._shards(epoch)
        if shard >= len(order):
            return epoch + 1.0
        number = int(order[shard])
        count = self._shard(number).blocks
        inside = 0.0
        if count and block < count:
            found = self._block((number, int(self._block_orders((epoch, number, count))[block])))
            inside = (block + (row / len(found) if found else 0.0)) / count
        return epoch + (shard + inside) / len(order)

    def columns(self, shard: int) -> tuple[str, ...]:
        """The columns of one shard."""
        return self._shard(shard).columns

    def _walk_shard(self, epoch: int, at: int, shard: int, block: int, row: int) -> Iterator[Met]:
        for block_at, block_number in self._blocks(epoch, shard, block):
            found = self._block((shard, block_number))
            if found is None:
                return
            order = self._rows((epoch, shard, block_number, len(found)))
            for row_at in range(row, len(order)):
                number = int(order[row_at])
                after = (epoch, at, block_at, row_at + 1)
                yield Met(found.row(number), (shard, block_number, number), epoch, after)
            row = 0

    def _blocks(self, epoch: int, shard: int, first: int) -> Iterator[tuple[int, int]]:
        """Block numbers from the ``first``-th of the epoch's order on; as they lie where none knows how many."""
        count = self._shard(shard).blocks
        if count is None:
            while True:
                yield first, first
                first += 1
        order = self._block_orders((epoch, shard, count))
        for at in range(first, count):
            yield at, int(order[at])

    def _shard_order(self, epoch: int) -> NDArray[np.int64]:
        return permutation(len(self.listing.shards), self._seed, "shards", self.corpus.name, epoch)

    def _block_order(self, key: tuple[int, int, int]) -> NDArray[np.int64]:
        epoch, shard, count = key
        return permutation(count, self._seed, "blocks", self.corpus.name, epoch, shard)

    def _row_order(self, key: tuple[int, int, int, int]) -> NDArray[np.int64]:
        epoch, shard, block, count = key
        return permutation(count, self._seed, "rows", self.corpus.name, epoch, shard, block)

    def _open(self, shard: int) -> Shard:
        return open_shard(self.listing.shards[shard], self.corpus, self._block_rows)

    def _read(self, key: tuple[int, int]) -> Block | None:
        shard, block = key
        opened = self._shard(shard)
        if opened.blocks is not None and block >= opened.blocks:
            return None
        return opened.block(block)
