"""A teacher that writes thoughts into whole documents, as a rewriter that works in bulk.

What comes out is compared with the document before anything is kept: whoever takes the thoughts out has the document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from tutelage import rng
from tutelage.maths.ranges import require
from tutelage.prompts import ThoughtPrompt, fence, places_of
from tutelage.protocols import Codec, Cursor, Prompt, Resources, Rewriter, Stream, StreamSpec, TextModel, TextModelSpec
from tutelage.stream import TextStream
from tutelage.stream.thoughtful import encode_parts
from tutelage.thoughts import ThoughtError
from tutelage.types import Absent, Abstained, Chunk, Tokens

ROOM = 1 << 20
"""Most tokens of a document with its thoughts: more than any window of text."""


@dataclass(frozen=True, slots=True)
class WholeDocuments:
    """The documents of another stream uncut: each is the suffix of an empty prefix."""

    stream: StreamSpec
    """Which documents. Of one that is longer than its ``window_chars`` only a window is read."""

    @property
    def suffix_length(self) -> int:
        """More tokens than any document and its thoughts have."""
        return ROOM

    def build(self, seed: int, codec: Codec, split: str) -> "WholeReader":
        """The documents of one keyed split; those of a ``TextStream`` with the text that they were made of."""
        if isinstance(self.stream, TextStream):
            return WholeReader(self.stream.reader(seed, codec, split, keep_text=True))
        return WholeReader(self.stream.build(seed, codec, split))


@dataclass(frozen=True, slots=True)
class WholeReader:
    """``WholeDocuments`` at work. The cursor is the other stream's own."""

    stream: Stream

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return self.stream.start()

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The next ``count`` documents, and the cursor after them."""
        chunks, after = self.stream.read(cursor, count)
        documents = {chunk.document.key: chunk.document for chunk in chunks}.values()
        return tuple(Chunk(document, Tokens([]), document.tokens, 0) for document in documents), after

    @property
    def fingerprint(self) -> str:
        """Hex digest of the other stream's."""
        return blake2b(f"whole {self.stream.fingerprint}".encode(), digest_size=16).hexdigest()

    def counts(self) -> Mapping[str, int]:
        """The other stream's counts."""
        return self.stream.counts()


@dataclass(frozen=True, slots=True)
class PromptThinker:
    """Writes thoughts into documents by a prompt over a text model."""

    model: TextModelSpec
    prompt: ThoughtPrompt = field(default_factory=ThoughtPrompt)
    piece: int = 4000
    """Characters of a document that are asked about at a time, the paper's L [I]: cut at a place for thoughts."""
    before: int = 4000
    """Characters before a piece that are shown with it [I]."""
    max_new_tokens: int = 2048
    """Longest answer in the model's own tokens [I]."""

    def __post_init__(self) -> None:
        require(self, "piece", "max_new_tokens", at_least=1)
        require(self, "before", at_least=0)

    def build(self, resources: Resources) -> Rewriter:
        """The working teacher, its model loaded."""
        return PromptedThinker(self, self.model.build(), resources)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document that one question is about."""

    start: int
    text: str
    places: tuple[int, ...]
    """Before these characters of ``text`` a thought may stand."""


def pieces_of(text: str, length: int, apart: int) -> list[Piece]:
    """``text`` in pieces of ``length`` characters or somewhat less, each with places; those without are left out."""
    places, found, start = places_of(text, apart), list[Piece](), 0
    while start < len(text):
        end = start + length
        if end < len(text):
            end = max((place for place in places if start < place <= end), default=end)
        end = min(end, len(text))
        # A place at the very end belongs to the next piece, which shows what comes behind it.
        inside = tuple(place - start for place in places if start <= place < end)
        if inside:
            found.append(Piece(start, text[start:end], inside))
        start = end
    return found


class PromptedThinker:
    """``PromptThinker`` at work."""

    def __init__(self, spec: PromptThinker, model: TextModel, resources: Resources) -> None:
        self._spec = spec
        self._model = model
        self._codec = resources.codec
        self._seed = resources.seed
        self._room = resources.suffix_length

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """Every document with thoughts in it, all pieces asked about in one call; a failure as ``Absent``."""
        spec = self._spec
        texts = [self._source(chunk) for chunk in chunks]
        pieces = [pieces_of(text, spec.piece, spec.prompt.apart) for text in texts]
        asked = [(i, piece) for i, mine in enumerate(pieces) for piece in mine]
        prompts = [self._ask(chunks[i], texts[i], piece) for i, piece in asked]
        seeds = [rng.seed(self._seed, "think", *chunks[i].key, piece.start) for i, piece in asked]
        answers = self._model.answer(prompts, seeds) if prompts else []
        found: list[dict[int, str] | Absent] = [{} for _ in chunks]
        for (i, piece), answer in zip(asked, answers, strict=True):
            found[i] = _joined(found[i], piece, self._read(answer, piece))
        return [self._written(text, thoughts) for text, thoughts in zip(texts, found, strict=True)]

    def _source(self, chunk: Chunk) -> str:
        """What the author wrote; of a document that came in tokens, what they say."""
        text = chunk.document.text
        return self._codec.decode(Tokens.join([chunk.prefix, chunk.suffix])) if text is None else text

    def _ask(self, chunk: Chunk, text: str, piece: Piece) -> Prompt:
        before = text[max(0, piece.start - self._spec.before) : piece.start]
        code = fence((before, piece.text), self._seed, *chunk.key)
        most = self._spec.max_new_tokens
        prompt = self._spec.prompt.ask(before, piece.text, piece.places, code=code, max_new_tokens=most)
        return replace(prompt, document="/".join(map(str, chunk.document.key)))

    def _read(self, answer: str | Absent, piece: Piece) -> Mapping[int, str] | Absent:
        read = answer if isinstance(answer, Absent) else self._spec.prompt.parse(answer, piece.text, piece.places)
        return Absent("think", read.reason) if isinstance(read, Absent | Abstained) else read

    def _written(self, text: str, thoughts: dict[int, str] | Absent) -> Tokens | Absent:
        """The document with its thoughts; one that failed in one of its pieces failed."""
        if isinstance(thoughts, Absent):
            return thoughts
        tags = self._spec.prompt.tags
        if tags.spelled_in(text):
            return Absent("think", f"the document itself spells {tags.opening!r} or {tags.closing!r}")
        try:
            found = tags.insert(text, thoughts)
        except ThoughtError as error:
            return Absent("think", str(error))
        tokens = encode_parts(self._codec, tags, found)
        if tokens is None:
            return Absent("think", "the tokenizer does not give the text back exactly")
        if len(tokens) > self._room:
            return Absent("think", f"{len(tokens)} tokens with its thoughts, more than the {self._room} of a row")
        return tokens


def _joined(known: dict[int, str] | Absent, piece: Piece, new: Mapping[int, str] | Absent) -> dict[int, str] | Absent:
    """The thoughts of a document with those of one more piece; its first failure stays."""
    if isinstance(known, Absent):
        return known
    if isinstance(new, Absent):
        return Absent(new.source, f"{new.reason} (from character {piece.start} on)")
    return known | {piece.start + place: thought for place, thought in new.items()}
