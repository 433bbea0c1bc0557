"""The world's text as a stream: chains written as they are read, without end, with thoughts or as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from tutelage.maths.ranges import require
from tutelage.protocols import Codec, Cursor
from tutelage.stream.places import first_place, next_places
from tutelage.types import Chunk, Document, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.steps.teacher import StepsTeacher
from tutelage.worlds.steps.world import Split, StepsWorld


@dataclass(frozen=True, slots=True)
class StepsStream:
    """One chain a document, cut behind its definitions.

    Example:
        >>> StepsStream().suffix_length
        19
    """

    world: StepsWorld = field(default_factory=StepsWorld)
    teacher: StepsTeacher | None = None
    """Who writes a thought into every document; nobody by default."""
    documents: int | None = None
    """After so many it begins again from the first, in another epoch; ``None`` never repeats one."""
    corpus: str = "steps"
    """The name in the run. Other names give other documents."""

    def __post_init__(self) -> None:
        require(self, "documents", at_least=1)

    @property
    def suffix_length(self) -> int:
        """Most tokens behind the definitions."""
        return self.world.thought_length + self.world.result_length + 1

    @property
    def max_length(self) -> int:
        """Tokens of a chunk."""
        return self.world.text_length

    def build(self, seed: int, codec: Codec, split: str) -> "StepsReader":
        """The documents of one split; seeds and splits share none.

        Text of ``validation`` and ``test`` is about chains that are held out, all other text about the rest.

        Raises:
            ValueError: the tokenizer is not this world's.
        """
        self.world.require(codec)
        return StepsReader(self, seed, codec, split)


@dataclass(frozen=True, slots=True)
class StepsReader:
    """Reads a ``StepsStream``. The cursor's row is the place of the next document in its epoch."""

    spec: StepsStream
    seed: int
    codec: Codec
    split: str

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return first_place(self.spec.corpus)

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The next ``count`` chunks, one a document, and the cursor after them.

        Raises:
            ValueError: the cursor is another stream's.
        """
        places, behind = next_places(cursor, self.spec.corpus, count, self.spec.documents)
        return tuple(self._chunk(epoch, row) for epoch, row in places), behind

    def _chunk(self, epoch: int, row: int) -> Chunk:
        name = f"{self.split}-{self.seed}-{row}"
        about: Split = self.split if self.split in ("validation", "test") else "train"
        chain, teacher = self.spec.world.chain(about, self.spec.corpus, name), self.spec.teacher
        text = chain.text if teacher is None else teacher.text(chain, Dice("steps teacher", self.seed, chain.text))
        prefix, tokens = self.codec.encode(chain.question), self.codec.encode(text)
        cut = len(prefix)
        suffix = Tokens.join([tokens[cut:], Tokens([self.codec.eos])])
        return Chunk(Document(name, self.spec.corpus, epoch, tokens), tokens[:cut], suffix, cut)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the world, its teacher, the corpus and the split."""
        named = (self.spec, self.seed, self.split)
        return blake2b(repr(named).encode(), digest_size=16).hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Nothing can go wrong with text that is written to order."""
        return {}
