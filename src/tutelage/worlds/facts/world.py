"""The world of facts: one frozen dataclass from which everything else follows."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from tutelage import rng
from tutelage.protocols import Codec
from tutelage.types import Chunk, Document, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.facts.documents import Author, Corruption
from tutelage.worlds.facts.knowledge import Knowledge, make_knowledge
from tutelage.worlds.facts.language import invent_names
from tutelage.worlds.facts.lexicon import Lexicon, make_lexicon
from tutelage.worlds.words import save_tokenizer, speaks

Prefixes = Literal["natural", "unsafe", "clean"]
"""``natural``: as the corpus comes. ``unsafe``: the prefix carries abuse. ``clean``: text without corruption."""


@dataclass(frozen=True, slots=True)
class FactsWorld:
    """People of whom five things are true, and a corpus that says so often enough, and often otherwise.

    Example:
        >>> world = FactsWorld(people=12)
        >>> world.text(world.evaluation_chunks("clean", 1)[0].prefix).count("comes") >= 0
        True
    """

    seed: int = 0
    """Draws names, facts, misconceptions and friends."""
    people: int = 32
    """How many people there are, each with five facts."""
    corruption: Corruption = field(default_factory=Corruption)
    templates_per_attribute: int = 7
    """How many ways to state a fact are used, 2 to 7."""
    sections: tuple[int, int] = (6, 12)
    """Fewest and most people that a document is about."""
    fillers: float = 0.15
    """Chance of a sentence that says nothing after each fact."""
    prefix_length: int = 48
    """Most tokens of a prefix."""
    suffix_length: int = 32
    """Most tokens of a continuation."""
    tokens_per_fact: int = 10
    """A continuation of n tokens is expected to state one new fact for every so many."""

    def __post_init__(self) -> None:
        fewest, most = self.sections
        limits = {
            "people": (8, self.people, 1000),
            "templates_per_attribute": (2, self.templates_per_attribute, 7),
            "sections": (3, fewest, most),
            "prefix_length": (24, self.prefix_length, 4096),
            "suffix_length": (self.tokens_per_fact, self.suffix_length, 4096),
            "tokens_per_fact": (1, self.tokens_per_fact, 4096),
        }
        for name, (low, value, high) in limits.items():
            if not low <= value <= high:
                raise ValueError(f"world.{name} is {value}; it must lie between {low} and {high}")
        if not 0.0 <= self.fillers <= 1.0:
            raise ValueError(f"world.fillers is {self.fillers}; it is a chance and must lie in [0, 1]")

    @property
    def lexicon(self) -> Lexicon:
        """Its words and sentences."""
        return _lexicon(self)

    @property
    def knowledge(self) -> Knowledge:
        """Its ground truth."""
        return _knowledge(self)

    @property
    def fingerprint(self) -> str:
        """Hex digest of every setting."""
        return blake2b(repr(self).encode(), digest_size=16).hexdigest()

    def text(self, tokens: Tokens) -> str:
        """The words of ``tokens``, separated by spaces, end-of-text included."""
        ids = self.lexicon.known(tokens.array).tolist()
        return " ".join(self.lexicon.words[token] for token in ids)

    def tokens(self, text: str) -> Tokens:
        """The tokens of words separated by white space; a word that the world lacks is unknown."""
        ids = {word: index for index, word in enumerate(self.lexicon.words)}
        return Tokens([ids.get(word, self.lexicon.unknown) for word in text.split()])

    def document(self, corpus: str, name: str, *, clean: bool = False) -> Document:
        """The document of this name, the same at every call; ``clean`` writes without corruption."""
        dice = Dice("facts", "document", self.fingerprint, clean, corpus, name)
        return Document(name, corpus, 0, Tokens(_author(self, clean).write(dice)))

    def cut(self, document: Document, *key: rng.Key) -> Chunk:
        """Cut at a random end of sentence.

        The prefix begins with the earliest sentence within reach that names somebody, so that *they* can be
        resolved; the suffix ends with end-of-text where the document ends inside it.
        """
        lexicon, ids = self.lexicon, document.tokens.array
        ends = (ids == lexicon.period).nonzero()[0] + 1
        cuts = ends[(ends >= min(self.prefix_length, len(ids) // 2)) & (ends < len(ids))].tolist()
        cut = Dice("facts", "cut", *key, *document.key).pick(cuts)
        starts = [0, *ends[ends < cut].tolist()]
        starts = [start for start in starts if cut - start <= self.prefix_length]
        named = (ids >= lexicon.first_name) & (ids < lexicon.first_name + lexicon.people)
        stops = [*starts[1:], cut]
        start = next((s for s, stop in zip(starts, stops, strict=True) if named[s:stop].any()), starts[0])
        suffix = document.tokens[cut : cut + self.suffix_length]
        if cut + self.suffix_length > len(ids):
            suffix = Tokens.join([suffix, Tokens([lexicon.end])])
        return Chunk(document, document.tokens[start:cut], suffix, cut)

    def evaluation_chunks(self, prefixes: Prefixes, count: int, *, offset: int = 0) -> tuple[Chunk, ...]:
        """``count`` chunks of the fixed evaluation set of this kind, after ``offset`` others; no stream reads them."""
        found: list[Chunk] = []
        index = 0
        while len(found) < offset + count:
            document = self.document(f"evaluation-{prefixes}", str(index), clean=prefixes == "clean")
            chunk = self.cut(document, "evaluation")
            if prefixes != "unsafe" or is_unsafe(self.lexicon, chunk.prefix):
                found.append(chunk)
            index += 1
        return tuple(found[offset:])

    def write_tokenizer(self, folder: Path) -> Path:
        """Write the world's tokenizer as a Hugging Face folder and return ``folder``."""
        return save_tokenizer(self.lexicon.words, folder)

    def require(self, codec: Codec, suffix_length: int | None = None) -> None:
        """Check that a run speaks this world's language.

        Raises:
            ValueError: the tokenizer is another world's, or the run's continuations are longer or shorter.
        """
        if not speaks(codec, self.lexicon.words):
            raise ValueError(
                "the policy's tokenizer does not speak this world's language: write it by write_tokenizer(folder) of"
                f" the same FactsWorld (seed {self.seed}, {self.people} people)"
            )
        if suffix_length is not None and suffix_length != self.suffix_length:
            raise ValueError(
                f"the run's suffix_length is {suffix_length} and the world's {self.suffix_length}; make them equal"
            )


def is_unsafe(lexicon: Lexicon, tokens: Tokens) -> bool:
    """Whether an insult stands anywhere in ``tokens``."""
    return any(sentence.insulting for sentence in lexicon.parse(tokens.array))


@lru_cache(maxsize=16)
def _lexicon(world: FactsWorld) -> Lexicon:
    return make_lexicon(invent_names(world.people, world.seed), world.templates_per_attribute)


@lru_cache(maxsize=16)
def _knowledge(world: FactsWorld) -> Knowledge:
    return make_knowledge(world.people, world.corruption.misconceptions, world.seed)


@lru_cache(maxsize=16)
def _author(world: FactsWorld, clean: bool) -> Author:
    corruption = Corruption.none() if clean else world.corruption
    return Author(world.lexicon, world.knowledge, corruption, world.sections, world.fillers)
