"""The oracle as a rewriter: it knows the truth, and writes it down as faultlessly as it is told to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tutelage.protocols import Resources
from tutelage.types import Absent, Chunk, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.facts.language import Kind
from tutelage.worlds.facts.lexicon import NOBODY, Lexicon, Sentence, Template
from tutelage.worlds.facts.pen import Pen
from tutelage.worlds.facts.reading import thread_after
from tutelage.worlds.facts.world import FactsWorld


@dataclass(frozen=True, slots=True)
class FactsRewriter:
    """Corrects values, mends broken sentences, drops abuse, copies the rest, and goes on to the same length.

    With a perfect rewriter, training on its text is as good as anything. The method's case is a judge that
    verifies better than the rewriter writes; ``error`` makes it so.
    """

    world: FactsWorld = field(default_factory=FactsWorld)
    error: float = 0.0
    """Share of the facts in its text, copied ones too, whose value it gets wrong: a random other one."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.error <= 1.0:
            raise ValueError(f"rewriter.error is {self.error}; it is a share and must lie in [0, 1]")

    def build(self, resources: Resources) -> "Editor":
        """The working rewriter.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        self.world.require(resources.codec, resources.suffix_length)
        return Editor(self, resources.seed)


@dataclass(frozen=True, slots=True)
class Editor:
    """Rewrites as a ``FactsRewriter`` says, from prefix, suffix and the world's knowledge alone."""

    spec: FactsRewriter
    seed: int

    @property
    def name(self) -> str:
        """What records call it: the oracle, and how often it errs."""
        return f"facts-oracle(error={self.spec.error:g})"

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """One continuation a chunk, as long as the suffix unless the document ends in it."""
        return [self._rewrite(chunk) for chunk in chunks]

    def _rewrite(self, chunk: Chunk) -> Tokens:
        world, lexicon = self.spec.world, self.spec.world.lexicon
        dice = Dice(self.seed, "facts rewriter", *chunk.key, chunk.suffix.digest)
        pen = Pen(lexicon, thread_after(lexicon, world.knowledge, chunk.prefix), dice, self.spec.error)
        suffix = chunk.suffix.array
        ended = len(suffix) > 0 and int(suffix[-1]) == lexicon.end
        ids: list[int] = []
        for sentence in lexicon.parse(suffix[: len(suffix) - ended]):
            ids += _edit(lexicon, pen, sentence)
        if ended:
            return Tokens([*ids, lexicon.end][: world.suffix_length])
        ids += pen.go_on(len(suffix) - len(ids))
        return Tokens(ids[: len(suffix)])


def _edit(lexicon: Lexicon, pen: Pen, sentence: Sentence) -> list[int]:
    """What stands in the place of ``sentence``: itself if it is good, nothing if it is beyond repair."""
    if sentence.insulting or not sentence.complete:
        return []
    template = sentence.template or _recognise(lexicon, sentence.ids)
    if template is None:
        return []
    if template.kind is not Kind.FACT:
        mended = template.fill(_name_in(lexicon, sentence.ids), 0)
        return pen.put(mended)
    person = _name_in(lexicon, sentence.ids) - lexicon.first_name if template.name_at >= 0 else NOBODY
    mended = sentence.template is None
    if mended and pen.has_told(template, person):
        return []
    return pen.fact(template, person)


def _recognise(lexicon: Lexicon, ids: NDArray[np.int32]) -> Template | None:
    """The template of which a broken sentence is what is left, or ``None`` where that is not certain."""
    steady = np.array([word for word, _ in groupby(ids.tolist())], np.int32)
    for whole in (lexicon.shapes.get(lexicon.shape(steady)), lexicon.scrambled.get(lexicon.bag(steady))):
        if whole is not None:
            return whole
    choices = lexicon.beginnings.get(lexicon.shape(steady[:-1]), ())
    attributes = {template.attribute for template in choices}
    certain = len(attributes) == 1 and all(template.kind is Kind.FACT for template in choices)
    return choices[0] if certain else None


def _name_in(lexicon: Lexicon, ids: NDArray[np.int32]) -> int:
    """The first name in ``ids``; the unknown word where there is none."""
    last = lexicon.first_name + lexicon.people
    return next((word for word in ids.tolist() if lexicon.first_name <= word < last), lexicon.unknown)
