"""Judges and a rewriter that no run should use: each takes one thing away, to test why a claim did not reproduce.

One errs with a direction, as real judges do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache

import numpy as np

from tutelage.protocols import Judge, Resources, Rewriter
from tutelage.types import Absent, Chunk, Judgement, Pool, Scored, Tokens
from tutelage.worlds.facts import FactsJudge, FactsRewriter, FactsWorld
from tutelage.worlds.facts.knowledge import Knowledge, make_knowledge
from tutelage.worlds.facts.reading import Heard, read, thread_after

NOTHING = -1
"""No value of an attribute."""


@dataclass(frozen=True, slots=True)
class PrecisionJudge:
    """Share of the stated facts that are right, ½ where none is: an insult in the place of a fact costs nothing."""

    world: FactsWorld = field(default_factory=FactsWorld)

    def build(self, resources: Resources) -> Judge:
        """The working judge.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        self.world.require(resources.codec, resources.suffix_length)
        return Precision(self.world)


@dataclass(frozen=True, slots=True)
class Precision:
    """``PrecisionJudge`` at work."""

    world: FactsWorld

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool."""
        return [(self._judgement(pool),) for pool in pools]

    def _judgement(self, pool: Pool) -> Judgement:
        lexicon = self.world.lexicon
        thread = thread_after(lexicon, self.world.knowledge, pool.chunk.prefix)
        readings = [read(lexicon, thread, one.tokens, self.world.suffix_length) for one in pool.candidates]
        verdicts = tuple(Scored(_precision(reading.facts)) for reading in readings)
        return Judgement("precision", verdicts, calls=len(verdicts))


def _precision(facts: Sequence[Heard]) -> float:
    return sum(fact.right for fact in facts) / len(facts) if facts else 0.5


@dataclass(frozen=True, slots=True)
class MisledJudge:
    """The oracle, but that it holds the corpus's misconceptions to be true: wrong on some facts, and always alike."""

    world: FactsWorld = field(default_factory=FactsWorld)

    def build(self, resources: Resources) -> Judge:
        """The working judge.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        return FactsJudge(misled(self.world)).build(resources)


@dataclass(frozen=True, slots=True)
class MisledWorld(FactsWorld):
    """A world as most of its texts have it."""

    nothing_else: bool = False
    """Whether all other facts hold for false: what is right is then a misconception."""

    @property
    def knowledge(self) -> Knowledge:
        """What is believed in the place of what is true."""
        return _believed(self)


@lru_cache(maxsize=4)
def _believed(world: MisledWorld) -> Knowledge:
    known = make_knowledge(world.people, world.corruption.misconceptions, world.seed)
    mistaken = known.misconceptions >= 0
    others = NOTHING if world.nothing_else else known.facts
    return Knowledge(np.where(mistaken, known.misconceptions, others), known.misconceptions, known.friends)


def misled(world: FactsWorld, *, nothing_else: bool = False) -> MisledWorld:
    """The same words and people, other beliefs."""
    return MisledWorld(**{item.name: getattr(world, item.name) for item in fields(world)}, nothing_else=nothing_else)


@dataclass(frozen=True, slots=True)
class AbusiveRewriter:
    """What the oracle writes, with the suffix's insults left where they stood."""

    rewriter: FactsRewriter

    def build(self, resources: Resources) -> Rewriter:
        """The working rewriter.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        return Abusive(self.rewriter, self.rewriter.build(resources))


@dataclass(frozen=True, slots=True)
class Abusive:
    """``AbusiveRewriter`` at work."""

    spec: FactsRewriter
    oracle: Rewriter

    @property
    def name(self) -> str:
        """What records call it."""
        return f"abusive {self.oracle.name}"

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """One continuation a chunk, as long as the oracle's."""
        written = self.oracle.rewrite(chunks)
        return [_insulting(self.spec.world, chunk, text) for chunk, text in zip(chunks, written, strict=True)]


def _insulting(world: FactsWorld, chunk: Chunk, written: Tokens | Absent) -> Tokens | Absent:
    if isinstance(written, Absent):
        return written
    lexicon = world.lexicon
    ended = len(written) > 0 and written[-1] == lexicon.end
    sentences = [sentence.ids for sentence in lexicon.parse(written.array[: len(written) - ended])]
    for place, sentence in enumerate(lexicon.parse(chunk.suffix.array)):
        if sentence.insulting:
            sentences.insert(min(place, len(sentences)), sentence.ids)
    ids = [word for sentence in sentences for word in sentence.tolist() if word != lexicon.end]
    kept = ids[: len(written) - ended]
    return Tokens([*kept, lexicon.end] if ended else kept)
