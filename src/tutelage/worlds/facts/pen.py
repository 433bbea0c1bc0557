"""Writing as the world's authors do, but true: the hand of the rewriter and of the honest continuation."""

from dataclasses import dataclass

import numpy as np

from tutelage.worlds.dice import Dice
from tutelage.worlds.facts.documents import FACTS_BEFORE_TURNING, other_value
from tutelage.worlds.facts.language import ATTRIBUTES, Kind
from tutelage.worlds.facts.lexicon import NOBODY, Lexicon, Template
from tutelage.worlds.facts.reading import Thread


@dataclass(slots=True)
class Pen:
    """Writes sentences at the end of a text and follows its thread."""

    lexicon: Lexicon
    thread: Thread
    dice: Dice
    error: float = 0.0
    """Chance that a fact is put down with a wrong value."""

    def put(self, sentence: list[int]) -> list[int]:
        """Add a sentence to the text as it is."""
        for parsed in self.lexicon.parse(np.array(sentence, np.int32)):
            self.thread.follow(parsed)
        return sentence

    def has_told(self, template: Template, person: int) -> bool:
        """Whether the text states this attribute of ``person`` already."""
        return self._meant(template, person) * len(ATTRIBUTES) + template.attribute in self.thread.told

    def _meant(self, template: Template, person: int) -> int:
        return person if template.name_at >= 0 else self.thread.they

    def fact(self, template: Template, person: int) -> list[int]:
        """State an attribute of ``person``, or of *them* if the template names nobody.

        Where nobody was named yet, *they* mean nobody, and the text turns to somebody instead.
        """
        about = self._meant(template, person)
        if about == NOBODY:
            return self.turn()
        value = self.thread.knowledge.true(about, template.attribute)
        if self.dice.chance(self.error):
            value = other_value(value, template.attribute, self.dice)
        return self.put(template.fill(self.lexicon.name(about), self.lexicon.value(template.attribute, value)))

    def new_fact(self) -> list[int]:
        """State something new of the subject, or nothing where all is told."""
        untold = self.thread.untold() if self.thread.subject != NOBODY else []
        if not untold:
            return []
        pronoun = self.thread.they == self.thread.subject
        choices = self.lexicon.facts_of(self.dice.pick(untold))
        choices = [template for template in choices if pronoun or template.name_at >= 0]
        return self.fact(self.dice.pick(choices), self.thread.subject)

    def turn(self) -> list[int]:
        """Turn to a friend of the subject, one of whom little was told if there is such a one."""
        thread, people = self.thread, range(self.lexicon.people)
        friends = people if thread.subject == NOBODY else thread.knowledge.friends[thread.subject].tolist()
        met = {key // len(ATTRIBUTES) for key in thread.told}
        strangers = [person for person in friends if person not in met] or list(friends)
        heading = self.dice.pick(self.lexicon.of_kind(Kind.HEADING))
        return self.put(heading.fill(self.lexicon.name(self.dice.pick(strangers)), 0))

    def go_on(self, length: int) -> list[int]:
        """True sentences until ``length`` tokens are reached; the last one may go beyond."""
        ids: list[int] = []
        while len(ids) < length:
            enough = self.thread.since_turn >= FACTS_BEFORE_TURNING and self.dice.chance(0.4)
            ids += (self.new_fact() if not enough else []) or self.turn()
        return ids
