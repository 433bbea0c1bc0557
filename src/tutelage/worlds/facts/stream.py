"""The corpus as a stream: documents written as they are read, without end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from tutelage.protocols import Codec, Cursor
from tutelage.stream.places import first_place, next_places
from tutelage.types import Chunk
from tutelage.worlds.facts.world import FactsWorld


@dataclass(frozen=True, slots=True)
class FactsStream:
    """Documents of a world, one cut each. No document comes twice, so there is but one epoch.

    Example:
        >>> FactsStream(clean=True).suffix_length
        32
    """

    world: FactsWorld = field(default_factory=FactsWorld)
    clean: bool = False
    """Whether the text is free of corruption: what the loss on held-out clean text is measured on."""
    corpus: str = "facts"
    """The name in the run. Other names give other documents: a phase that must not reread an earlier one's text
    takes another."""

    @property
    def suffix_length(self) -> int:
        """Most tokens of a suffix."""
        return self.world.suffix_length

    @property
    def max_length(self) -> int:
        """Most tokens of a chunk."""
        return self.world.prefix_length + self.world.suffix_length

    def build(self, seed: int, codec: Codec, split: str) -> "Reader":
        """The documents of one split; seeds and splits share none.

        Raises:
            ValueError: the tokenizer is not this world's.
        """
        self.world.require(codec)
        return Reader(self, seed, split)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a ``FactsStream``. The cursor's row is the number of documents read."""

    spec: FactsStream
    seed: int
    split: str

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return first_place(self.spec.corpus)

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The next ``count`` chunks, one a document, and the cursor after them.

        Raises:
            ValueError: the cursor is another stream's.
        """
        places, behind = next_places(cursor, self.spec.corpus, count)
        return tuple(self._chunk(row) for _, row in places), behind

    def _chunk(self, row: int) -> Chunk:
        world, spec = self.spec.world, self.spec
        document = world.document(spec.corpus, f"{self.split}-{self.seed}-{row}", clean=spec.clean)
        return world.cut(document)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the world, the corpus and the split."""
        return blake2b(repr(self).encode(), digest_size=16).hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Nothing can go wrong with text that is written to order."""
        return {}
