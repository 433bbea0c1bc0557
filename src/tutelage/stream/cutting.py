"""Documents to chunks: where a document is cut, and what is kept on both sides."""

from dataclasses import dataclass
from typing import assert_never

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

        Where the text does not open the document, cuts keep off its beginning, so that prefixes are whole. Several cuts
        of one document begin at the same token as far as ``max_length`` lets them: then each prefix is the beginning of
        the next one, and all of them are computed in one pass [I].
        """
        length = len(document.tokens)
        high = length - self.min_suffix
        low = self.min_prefix
        if not opens:
            low = max(low, min(self._room, length // 2))
        if high < low:
            return ()
        drawn = self._draw(low, high, document)
        moved = ((self._nearest(document.tokens, cut, low, high), start) for cut, start in drawn)
        starts = {cut: start for cut, start in moved if cut is not None}
        chunks: list[Chunk] = []
        for cut in sorted(starts):
            chunks.append(self._chunk(document, cut, starts[cut], closes, chunks[-1] if chunks else None))
        return tuple(chunks)

    @property
    def _room(self) -> int:
        """Longest prefix."""
        return self.max_length - self.suffix_length

    def _draw(self, low: int, high: int, document: Document) -> list[tuple[int, int]]:
        """Cuts, and where the prefix of each begins."""
        key = (self.seed, "cut", *document.key)
        match self.choice:
            case RandomCut():
                cut = low + rng.below(high - low + 1, *key)
                return [(cut, max(0, cut - self._room))]
            case EveryCut(stride):
                return [(cut, self._tile(cut)) for cut in range(low, high + 1, stride)]
            case SomeCuts(count):
                # All within one window of the document, so that they share its trunk.
                spare = len(document.tokens) - self.max_length
                start = rng.below(spare + 1, "trunk", *key) if spare > 0 else 0
                low, high = max(low, start + self.min_prefix), min(high, start + self._room)
                high = max(low, high)
                found = rng.generator(*key).choice(high - low + 1, min(count, high - low + 1), replace=False)
                return [(low + int(one), start) for one in found]
            case _:
                assert_never(self.choice)

    def _tile(self, cut: int) -> int:
        """Where a prefix begins if beginnings lie half of the longest prefix apart."""
        half = max(1, self._room // 2)
        return 0 if cut <= self._room else -(-(cut - self._room) // half) * half

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

    def _chunk(self, document: Document, cut: int, start: int, closes: bool, before: Chunk | None) -> Chunk:
        tokens = document.tokens
        start = max(start, cut - self._room)
        whole = range(start, min(start + CHARACTER_SEARCH, cut))
        start = next((at for at in whole if self.codec.is_boundary(tokens, at, word=False)), start)
        end = min(len(tokens), cut + self.suffix_length)
        if end < len(tokens):
            ends = range(end, max(cut + self.min_suffix, end - CHARACTER_SEARCH), -1)
            end = next((at for at in ends if self.codec.is_boundary(tokens, at, word=False)), end)
        suffix = tokens[cut:end]
        if closes and end == len(tokens) and len(suffix) < self.suffix_length:
            suffix = Tokens.join([suffix, Tokens([self.codec.eos])])
        if before is None:
            return Chunk(document, tokens[start:cut], suffix, cut)
        repeated, covered = (max(0, at - start) for at in (before.cut, before.cut + len(before.suffix)))
        return Chunk(document, tokens[start:cut], suffix, cut, repeated, min(covered, cut - start + len(suffix)))
