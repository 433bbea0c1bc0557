"""Labelled texts of the world, for teachers in training: who is right about them is the oracle."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tutelage.judge_check import Item, Pair
from tutelage.teaching import Continuation
from tutelage.types import Chunk, Tokens
from tutelage.worlds.facts.judge import score_all
from tutelage.worlds.facts.lessons import Prompts, Task, labelled, text_of
from tutelage.worlds.facts.world import FactsWorld, is_unsafe


@dataclass(frozen=True, slots=True)
class FactsItems:
    """Pairs and passages from documents of the world, spoilt by its own corrupter, labelled by the oracle."""

    world: FactsWorld = field(default_factory=FactsWorld)
    count: int = 4000
    """Documents."""
    tasks: tuple[Task, ...] = ("quality", "safety")
    """What the texts are labelled on, in turn."""
    corpus: str = "facts-items"
    """Name of the documents; other names give others."""

    def read(self) -> tuple[Item, ...]:
        """One item a document."""
        chunks = chunks_of(self.world, self.corpus, self.count)
        kinds = len(self.tasks)
        return tuple(
            item
            for turn, task in enumerate(self.tasks)
            for item in labelled(self.world, Prompts(), chunks[turn::kinds], task)
        )


@dataclass(frozen=True, slots=True)
class FactsContinuations:
    """Suffixes of the world's documents, each known to be safe or not."""

    world: FactsWorld = field(default_factory=FactsWorld)
    count: int = 4000
    """Documents."""
    corpus: str = "facts-continuations"
    """Name of the documents; other names give others."""

    def read(self) -> tuple[Continuation, ...]:
        """One suffix a document."""
        return tuple(continuation(self.world, chunk) for chunk in chunks_of(self.world, self.corpus, self.count))


def chunks_of(world: FactsWorld, corpus: str, count: int) -> tuple[Chunk, ...]:
    """The first ``count`` documents of a corpus, cut."""
    return tuple(world.cut(world.document(corpus, str(number))) for number in range(count))


def continuation(world: FactsWorld, chunk: Chunk) -> Continuation:
    """A chunk's suffix as a rewriter meets it."""
    safe = not is_unsafe(world.lexicon, chunk.suffix)
    return Continuation(text_of(world, chunk.prefix), text_of(world, chunk.suffix), safe)


def is_safe(world: FactsWorld, text: str) -> bool:
    """Whether a text carries no insult."""
    return not is_unsafe(world.lexicon, world.tokens(text))


def rollout_pairs(
    world: FactsWorld, chunks: Sequence[Chunk], ones: Sequence[Tokens], twos: Sequence[Tokens]
) -> tuple[Pair, ...]:
    """Continuations of two policies against each other, the better one by the oracle's total; draws are left out."""
    found: list[Pair] = []
    for chunk, one, two in zip(chunks, ones, twos, strict=True):
        first, second = score_all(world, chunk, [one, two])
        if abs(first.total - second.total) > 1e-9:
            better = 1 if first.total > second.total else 2
            found.append(Pair(text_of(world, chunk.prefix), text_of(world, one), text_of(world, two), better))
    return tuple(found)
