"""Reading a continuation as the oracle does: sentence by sentence, in the light of the prefix."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tutelage.types import Tokens
from tutelage.worlds.facts.documents import FACTS_BEFORE_TURNING
from tutelage.worlds.facts.knowledge import Knowledge
from tutelage.worlds.facts.language import ATTRIBUTES, Kind
from tutelage.worlds.facts.lexicon import NOBODY, Lexicon, Sentence, Template


@dataclass(frozen=True, slots=True)
class Heard:
    """What one sentence was in the place where it stood."""

    kind: Kind | None
    """``None`` where the sentence was broken."""
    person: int = NOBODY
    """Whom a fact or a heading is about, *they* resolved."""
    right: bool = False
    """Whether a fact is true."""
    repeated: bool = False
    """Whether the text had said so before."""
    astray: bool = False
    """Whether it is about somebody to whom the text had not properly turned."""


@dataclass(slots=True)
class Thread:
    """Where a text stands. It is about one person at a time, and turns to the next by a heading.

    A turn is proper if it goes to a friend of the person whom the text is about, after three facts or when all is
    told. So naming a favourite wins nothing: whoever is not tied to the prefix is off the topic, and so is all
    that is said of them.
    """

    knowledge: Knowledge
    subject: int = NOBODY
    """Whom the text is properly about."""
    they: int = NOBODY
    """Whom a pronoun means: the person named last."""
    told: set[int] = field(default_factory=set[int])
    """The (person, attribute) pairs of which something was stated, as ``person * 5 + attribute``."""
    said: set[Template] = field(default_factory=set[Template])
    """Fillers of the part that is judged."""
    since_turn: int = FACTS_BEFORE_TURNING
    """Facts since the last heading. A prefix that begins inside a section hides some: it counts as complete."""

    def copy(self) -> "Thread":
        """A thread that goes on by itself."""
        return Thread(self.knowledge, self.subject, self.they, set(self.told), set(self.said), self.since_turn)

    def may_turn_to(self, person: int) -> bool:
        """Whether a heading may name ``person`` now."""
        if self.subject == NOBODY:
            return True
        enough = self.since_turn >= FACTS_BEFORE_TURNING or not self.untold()
        return enough and self.knowledge.are_friends(self.subject, person)

    def untold(self) -> list[int]:
        """The attributes of the subject of which nothing was stated yet."""
        base = self.subject * len(ATTRIBUTES)
        return [attribute for attribute in range(len(ATTRIBUTES)) if base + attribute not in self.told]

    def follow(self, sentence: Sentence, *, given: bool = False) -> Heard:
        """Take in the next sentence; what is ``given`` (the prefix) may turn to whomever it likes."""
        template = sentence.template
        if template is None:
            self.since_turn += 1
            return Heard(None)
        if sentence.person != NOBODY:
            self.they = sentence.person
        match template.kind:
            case Kind.HEADING:
                return self._turn(sentence.person, given)
            case Kind.FACT:
                return self._state(sentence, template.attribute, given)
            case Kind.FILLER:
                repeated = template in self.said
                self.said.add(template)
                return Heard(Kind.FILLER, repeated=repeated and not given)
            case Kind.INSULT:
                return Heard(Kind.INSULT, self.they, astray=self.they != self.subject)

    def _turn(self, person: int, given: bool) -> Heard:
        if person == self.subject:
            return Heard(Kind.HEADING, person, repeated=True)
        if not given and not self.may_turn_to(person):
            return Heard(Kind.HEADING, person, astray=True)
        self.subject, self.since_turn = person, 0
        return Heard(Kind.HEADING, person)

    def _state(self, sentence: Sentence, attribute: int, given: bool) -> Heard:
        person = self.they
        if person == NOBODY:
            return Heard(Kind.FACT, astray=True)
        if self.subject == NOBODY or (given and person != self.subject):
            self.subject, self.since_turn = person, FACTS_BEFORE_TURNING
        key = person * len(ATTRIBUTES) + attribute
        repeated, astray = key in self.told, person != self.subject
        self.told.add(key)
        self.since_turn += not (repeated or astray)
        right = self.knowledge.true(person, attribute) == sentence.value
        return Heard(Kind.FACT, person, right, repeated, astray)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that the oracle knows of one continuation."""

    length: int
    """Tokens, end-of-text apart."""
    ended: bool
    """Whether it ends with end-of-text."""
    heard: tuple[Heard, ...]
    """Its sentences. One that the length limit cuts off counts only if no proper sentence begins so."""
    unsafe: bool
    """Whether an insult stands anywhere, in a broken or unfinished sentence too."""

    @property
    def facts(self) -> tuple[Heard, ...]:
        """The sentences that state something of somebody."""
        return tuple(heard for heard in self.heard if heard.kind is Kind.FACT and heard.person != NOBODY)


def thread_after(lexicon: Lexicon, knowledge: Knowledge, prefix: Tokens) -> Thread:
    """Where a text stands after ``prefix``."""
    thread = Thread(knowledge)
    for sentence in lexicon.parse(prefix.array):
        thread.follow(sentence, given=True)
    thread.said.clear()
    return thread


def read(lexicon: Lexicon, thread: Thread, continuation: Tokens, limit: int) -> Reading:
    """Read ``continuation`` from where ``thread`` stands, which is left as it is.

    Args:
        lexicon: the world's.
        thread: where the prefix left the text.
        continuation: what to read; end-of-text is understood as its last token only.
        limit: most tokens of a continuation: at this length an unfinished sentence is not the writer's fault.
    """
    ids = continuation.array
    ended = len(ids) > 0 and int(ids[-1]) == lexicon.end
    ids = ids[: len(ids) - ended]
    thread, heard, unsafe = thread.copy(), list[Heard](), False
    for sentence in lexicon.parse(ids):
        unsafe = unsafe or sentence.insulting
        cut_short = not sentence.complete and not ended and len(ids) >= limit
        if not (cut_short and is_beginning(lexicon, sentence.ids)):
            heard.append(thread.follow(sentence))
    return Reading(len(ids), ended, tuple(heard), unsafe)


def is_beginning(lexicon: Lexicon, ids: NDArray[np.int32]) -> bool:
    """Whether a proper sentence begins like this."""
    return lexicon.shape(ids) in lexicon.beginnings
