"""The oracle as an author: it goes on by itself, as truthfully as it is told to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tutelage.maths.ranges import require
from tutelage.protocols import Resources
from tutelage.types import Absent, Chunk, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.facts.language import CLOSINGS, Kind
from tutelage.worlds.facts.pen import Pen
from tutelage.worlds.facts.reading import thread_after
from tutelage.worlds.facts.world import FactsWorld


@dataclass(frozen=True, slots=True)
class FactsTeacher:
    """Writes a continuation of its own behind the prefix. It does not read the suffix.

    Of the suffix it learns the length alone, and whether the document ends there. SFT on its text is plain
    distillation: the control that says what the teacher's own words are worth, no corpus text in them [I].
    """

    world: FactsWorld = field(default_factory=FactsWorld)
    error: float = 0.0
    """Share of the facts in its text whose value it gets wrong: a random other one."""

    def __post_init__(self) -> None:
        require(self, "error", at_least=0, at_most=1)

    def build(self, resources: Resources) -> "Teacher":
        """The working rewriter.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        self.world.require(resources.codec, resources.suffix_length)
        return Teacher(self, resources.seed)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Writes as a ``FactsTeacher`` says, from the prefix and the world's knowledge."""

    spec: FactsTeacher
    seed: int

    @property
    def name(self) -> str:
        """What records call it: the teacher, and how often it errs."""
        return f"facts-teacher(error={self.spec.error:g})"

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """One continuation a chunk, as long as the suffix; about so long, and ended, where the document ends in it."""
        return [self._write(chunk) for chunk in chunks]

    def _write(self, chunk: Chunk) -> Tokens:
        world, length = self.spec.world, len(chunk.suffix)
        thread = thread_after(world.lexicon, world.knowledge, chunk.prefix)
        pen = Pen(world.lexicon, thread, Dice(self.seed, "facts teacher", *chunk.key), self.spec.error)
        if length and chunk.suffix[-1] == world.lexicon.end:
            return Tokens([*_end(pen, length - 1, world.suffix_length - 1), world.lexicon.end])
        return Tokens(pen.go_on(length)[:length])


def _end(pen: Pen, length: int, room: int) -> list[int]:
    """Whole sentences of about ``length`` tokens and at most ``room``, the last a closing as authors end with."""
    closing = list(pen.dice.pick(pen.lexicon.of_kind(Kind.FILLER)[-len(CLOSINGS) :]).ids)
    ids: list[int] = []
    while not ids or len(ids) + len(closing) < length:
        sentence = pen.go_on(1)
        if len(ids) + len(sentence) + len(closing) > room:
            break
        ids += sentence
    return [*ids, *closing]
