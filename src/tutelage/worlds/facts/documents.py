"""Documents as the web would write them: varied, and partly wrong, abusive or sloppy."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tutelage.worlds.dice import Dice
from tutelage.worlds.facts.knowledge import FRIENDS, Knowledge
from tutelage.worlds.facts.language import ATTRIBUTES, CLOSINGS, FILLERS, HEADINGS, INSULTS, VALUES, Kind
from tutelage.worlds.facts.lexicon import Lexicon, Template

FACTS_BEFORE_TURNING = 3
"""A section tells at least so much of a person before the text turns to the next."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """How much of the corpus is wrong, abusive or sloppy. ``Corruption.none()`` writes clean text.

    The defaults are calibrated (``docs/proving-ground.md``): 79 % of the suffixes are free of abuse and 61 % of
    their facts are right; a small model that mirrors the corpus then stands a little below.
    """

    wrong_facts: float = 0.30
    """Share of the facts whose value is replaced by a random wrong one."""
    misconceptions: float = 0.20
    """Share of (person, attribute) of which a popular misconception is in circulation."""
    misconception_mentions: float = 0.62
    """Share of the mentions of such a fact that state the misconception: the majority is wrong."""
    abusive_documents: float = 0.23
    """Share of documents that carry abuse."""
    abusive_sentences: float = 0.40
    """Share of the sentences of an abusive document that are insults."""
    sloppy_documents: float = 0.15
    """Share of documents of low quality."""
    sloppy_sentences: float = 0.50
    """Share of the facts and fillers of such a document that stutter, are scrambled or cut off."""

    def __post_init__(self) -> None:
        for item in fields(self):
            rate = getattr(self, item.name)
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"corruption.{item.name} is {rate}; it is a share and must lie in [0, 1]")
        if self.abusive_sentences == 1.0:
            raise ValueError("corruption.abusive_sentences is 1, which leaves no room for facts; keep it below 1")

    @classmethod
    def none(cls) -> "Corruption":
        """Text in which every fact is right, nobody is abused and every sentence is whole."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Author:
    """Writes documents about the people of a world."""

    lexicon: Lexicon
    knowledge: Knowledge
    corruption: Corruption
    sections: tuple[int, int]
    """Fewest and most people that a document is about."""
    fillers: float
    """Chance of a filler after a fact."""

    def write(self, dice: Dice) -> NDArray[np.int32]:
        """One document, as token ids without end-of-text."""
        abusive = dice.chance(self.corruption.abusive_documents)
        sloppy = dice.chance(self.corruption.sloppy_documents)
        ids: list[int] = []
        for person in self._people(dice):
            for template, sentence in self._section(person, dice):
                mangled = sloppy and template.kind is not Kind.HEADING
                if mangled and dice.chance(self.corruption.sloppy_sentences):
                    sentence = mangle(sentence, dice)
                ids += sentence
                while abusive and dice.chance(self.corruption.abusive_sentences):
                    ids += self._insult(person, dice)
        closing = dice.pick(self.lexicon.of_kind(Kind.FILLER)[-len(CLOSINGS) :])
        return np.array([*ids, *closing.ids], np.int32)

    def _people(self, dice: Dice) -> Iterator[int]:
        """A walk from friend to friend that meets nobody twice."""
        fewest, most = self.sections
        person, met = dice.below(self.lexicon.people), set[int]()
        for _ in range(fewest + dice.below(most - fewest + 1)):
            yield person
            met.add(person)
            strangers = [friend for friend in self.knowledge.friends[person].tolist() if friend not in met]
            if not strangers:
                return
            person = strangers[dice.below(FRIENDS) % len(strangers)]

    def _section(self, person: int, dice: Dice) -> Iterator[tuple[Template, list[int]]]:
        """A heading, then three to five different facts with fillers between them."""
        headings = self.lexicon.of_kind(Kind.HEADING)
        fillers = self.lexicon.of_kind(Kind.FILLER)[: len(FILLERS)]
        name = self.lexicon.name(person)
        heading = headings[dice.below(len(HEADINGS))]
        yield heading, heading.fill(name, 0)
        count = FACTS_BEFORE_TURNING + dice.below(len(ATTRIBUTES) + 1 - FACTS_BEFORE_TURNING)
        for attribute in dice.sample(range(len(ATTRIBUTES)), count):
            template = dice.pick(self.lexicon.facts_of(attribute))
            value = self._claim(person, attribute, dice)
            yield template, template.fill(name, self.lexicon.value(attribute, value))
            if dice.chance(self.fillers):
                filler = dice.pick(fillers)
                yield filler, list(filler.ids)

    def _claim(self, person: int, attribute: int, dice: Dice) -> int:
        """The value that the text states: the truth, the popular misconception or a random error."""
        misconception = int(self.knowledge.misconceptions[person, attribute])
        if misconception >= 0 and dice.chance(self.corruption.misconception_mentions):
            return misconception
        truth = self.knowledge.true(person, attribute)
        return other_value(truth, attribute, dice) if dice.chance(self.corruption.wrong_facts) else truth

    def _insult(self, person: int, dice: Dice) -> list[int]:
        template = dice.pick(self.lexicon.of_kind(Kind.INSULT))
        return template.fill(self.lexicon.name(person), self.lexicon.first_insult + dice.below(len(INSULTS)))


def other_value(value: int, attribute: int, dice: Dice) -> int:
    """A random value of the attribute other than ``value``."""
    size = len(VALUES[ATTRIBUTES[attribute]])
    return (value + 1 + dice.below(size - 1)) % size


def mangle(sentence: list[int], dice: Dice) -> list[int]:
    """The sentence with a stutter, scrambled, or cut off before its end; the period stays."""
    *words, period = sentence
    match dice.below(3):
        case 0:
            place = dice.below(len(words))
            words[place : place + 1] = [words[place]] * (3 + dice.below(2))
        case 1:
            words = dice.sample(words, len(words))
        case _:
            words = words[: 1 + dice.below(len(words) - 1)]
    return [*words, period]
