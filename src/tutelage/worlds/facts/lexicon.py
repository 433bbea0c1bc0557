"""Words as token ids, sentences as shapes.

The *shape* of a sentence is its ids with every name, value and insult replaced by its class. All sentences of
one template have one shape, so parsing is a dictionary look-up: no string is touched after the lexicon is made.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tutelage.worlds.facts.language import (
    ABUSE,
    ATTRIBUTES,
    CLOSINGS,
    FACTS,
    FILLERS,
    HEADINGS,
    INSULTS,
    VALUES,
    Kind,
)
from tutelage.worlds.words import END_OF_TEXT, UNKNOWN

NOBODY = -1
"""In the place of a person: none is named."""


@dataclass(frozen=True, slots=True)
class Template:
    """One way to put a sentence, as token ids with slots."""

    kind: Kind
    ids: tuple[int, ...]
    """Slots hold any member of their class; the period is included."""
    name_at: int = -1
    """Position of the name, -1 where there is none."""
    slot_at: int = -1
    """Position of the value or insult, -1 where there is none."""
    attribute: int = -1
    """Index into ``ATTRIBUTES`` of a fact."""

    def fill(self, name: int, slot: int) -> list[int]:
        """The sentence with these ids in its slots; an id without a slot is ignored."""
        ids = list(self.ids)
        if self.name_at >= 0:
            ids[self.name_at] = name
        if self.slot_at >= 0:
            ids[self.slot_at] = slot
        return ids


@dataclass(frozen=True, slots=True)
class Sentence:
    """A parsed sentence, without its context: *they* is not resolved yet."""

    ids: NDArray[np.int32]
    template: Template | None
    """``None`` where the words fit no template: a broken sentence, or one that is cut off."""
    person: int
    """Who is named; ``NOBODY`` for *they* and for sentences about nobody."""
    value: int
    """Which value of the attribute a fact states, -1 elsewhere."""
    insulting: bool
    """Whether an insult stands in it, whatever else it says."""
    complete: bool
    """Whether it ends with a period."""


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Every word of a world, and every sentence that can be made of them."""

    words: tuple[str, ...]
    """The word of every id: end-of-text, unknown, names, values, insults, then the rest."""
    people: int
    first_value: tuple[int, ...]
    """The id of the first value of every attribute; the others follow it."""
    by_kind: dict[Kind, tuple[Template, ...]] = field(repr=False)
    """The templates of every kind, in the order of the language."""
    classes: NDArray[np.int32] = field(repr=False)
    """The id that stands for every id in a shape, shape ``(len(words),)``."""
    shapes: dict[bytes, Template] = field(repr=False)
    scrambled: dict[bytes, Template] = field(repr=False)
    """Templates by what their sentences have in common in whatever order."""
    beginnings: dict[bytes, tuple[Template, ...]] = field(repr=False)
    """Shapes of unfinished sentences, each with the templates that begin like this."""

    end: int = 0
    unknown: int = 1
    first_name: int = 2

    @property
    def period(self) -> int:
        """The id of the full stop."""
        return self.by_kind[Kind.FACT][0].ids[-1]

    @property
    def first_insult(self) -> int:
        """The id of the first insult; the others follow it."""
        return self.first_value[-1] + len(VALUES[ATTRIBUTES[-1]])

    def of_kind(self, kind: Kind) -> tuple[Template, ...]:
        """The templates of one kind, in the order of the language."""
        return self.by_kind[kind]

    def facts_of(self, attribute: int) -> tuple[Template, ...]:
        """The templates that state an attribute."""
        facts = self.by_kind[Kind.FACT]
        each = len(facts) // len(VALUES)
        return facts[attribute * each : (attribute + 1) * each]

    def name(self, person: int) -> int:
        """The id of a person's name."""
        return self.first_name + person

    def value(self, attribute: int, value: int) -> int:
        """The id of a value of an attribute."""
        return self.first_value[attribute] + value

    def known(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """``ids`` with those outside the vocabulary (a padded model may write them) as unknown words."""
        return np.where((ids >= 0) & (ids < len(self.words)), ids, self.unknown)

    def shape(self, ids: NDArray[np.int32]) -> bytes:
        """What sentences of one template have in common."""
        return self.classes[ids].tobytes()

    def bag(self, ids: NDArray[np.int32]) -> bytes:
        """What sentences of one template have in common when their words are scrambled."""
        return np.sort(self.classes[ids]).tobytes()

    def parse(self, ids: NDArray[np.int32]) -> list[Sentence]:
        """The sentences of a text, in order; what follows the last period is an incomplete one."""
        ids = self.known(ids)
        stops = (np.flatnonzero(ids == self.period) + 1).tolist()
        if len(ids) and (not stops or stops[-1] < len(ids)):
            stops.append(len(ids))
        return [self._sentence(ids[start:stop]) for start, stop in pairwise([0, *stops])]

    def _sentence(self, ids: NDArray[np.int32]) -> Sentence:
        template = self.shapes.get(self.shape(ids))
        words = ids.tolist()
        person, value = NOBODY, -1
        if template is not None and template.name_at >= 0:
            person = words[template.name_at] - self.first_name
        if template is not None and template.kind is Kind.FACT:
            value = words[template.slot_at] - self.first_value[template.attribute]
        first = self.first_insult
        insulting = any(first <= word < first + len(INSULTS) for word in words)
        return Sentence(ids, template, person, value, insulting, complete=words[-1] == self.period)


def make_lexicon(names: tuple[str, ...], templates_per_attribute: int) -> Lexicon:
    """The lexicon of a world with these people."""
    texts = [(Kind.FACT, text) for rows in FACTS.values() for text in rows[:templates_per_attribute]]
    texts += [(Kind.HEADING, text) for text in HEADINGS]
    texts += [(Kind.FILLER, text) for text in (*FILLERS, *CLOSINGS)]
    texts += [(Kind.INSULT, text) for text in ABUSE]
    slots: dict[str, tuple[str, ...]] = {"NAME": names, **VALUES, "INSULT": INSULTS}
    words = [END_OF_TEXT, UNKNOWN, *(word for members in slots.values() for word in members)]
    words = list(dict.fromkeys([*words, *(w for _, text in texts for w in text.split() if w not in slots)]))
    ids = {word: index for index, word in enumerate(words)}
    classes = np.arange(len(words), dtype=np.int32)
    for members in slots.values():
        classes[[ids[word] for word in members]] = ids[members[0]]
    templates = tuple(_template(kind, text, ids, slots) for kind, text in texts)
    shapes = [classes[list(template.ids)] for template in templates]
    beginnings: dict[bytes, tuple[Template, ...]] = {}
    for shape, template in zip(shapes, templates, strict=True):
        for length in range(1, len(shape)):
            key = shape[:length].tobytes()
            beginnings[key] = (*beginnings.get(key, ()), template)
    first_value = tuple(ids[members[0]] for members in VALUES.values())
    by_kind = {kind: tuple(template for template in templates if template.kind is kind) for kind in Kind}
    return Lexicon(
        words=tuple(words),
        people=len(names),
        first_value=first_value,
        by_kind=by_kind,
        classes=classes,
        shapes={shape.tobytes(): template for shape, template in zip(shapes, templates, strict=True)},
        scrambled={np.sort(shape).tobytes(): t for shape, t in zip(shapes, templates, strict=True)},
        beginnings=beginnings,
    )


def _template(kind: Kind, text: str, ids: dict[str, int], slots: dict[str, tuple[str, ...]]) -> Template:
    words = text.split()
    name_at = words.index("NAME") if "NAME" in words else -1
    slot_at, attribute = -1, -1
    for place, word in enumerate(words):
        if word in slots and word != "NAME":
            slot_at = place
            attribute = ATTRIBUTES.index(word) if word in VALUES else -1
    filled = tuple(ids[slots[word][0] if word in slots else word] for word in words)
    return Template(kind, filled, name_at, slot_at, attribute)
