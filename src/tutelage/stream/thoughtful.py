"""Documents with thoughts in them, as they are trained on: whole, or up to where the policy is to think for itself."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, assert_never

from tutelage import rng
from tutelage.maths.ranges import require
from tutelage.protocols import Codec, Cursor, Stream, StreamSpec
from tutelage.stream.settings import StreamError
from tutelage.thoughts import Tags, ThoughtError
from tutelage.types import Chunk, Document, Tokens

Use = Literal["sft", "rl"]
BARREN = 10_000
"""Documents in a row of which none can be used: then reading is given up."""
NEAR = 16
"""Tokens behind which a part is put into tokens where it cannot be by itself."""


def half_of(text: str, share: float) -> Use:
    """The half of a document, by its text without thoughts: equal texts never part, whoever thought in them."""
    drawn = rng.uniform("thinking half", blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())
    return "sft" if drawn < share else "rl"


def encode_parts(codec: Codec, tags: Tags, text: str) -> Tokens | None:
    """Tokens of a thoughtful text, cut at every tag; ``None`` where they would not decode to it.

    So a tag has the same tokens wherever it stands, and a prompt that ends with one is the beginning of what was
    trained.
    """
    parts = tags.parts(text)
    pieces = [parts[0]]
    for thought, content in zip(parts[1::2], parts[2::2], strict=True):
        pieces += [tags.opening, thought, tags.closing, content]
    return join_encoded(codec, pieces)


def join_encoded(codec: Codec, pieces: Sequence[str]) -> Tokens | None:
    """Tokens of each piece, one after the other; ``None`` where they would not decode to all of them."""
    pieces = [piece for piece in pieces if piece]
    joined = Tokens.join(codec.encode_many(pieces))
    if codec.decode(joined) == "".join(pieces):
        return joined
    found = codec.encode(pieces[0]) if pieces else Tokens([])
    for piece in pieces[1:]:
        new = codec.encode_after(found[-NEAR:], piece)
        if new is None:
            return None
        found = Tokens.join([found, new])
    return found if codec.decode(found) == "".join(pieces) else None


@dataclass(frozen=True, slots=True)
class ThoughtStream:
    """One half of the documents of another stream, whose text holds thoughts (2601.21343 §2.1).

    ``sft``: whole documents, to be learnt by next-token prediction; the cut is before the first thought. ``rl``: of the
    other half, a document up to one of its places for thoughts, drawn anew in each epoch. The prefix ends with the
    opening tag, the teacher's thoughts are left out of it (the teacher supplies the positions alone [P]), and the
    suffix is what the author wrote up to the next place.
    """

    stream: StreamSpec
    """The documents: a miniature world's, or a ``TextStream`` over what ``tutelage think`` wrote, whose
    ``window_chars`` must be longer than any of them."""
    use: Use
    """Which half, and what for."""
    tags: Tags = Tags()
    """What thoughts stand between."""
    sft_share: float = 0.5
    """Share of the documents in the ``sft`` half, by a hash of their text."""
    after: int = 128
    """Most tokens of a suffix: the n that prediction and truth are clipped to; not public [C]."""
    thought_length: int = 384
    """Most tokens of a thought of the policy's, closing tag included [I]."""
    max_length: int = 2048
    """Most tokens of a chunk, a thought of the policy's included; of longer documents a run is used."""

    def __post_init__(self) -> None:
        require(self, "sft_share", at_least=0, at_most=1)
        require(self, "after", "thought_length", at_least=1)
        require(self, "max_length", at_least=self.suffix_length + 2)

    @property
    def suffix_length(self) -> int:
        """Most tokens that the policy writes: a thought, and what follows it."""
        return self.thought_length + self.after

    def build(self, seed: int, codec: Codec, split: str) -> "ThoughtReader":
        """The documents of one half of one keyed split."""
        return ThoughtReader(self, self.stream.build(seed, codec, split), seed, codec)


class ThoughtReader:
    """``ThoughtStream`` at work. The cursor is the other stream's own."""

    def __init__(self, spec: ThoughtStream, stream: Stream, seed: int, codec: Codec) -> None:
        self._spec = spec
        self._stream = stream
        self._seed = seed
        self._codec = codec
        names = ("thoughts_other_half", "thoughts_none", "thoughts_unreadable", "thoughts_too_long")
        self._events = Counter[str](dict.fromkeys(names, 0))
        self._why = ""

    @property
    def fingerprint(self) -> str:
        """Hex digest of the other stream and of what is made of it."""
        spec = self._spec
        lengths = (spec.after, spec.thought_length, spec.max_length)
        named = (self._stream.fingerprint, spec.use, spec.tags, spec.sft_share, lengths, self._seed)
        return blake2b(repr(named).encode(), digest_size=16).hexdigest()

    def counts(self) -> Mapping[str, int]:
        """The other stream's counts, and documents passed over: other half, no thought, unreadable tags, no room."""
        return {**self._stream.counts(), **self._events}

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return self._stream.start()

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """One chunk each of the next ``count`` documents that can be used, and the cursor after the last of them.

        Raises:
            StreamError: none of 10,000 documents in a row can be used; says why not.
        """
        kept: list[Chunk] = []
        barren = 0
        while len(kept) < count:
            # Never more are read than are still needed, so that reading three, then five, ends where eight does.
            needed = count - len(kept)
            chunks, cursor = self._stream.read(cursor, needed)
            documents = {chunk.document.key: chunk.document for chunk in chunks}.values()
            good = [chunk for chunk in map(self._chunk, documents) if chunk is not None]
            kept += good
            barren = 0 if good else barren + needed
            if barren >= BARREN:
                told = ", ".join(f"{number} {name}" for name, number in self._events.items())
                what = f"none of {barren:,} documents in a row can be used for {self._spec.use!r}"
                raise StreamError(f"{what} ({told}){self._why}")
        return tuple(kept), cursor

    def _chunk(self, document: Document) -> Chunk | None:
        spec = self._spec
        text = self._codec.decode(document.tokens)
        try:
            parts = spec.tags.parts(text)
        except ThoughtError as error:
            self._why = f"; of document {document.id}: {error}"
            return self._passed("thoughts_unreadable")
        if half_of("".join(parts[::2]), spec.sft_share) != spec.use:
            return self._passed("thoughts_other_half")
        match spec.use:
            case "sft":
                return self._whole(document, text, parts)
            case "rl":
                return self._at_a_place(document, parts)
            case _:
                assert_never(spec.use)

    def _passed(self, event: str) -> None:
        self._events[event] += 1

    def _whole(self, document: Document, text: str, parts: tuple[str, ...]) -> Chunk | None:
        """All of the document, or a keyed run of it."""
        spec = self._spec
        tokens = encode_parts(self._codec, spec.tags, text)
        if tokens is None:
            return self._passed("thoughts_unreadable")
        whole = Document(document.id, document.corpus, document.epoch, tokens)
        cut = len(self._codec.encode(parts[0])) if len(parts) > 1 else 0
        tokens = Tokens.join([tokens, Tokens([self._codec.eos])])
        start = 0
        if len(tokens) > spec.max_length:
            drawn = rng.below(len(tokens) - spec.max_length + 1, self._seed, "thinking window", *document.key)
            start = self._outside(tokens, parts, drawn)
        cut = min(max(cut, start + 1), start + spec.max_length - 1)
        return Chunk(whole, tokens[start:cut], tokens[cut : start + spec.max_length], cut)

    def _outside(self, tokens: Tokens, parts: tuple[str, ...], start: int) -> int:
        """``start``, or where the thought begins that it lies in."""

        def length(count: int) -> int:
            return len(self._codec.decode(tokens[:count]))

        reached, at = length(start), 0
        for i, part in enumerate(parts):
            end = at + len(self._spec.tags.wrap(part) if i % 2 else part)
            if i % 2 and at < reached < end:
                return bisect_left(range(start), at, key=length)
            at = end
        return start

    def _at_a_place(self, document: Document, parts: tuple[str, ...]) -> Chunk | None:
        """Up to the opening tag of one thought, and what the author wrote behind it."""
        spec, codec = self._spec, self._codec
        contents = parts[::2]
        places = [i for i in range(1, len(contents)) if contents[i].strip() and "".join(contents[:i]).strip()]
        if not places:
            return self._passed("thoughts_none")
        place = places[rng.below(len(places), self._seed, "thinking place", *document.key)]
        before = join_encoded(codec, ["".join(contents[:place])])
        opening, behind = codec.encode(spec.tags.opening), codec.encode(contents[place])
        room = spec.max_length - spec.suffix_length
        if before is None or len(opening) >= room:
            return self._passed("thoughts_too_long")
        start = max(0, len(before) + len(opening) - room)
        prefix = Tokens.join([before[start:], opening])
        whole = Document(document.id, document.corpus, document.epoch, Tokens.join([before, opening, behind]))
        return Chunk(whole, prefix, behind[: spec.after], len(before) + len(opening))
