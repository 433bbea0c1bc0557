"""The stream as it stands in a run."""

import functools
import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.protocols import Codec
from tutelage.stream.cutting import Cutter
from tutelage.stream.files import fingerprint, locate
from tutelage.stream.ledger import Ledger
from tutelage.stream.neardup import near_duplicates
from tutelage.stream.order import CorpusReader, EpochEnd, Place
from tutelage.stream.reading import Dropped, Identity, Selection, TextReader, content_digest
from tutelage.stream.rows import Broken, Raw
from tutelage.stream.settings import Corpus, Cuts, NearDuplicates, RandomCut, Splits, StreamError
from tutelage.types import Tokens


@dataclass(frozen=True, slots=True)
class TextStream:
    """Documents of one or several corpora, cut into chunks.

    Example:
        >>> TextStream((Corpus("books/"),), suffix_length=64).max_length
        2048
    """

    corpora: tuple[Corpus, ...]
    cuts: Cuts = RandomCut()
    suffix_length: int = 128
    """Most tokens of a suffix: the papers' N ([P] arXiv:2601.21343 §1.1)."""
    max_length: int = 2048
    """Most tokens of prefix and suffix together ([P] B.1); prefixes lose their beginning."""
    min_prefix: int = 16
    """Fewest tokens before a cut ([I]; the paper gives none)."""
    min_suffix: int = 16
    """Fewest tokens after a cut, so that a suffix is something to judge ([I]; the paper gives none)."""
    before_word: bool = True
    """Cut before a word where there is one near, not only between characters."""
    block_rows: int = 1024
    """Rows permuted together; what is read at once."""
    window_chars: int = 65_536
    """Of a longer document a keyed run of this many characters (tokens, where it holds tokens) is used."""
    splits: Splits = Splits()
    deduplicate: NearDuplicates | None = NearDuplicates()
    """``None`` keeps near-duplicates; equal texts fall into the same split all the same."""
    strict: bool = False
    """Stop at the first broken row."""
    max_broken: int = 100
    """Stop when more rows than this are broken."""

    def __post_init__(self) -> None:
        names = [corpus.name for corpus in self.corpora]
        if not names or len(set(names)) < len(names):
            raise StreamError(f"stream.corpora are named {names}: there must be one at least, each with its own name")
        if self.suffix_length < 1 or self.max_length <= self.suffix_length:
            raise StreamError(f"max_length {self.max_length} must exceed suffix_length {self.suffix_length} >= 1")
        if not 1 <= self.min_prefix <= self.max_length - self.suffix_length:
            raise StreamError(f"min_prefix is {self.min_prefix}; it must be 1 to max_length - suffix_length")
        if not 1 <= self.min_suffix <= self.suffix_length:
            raise StreamError(f"min_suffix is {self.min_suffix}; it must be 1 to suffix_length")
        if self.block_rows < 1 or self.max_broken < 0 or self.window_chars < self.max_length:
            raise StreamError("block_rows must be at least 1, max_broken 0 and window_chars max_length")
        streamed = [corpus.name for corpus in self.corpora if corpus.streaming]
        if self.deduplicate is not None and streamed:
            raise StreamError(
                f"corpus {streamed[0]!r} is streamed, and duplicates are removed by reading everything first: "
                "set stream.deduplicate to null"
            )

    def build(self, seed: int, codec: Codec, split: str) -> TextReader:
        """The stream of one keyed split: ``policy``, ``judge``, ``rewriter``, ``validation`` or ``test``.

        Raises:
            StreamError: for a split that is empty, a path that does not exist, a column that is not there.
        """
        return self.reader(seed, codec, split)

    def reader(
        self,
        seed: int,
        codec: Codec,
        split: str,
        *,
        keep_text: bool = False,
        identity: Identity = content_digest,
    ) -> TextReader:
        """As ``build``; documents keep their text on request, and ``identity`` decides on their split.

        Raises:
            StreamError: as ``build``.
        """
        readers = [CorpusReader(corpus, seed, self.block_rows) for corpus in self.corpora]
        cutter = Cutter(
            codec,
            seed,
            choice=self.cuts,
            suffix_length=self.suffix_length,
            max_length=self.max_length,
            min_prefix=self.min_prefix,
            min_suffix=self.min_suffix,
            before_word=self.before_word,
        )
        corpora = corpora_digest(self.corpora)
        settings = asdict(self)
        for apart in ("corpora", "strict", "max_broken"):
            del settings[apart]
        if self.deduplicate is not None:
            del settings["deduplicate"]["cache"]
        named = digest_of(corpora, type(self.cuts).__name__, settings, split)
        selection = self._selection(split, corpora, identity)
        return TextReader(readers, selection, cutter, self.window_chars, named, keep_text=keep_text)

    def texts(self, seed: int, split: str) -> Iterator[str]:
        """The texts of one split, one epoch of each corpus in keyed order: what a tokenizer is trained on.

        Raises:
            StreamError: where a document holds tokens.
        """
        selection = self._selection(split, corpora_digest(self.corpora))
        for number, corpus in enumerate(self.corpora):
            for met in CorpusReader(corpus, seed, self.block_rows).walk((0, 0, 0, 0)):
                if isinstance(met, EpochEnd):
                    break
                raw = selection.document(number, met)
                if raw is None:
                    continue
                if isinstance(raw.content, Tokens):
                    raise StreamError(f"corpus {corpus.name!r} holds tokens, not text to train a tokenizer on")
                yield raw.content

    def _selection(self, split: str, corpora: str, identity: Identity = content_digest) -> Selection:
        """Which rows make up ``split``. Duplicates are found now, so that a fault is not met in the first step."""
        self.splits.require(split)
        dropped: Dropped = frozenset()
        if self.deduplicate is not None:
            limits = (self.max_broken, self.strict)
            dropped = find_dropped(self.corpora, self.deduplicate, self.block_rows, limits, corpora)
        return Selection(split, self.splits, dropped, Ledger(self.max_broken, self.strict), identity)


def digest_of(*parts: object) -> str:
    """Hex digest of plain values."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def corpora_digest(corpora: tuple[Corpus, ...]) -> str:
    """Hex digest of what corpora hold and how they are read, but not of where they lie."""
    parts: list[object] = []
    for corpus in corpora:
        written = asdict(corpus)
        del written["path"], written["tags_column"]  # neither changes what is read
        parts += [written, *(fingerprint(located, corpus) for located in locate(corpus).shards)]
    return digest_of(*parts)


@functools.lru_cache(maxsize=4)
def find_dropped(
    corpora: tuple[Corpus, ...],
    settings: NearDuplicates,
    block_rows: int,
    limits: tuple[int, bool],
    digest: str,
) -> Dropped:
    """The near-duplicates of all corpora together; ``digest`` tells one state of the files from another."""
    kept: Path | None = None
    if settings.cache is not None:
        named = digest_of(digest, settings.threshold, settings.shingle, block_rows)
        kept = Path(settings.cache).expanduser() / f"{named}.npy"
        if kept.is_file():
            return from_table(np.load(kept, allow_pickle=False))
    ledger = Ledger(*limits, warns=False)  # what is read later is warned about then

    def documents() -> Iterator[tuple[tuple[int, Place], str | Tokens]]:
        for number, corpus in enumerate(corpora):
            for place, row in CorpusReader(corpus, 0, block_rows).natural():
                if isinstance(row, Broken):
                    ledger.broken(row)
                elif isinstance(row, Raw):
                    yield (number, place), row.content

    dropped = near_duplicates(documents(), settings)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.stem}.{os.getpid()}.partial.npy")  # several ranks may write at once
        np.save(partial, as_table(dropped), allow_pickle=False)
        partial.replace(kept)
    return dropped


def as_table(dropped: Dropped) -> NDArray[np.int64]:
    """Places as an integer table, shape ``(duplicates, 4)``."""
    rows = sorted((number, *place) for number, place in dropped)
    return np.array(rows, np.int64).reshape(-1, 4)


def from_table(table: NDArray[np.int64]) -> Dropped:
    """The places of a table."""
    return frozenset((number, (shard, block, row)) for number, shard, block, row in table.tolist())
