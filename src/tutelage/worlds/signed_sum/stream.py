"""The world's text as a stream: episodes written as they are read, without end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from tutelage.protocols import Codec, Cursor
from tutelage.stream.places import first_place, next_places
from tutelage.types import Chunk
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split


@dataclass(frozen=True, slots=True)
class SignedSumStream:
    """Episodes of two attempts, one a document, cut behind the problem. No document comes twice: one epoch.

    Example:
        >>> SignedSumStream().suffix_length
        12
    """

    world: SignedSumWorld = field(default_factory=SignedSumWorld)
    corpus: str = "signed-sums"
    """The name in the run. Other names give other documents."""

    @property
    def suffix_length(self) -> int:
        """Tokens of a suffix: both attempts."""
        return self.world.episode_length - self.world.prompt_length

    @property
    def max_length(self) -> int:
        """Tokens of a chunk."""
        return self.world.episode_length

    def build(self, seed: int, codec: Codec, split: str) -> "Reader":
        """The documents of one split; seeds and splits share none.

        Text of ``validation`` and ``test`` is about problems that are held out, all other text about the rest.

        Raises:
            ValueError: the tokenizer is not this world's.
        """
        self.world.require(codec)
        return Reader(self, seed, split)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a ``SignedSumStream``. The cursor's row is the number of documents read."""

    spec: SignedSumStream
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
        world = self.spec.world
        about: Split = self.split if self.split in ("validation", "test") else "train"
        return world.cut(world.document(self.spec.corpus, f"{self.split}-{self.seed}-{row}", about))

    @property
    def fingerprint(self) -> str:
        """Hex digest of the world, the corpus and the split."""
        return blake2b(repr(self).encode(), digest_size=16).hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Nothing can go wrong with text that is written to order."""
        return {}
