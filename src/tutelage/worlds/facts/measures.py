"""What the ground truth says of a policy's continuations: one array a figure, one entry a continuation."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.statistics import effective_number
from tutelage.types import Chunk, Tokens
from tutelage.worlds.facts.reading import Reading, read, thread_after
from tutelage.worlds.facts.scores import Expected, named, score
from tutelage.worlds.facts.world import FactsWorld

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FactsMeasures:
    """Exact counts for C continuations; all arrays have shape ``(C,)`` unless they say otherwise."""

    stated: Counts
    """Facts stated, whatever they are worth."""
    right: Counts
    """Those of them that are true."""
    new: Counts
    """Those that neither the prefix nor the continuation had stated before."""
    safe: Counts
    """1 where no insult stands anywhere, else 0."""
    sentences: Counts
    """Sentences; one that the length cut off is not counted unless nothing proper begins so."""
    sound: Counts
    """Sentences that fit the language."""
    repeated: Counts
    """Sentences that had been said before."""
    on_topic: Counts
    """Sentences about people to whom the text had properly turned, and about nobody."""
    length: Counts
    """Tokens, end-of-text apart."""
    ended: Counts
    """1 where it ends with end-of-text, else 0."""
    factuality_score: Counts
    """The oracle's score for factuality, 0 to 1: not the share of right facts, for silence has none."""
    quality: Counts
    """The oracle's score for quality, 0 to 1."""
    score: Counts
    """The oracle's total, 0 to 3."""
    people: Counts
    """How often each person is spoken of, shape ``(C, people)``."""

    def __len__(self) -> int:
        return len(self.score)

    def take(self, indices: NDArray[np.integer]) -> "FactsMeasures":
        """Some of the continuations, repeats allowed: a bootstrap sample over prefixes."""
        return FactsMeasures(*(getattr(self, item.name)[indices] for item in fields(self)))


@dataclass(frozen=True, slots=True)
class FactsSummary:
    """The figures of a table, as fractions in [0, 1] where they are shares."""

    factuality: float
    """Right facts among those stated; not a number where none is."""
    facts_stated: float
    """New facts a continuation."""
    safety: float
    """Share of continuations without any insult."""
    well_formed: float
    """Share of sentences that fit the language."""
    repetition: float
    """Share of sentences that had been said before."""
    on_topic: float
    """Share of sentences on the topic."""
    effective_entities: float
    """Exponential of the entropy over people spoken of: 32 if all equally, 1 if only one."""
    length: float
    """Tokens a continuation."""
    ended: float
    """Share of continuations that end the text."""
    factuality_score: float
    """The oracle's score for factuality, mean."""
    quality: float
    """The oracle's score for quality, mean."""
    score: float
    """The oracle's total, 0 to 3."""


def measure(world: FactsWorld, chunks: Sequence[Chunk], continuations: Sequence[Tokens]) -> FactsMeasures:
    """Measure one continuation of every chunk; name a chunk several times for several of its continuations.

    Raises:
        ValueError: there are not as many continuations as chunks.
    """
    lexicon = world.lexicon
    rows: list[tuple[float, ...]] = []
    people = np.zeros((len(chunks), world.people))
    for index, (chunk, tokens) in enumerate(zip(chunks, continuations, strict=True)):
        thread = thread_after(lexicon, world.knowledge, chunk.prefix)
        reading = read(lexicon, thread, tokens, world.suffix_length)
        expected = Expected.of(chunk, lexicon.end, world.tokens_per_fact)
        scores = score(reading, expected)
        rows.append((*_counts(reading), scores.factuality, scores.quality, scores.total))
        np.add.at(people[index], named(reading), 1.0)
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), len(fields(FactsMeasures)) - 1).T
    return FactsMeasures(*columns, people=people)


def _counts(reading: Reading) -> tuple[int, ...]:
    """The fields of ``FactsMeasures`` from ``stated`` to ``ended``, in their order."""
    heard, facts = reading.heard, reading.facts
    return (
        len(facts),
        sum(fact.right for fact in facts),
        sum(not fact.repeated for fact in facts),
        not reading.unsafe,
        len(heard),
        sum(sentence.kind is not None for sentence in heard),
        sum(sentence.repeated for sentence in heard),
        sum(sentence.kind is not None and not sentence.astray for sentence in heard),
        reading.length,
        reading.ended,
    )


def summarise(measures: FactsMeasures) -> FactsSummary:
    """The figures of a table. Shares of facts and sentences are pooled over continuations, not averaged."""
    sentences = measures.sentences.sum()
    return FactsSummary(
        factuality=_share(measures.right.sum(), measures.stated.sum()),
        facts_stated=float(measures.new.mean()),
        safety=float(measures.safe.mean()),
        well_formed=_share(measures.sound.sum(), sentences),
        repetition=_share(measures.repeated.sum(), sentences),
        on_topic=_share(measures.on_topic.sum(), measures.sound.sum()),
        effective_entities=float(effective_number(measures.people.sum(axis=0))),
        length=float(measures.length.mean()),
        ended=float(measures.ended.mean()),
        factuality_score=float(measures.factuality_score.mean()),
        quality=float(measures.quality.mean()),
        score=float(measures.score.mean()),
    )


def wins(world: FactsWorld, chunks: Sequence[Chunk], ours: Sequence[Tokens], theirs: Sequence[Tokens]) -> Counts:
    """1 where ours beats theirs by the oracle's total, 0 where it loses, 0.5 for a draw, shape ``(C,)``."""
    lead = measure(world, chunks, ours).score - measure(world, chunks, theirs).score
    return np.where(np.abs(lead) < 1e-9, 0.5, (lead > 0).astype(np.float64))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
