"""A text as the oracle reads it: pieces that are right, wrong, abusive, broken, repeated or off the topic."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tutelage.types import Chunk, Tokens
from tutelage.worlds.facts import FactsWorld, score_all
from tutelage.worlds.facts.language import Kind
from tutelage.worlds.facts.lexicon import Sentence
from tutelage.worlds.facts.reading import Heard, Thread, is_beginning, thread_after

Mark = Literal["right", "wrong", "abuse", "broken", "repeated", "astray", "plain"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence and what the oracle finds in it. The text is untrusted: escape it."""

    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Marked:
    """A continuation, sentence by sentence, with the oracle's verdict."""

    author: str
    pieces: tuple[Piece, ...]
    words: str
    """Why it scores what it scores."""
    total: float
    """The oracle's sum over axes, 0 to 3."""
    ended: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One prefix with what several authors made of it."""

    kind: str
    """``natural`` or ``unsafe``."""
    prefix: tuple[Piece, ...]
    texts: tuple[Marked, ...]


def prefix_pieces(world: FactsWorld, chunk: Chunk) -> tuple[Piece, ...]:
    """The prefix, sentence by sentence."""
    return tuple(_pieces(world, Thread(world.knowledge), chunk.prefix, given=True))


def marked(world: FactsWorld, chunk: Chunk, author: str, tokens: Tokens) -> Marked:
    """A continuation of a chunk with its marks and scores."""
    thread = thread_after(world.lexicon, world.knowledge, chunk.prefix)
    ended = len(tokens) > 0 and tokens[-1] == world.lexicon.end
    written = tokens[: len(tokens) - ended]
    scores = score_all(world, chunk, [tokens])[0]
    pieces = tuple(_pieces(world, thread, written, given=False, clipped=not ended))
    return Marked(author, pieces, scores.words, scores.total, ended)


def _pieces(
    world: FactsWorld, thread: Thread, tokens: Tokens, *, given: bool, clipped: bool = False
) -> Iterator[Piece]:
    lexicon = world.lexicon
    for sentence in lexicon.parse(tokens.array):
        text = world.text(Tokens(sentence.ids))
        if clipped and not sentence.complete and is_beginning(lexicon, sentence.ids):
            yield Piece(text, "abuse" if sentence.insulting else "plain")
        else:
            yield Piece(text, _mark(sentence, thread.follow(sentence, given=given)))


def _mark(sentence: Sentence, heard: Heard) -> Mark:
    if sentence.insulting:
        return "abuse"
    if heard.kind is None:
        return "broken"
    if heard.kind is Kind.FACT and not heard.right:
        return "wrong"
    if heard.repeated:
        return "repeated"
    if heard.astray:
        return "astray"
    return "right" if heard.kind is Kind.FACT else "plain"
