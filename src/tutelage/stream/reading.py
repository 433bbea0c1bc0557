"""A stream at work: which documents are read, in which order, from any cursor on."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage import rng
from tutelage.protocols import Cursor
from tutelage.stream.cutting import Cutter, window_of
from tutelage.stream.ledger import Ledger
from tutelage.stream.order import CorpusReader, EpochEnd, Met, Place, Position
from tutelage.stream.rows import Blank, Broken, Raw
from tutelage.stream.settings import Splits, StreamError
from tutelage.types import Chunk, Document, Tokens

BATCH = 256
"""Most documents tokenised together."""
Dropped = frozenset[tuple[int, Place]]
"""Duplicates by the corpus's number and the row's place."""
Identity = Callable[[str | Tokens], bytes]
"""What a document is told from others by, so that equal ones fall into one split."""


def content_digest(content: str | Tokens) -> bytes:
    """Sixteen bytes that identify what a document says; the white space around it is nothing."""
    if isinstance(content, Tokens):
        return content.digest
    return hashlib.blake2b(content.strip().encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of the corpora belong to a stream."""

    split: str
    splits: Splits
    dropped: Dropped
    """The duplicates."""
    ledger: Ledger
    identity: Identity = content_digest

    def document(self, corpus: int, met: Met) -> Raw | None:
        """The document in a row, if it is one of this stream's."""
        match met.row:
            case Blank():
                return None
            case Broken():
                self.ledger.broken(met.row)
                return None
            case Raw():
                if (corpus, met.place) in self.dropped:
                    return None
                return met.row if self.splits.of(self.identity(met.row.content)) == self.split else None


@dataclass(frozen=True, slots=True)
class Taken:
    """A document that could be cut."""

    chunks: tuple[Chunk, ...]
    after: Position


@dataclass(frozen=True, slots=True)
class Found:
    """A document that was selected and not yet tokenised."""

    raw: Raw
    epoch: int
    after: Position


class TextReader:
    """``protocols.Stream`` over the corpora of a ``TextStream``.

    What it keeps between calls only saves reading twice: the chunks follow from the cursor alone. A lock makes it
    safe to read from several threads.
    """

    def __init__(
        self,
        readers: Sequence[CorpusReader],
        selection: Selection,
        cutter: Cutter,
        window: int,
        fingerprint: str,
        *,
        keep_text: bool,
    ) -> None:
        self._readers, self._selection, self._cutter = tuple(readers), selection, cutter
        self._window, self._fingerprint, self._keep_text = window, fingerprint, keep_text
        weights = np.cumsum([reader.corpus.weight for reader in readers])
        self._shares = weights / weights[-1]
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """Hex digest of corpora, order, cuts and split."""
        return self._fingerprint

    def counts(self) -> Mapping[str, int]:
        """``broken_rows``, ``too_short`` and ``duplicates_dropped`` so far in this process."""
        return {"duplicates_dropped": len(self._selection.dropped), **self._selection.ledger.counts()}

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return Cursor(0, tuple((reader.corpus.name, (0, 0, 0, 0)) for reader in self._readers))

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The chunks of the next ``count`` documents that can be cut, and the cursor after them.

        Raises:
            StreamError: past ``max_broken`` broken rows, or where a whole epoch holds no document to cut.
        """
        names = tuple(reader.corpus.name for reader in self._readers)
        if tuple(name for name, _ in cursor.positions) != names:
            raise StreamError(f"the cursor belongs to corpora {dict(cursor.positions)}, the stream has {names}")
        draws = [self._draw(cursor.taken + i) for i in range(count)]
        positions = [position for _, position in cursor.positions]
        queues: list[Iterator[Taken]] = []
        with self._lock:
            for number in range(len(names)):
                taken = self._take(number, positions[number], draws.count(number))
                positions[number] = taken[-1].after if taken else positions[number]
                queues.append(iter(taken))
        chunks = tuple(chunk for number in draws for chunk in next(queues[number]).chunks)
        return chunks, Cursor(cursor.taken + count, tuple(zip(names, positions, strict=True)))

    def share(self, cursor: Cursor, epochs: int) -> float:
        """About how much of ``epochs`` readings lies before ``cursor``, of the corpus that is least far."""
        with self._lock:
            return min(
                min(1.0, reader.epochs_before(position) / epochs)
                for reader, (_, position) in zip(self._readers, cursor.positions, strict=True)
            )

    def _draw(self, index: int) -> int:
        """The corpus of the ``index``-th document of the run."""
        if len(self._readers) == 1:
            return 0
        drawn = rng.uniform(self._cutter.seed, "mix", index)
        return int(np.searchsorted(self._shares, drawn, side="right"))

    def _take(self, number: int, position: Position, need: int) -> list[Taken]:
        """The next ``need`` documents of one corpus that can be cut.

        Never more documents are tokenised than are still needed: so the last one tokenised is the last one
        taken, and reading twice four ends where reading eight does.
        """
        taken: list[Taken] = []
        found: list[Found] = []
        whole, before = position[1:] == (0, 0, 0), 0
        if need == 0:
            return taken
        for met in self._readers[number].walk(position):
            if isinstance(met, EpochEnd):
                taken += self._cut(number, found)
                found = []
                if whole and len(taken) == before:
                    raise self._barren(number)
                whole, before = True, len(taken)
                continue
            raw = self._selection.document(number, met)
            if raw is not None:
                found.append(Found(raw, met.epoch, met.after))
            if len(found) >= min(need - len(taken), BATCH):
                taken += self._cut(number, found)
                found = []
            if len(taken) == need:
                break
        return taken

    def _cut(self, number: int, found: list[Found]) -> list[Taken]:
        """Tokenise documents and cut them; those too short are counted and left out."""
        name, codec = self._readers[number].corpus.name, self._cutter.codec
        keys = [(self._cutter.seed, one.epoch, name, one.raw.id) for one in found]
        windows = [window_of(one.raw.content, self._window, *key) for one, key in zip(found, keys, strict=True)]
        encoded = iter(codec.encode_many([w.content for w in windows if isinstance(w.content, str)]))
        taken: list[Taken] = []
        for one, window in zip(found, windows, strict=True):
            tokens = next(encoded) if isinstance(window.content, str) else self._checked(one.raw.id, window.content)
            text = window.content if self._keep_text and isinstance(window.content, str) else None
            document = Document(one.raw.id, name, one.epoch, tokens, text, one.raw.tags)
            chunks = self._cutter.chunks(document, opens=window.opens, closes=window.closes)
            if chunks:
                taken.append(Taken(chunks, one.after))
            else:
                self._selection.ledger.event("too_short")
        return taken

    def _checked(self, name: str, tokens: Tokens) -> Tokens:
        """Tokens as they were stored, without the end-of-text at their end."""
        codec = self._cutter.codec
        highest = int(tokens.array.max(initial=0))
        if highest >= codec.vocab_size:
            raise StreamError(
                f"document {name!r} holds token {highest}, but the tokenizer has {codec.vocab_size}: "
                "its tokens were made with another tokenizer"
            )
        return tokens[:-1] if len(tokens) and tokens[-1] == codec.eos else tokens

    def _barren(self, number: int) -> StreamError:
        corpus, cutter = self._readers[number].corpus, self._cutter
        places = self._selection.ledger.places
        last = f"; the last broken row is {places[-1]}" if places else ""
        return StreamError(
            f"corpus {corpus.name!r} ({corpus.path}): a whole epoch gave no document of the split "
            f"{self._selection.split!r} that can be cut; a document needs {cutter.min_prefix} tokens before the cut "
            f"and {cutter.min_suffix} after it (min_prefix, min_suffix). Met so far: {dict(self.counts())}{last}"
        )
