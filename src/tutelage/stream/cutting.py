"""Documents to chunks: where a document is cut, and what is kept on both sides."""

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from tutelage import rng
from tutelage.protocols import Codec
from tutelage.stream.settings import Cuts, EveryCut, RandomCut, SomeCuts
from tutelage.types import Chunk, Document, Tokens

WORD_SEARCH = 64
"""Tokens on each side of a drawn cut among which a word boundary is looked for.

Without one (scripts that put no space between words) the cut settles for a boundary between characters.
"""
CHARACTER_SEARCH = 8


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a document that is tokenised: all of it, unless it is very long."""

    content: str | Tokens
    opens: bool
    """Whether the document begins here."""
    closes: bool
    """Whether the document ends here."""


def window_of(content: str | Tokens, size: int, *key: rng.Key) -> Window:
    """A keyed run of ``size`` characters (or tokens) of a longer document, beginning after white space.

    So a document of any length costs no more to tokenise than one of ``size``; other epochs see other parts.
    """
    if len(content) <= size:
        return Window(content, True, True)
    start = rng.below(len(content) - size + 1, "window", *key)
    end = start + size
    if isinstance(content, str) and start > 0:
        space = next((i for i in range(start, min(end, start + 200)) if content[i - 1].isspace()), start)
        start = space
    return Window(content[start:end], start == 0, end == len(content))


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts documents as a stream's settings say."""

    codec: Codec
    seed: int
    choice: Cuts
    suffix_length: int
    max_length: int
    min_prefix: int
    min_suffix: int
    before_word: bool

    def chunks(self, document: Document, *, opens: bool = True, closes: bool = True) -> tuple[Chunk, ...]:
        """The chunks of one document, in the order of their cuts; none where it is too short.

        Where the text does not open the document, cuts keep off its beginning, so that prefixes are whole.
        """
        length = len(document.tokens)
        high = length - self.min_suffix
        low = self.min_prefix
        if not opens:
            low = max(low, min(self.max_length - self.suffix_length, length // 2))
        if high < low:
            return ()
        drawn = self._draw(low, high, document)
        moved = (self._nearest(document.tokens, cut, low, high) for cut in drawn)
        cuts = sorted({cut for cut in moved if cut is not None})
        return tuple(self._chunk(document, cut, closes) for cut in cuts)

    def _draw(self, low: int, high: int, document: Document) -> list[int]:
        key = (self.seed, "cut", *document.key)
        match self.choice:
            case RandomCut():
                return [low + rng.below(high - low + 1, *key)]
            case EveryCut(stride):
                return list(range(low, high + 1, stride))
            case SomeCuts(count):
                room = high - low + 1
                found = rng.generator(*key).choice(room, min(count, room), replace=False)
                return (low + np.asarray(found)).tolist()
            case _:
                assert_never(self.choice)

    def _nearest(self, tokens: Tokens, cut: int, low: int, high: int) -> int | None:
        """The boundary nearest to ``cut``: before a word if one is close by, else between characters."""
        near = [cut + sign * step for step in range(WORD_SEARCH + 1) for sign in (1, -1)]
        near = [at for at in near if low <= at <= high]
        if self.before_word:
            for at in near:
                if self.codec.is_boundary(tokens, at, word=True):
                    return at
        close = [at for at in near if abs(at - cut) <= CHARACTER_SEARCH]
        return next((at for at in close if self.codec.is_boundary(tokens, at, word=False)), None)

    def _chunk(self, document: Document, cut: int, closes: bool) -> Chunk:
        tokens = document.tokens
        start = max(0, cut - (self.max_length - self.suffix_length))
        whole = range(start, min(start + CHARACTER_SEARCH, cut))
        start = next((at for at in whole if self.codec.is_boundary(tokens, at, word=False)), start)
        end = min(len(tokens), cut + self.suffix_length)
        if end < len(tokens):
            ends = range(end, max(cut + self.min_suffix, end - CHARACTER_SEARCH), -1)
            end = next((at for at in ends if self.codec.is_boundary(tokens, at, word=False)), end)
        suffix = tokens[cut:end]
        if closes and end == len(tokens) and len(suffix) < self.suffix_length:
            suffix = Tokens.join([suffix, Tokens([self.codec.eos])])
        return Chunk(document, prefix=tokens[start:cut], suffix=suffix, cut=cut)
