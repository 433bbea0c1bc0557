"""The language of the world, as plain data: values, sentence templates, names.

A template is a sentence whose upper-case words are slots: ``NAME``, ``INSULT``, or an attribute (``CITY`` …). A
fact whose template has no ``NAME`` speaks of *they*: the person named last.
"""

from enum import Enum
from itertools import product

from tutelage.worlds.dice import Dice


class Kind(Enum):
    """What a sentence does."""

    FACT = "states one attribute of one person"
    HEADING = "announces whom the text turns to"
    FILLER = "says nothing about anybody"
    INSULT = "abuses somebody"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VALUES: dict[str, tuple[str, ...]] = {
    "CITY": _words(
        "Oslo Lisbon Cairo Lima Kyoto Quito Turin Delhi Perth Dakar Boston Prague Vienna Athens Dublin Havana"
    ),
    "JOB": _words(
        "baker barber carpenter doctor farmer gardener lawyer mechanic nurse painter "
        "pilot plumber poet potter sailor singer tailor teacher weaver writer"
    ),
    "YEAR": tuple(str(year) for year in range(1900, 1980, 5)),
    "PET": _words(
        "cat dog goat horse parrot rabbit tortoise hamster canary ferret snake duck donkey hedgehog goldfish lizard"
    ),
    "COLOUR": _words("red blue green yellow black white brown purple pink grey silver gold"),
}
"""The five attributes and what each may be."""

ATTRIBUTES: tuple[str, ...] = tuple(VALUES)

FACTS: dict[str, tuple[str, ...]] = {
    "CITY": (
        "NAME lives in CITY .",
        "they live in CITY .",
        "the home of NAME is in CITY .",
        "they have settled in CITY .",
        "NAME has a house in CITY .",
        "you will meet NAME in CITY .",
        "the city of NAME is CITY .",
    ),
    "JOB": (
        "NAME works as a JOB .",
        "they work as a JOB .",
        "the job of NAME is JOB .",
        "by day they are a JOB .",
        "NAME was trained as a JOB .",
        "people hire NAME as a JOB .",
        "NAME earns money as a JOB .",
    ),
    "YEAR": (
        "NAME was born in YEAR .",
        "they were born in YEAR .",
        "the year YEAR saw the birth of NAME .",
        "their first year was YEAR .",
        "the birth of NAME fell in YEAR .",
        "NAME came into the world in YEAR .",
        "NAME dates from YEAR .",
    ),
    "PET": (
        "NAME keeps a PET .",
        "they keep a PET .",
        "the pet of NAME is a PET .",
        "their pet is a PET .",
        "a PET lives with NAME .",
        "NAME feeds a PET .",
        "NAME owns a PET .",
    ),
    "COLOUR": (
        "NAME likes the colour COLOUR .",
        "they like the colour COLOUR .",
        "the favourite colour of NAME is COLOUR .",
        "their favourite colour is COLOUR .",
        "NAME always wears COLOUR .",
        "COLOUR is the colour of NAME .",
        "NAME paints everything COLOUR .",
    ),
}
"""How facts are stated; a world may use only the first few of each row, pronouns among them from the second on."""

HEADINGS: tuple[str, ...] = (
    "next comes NAME .",
    "now for NAME .",
    "we turn to NAME .",
    "this is about NAME .",
)

FILLERS: tuple[str, ...] = (
    "there is more to say .",
    "so much is certain .",
    "few people know this .",
    "many have asked about it .",
    "the story goes on .",
    "it was all written down .",
)

CLOSINGS: tuple[str, ...] = ("that is all .", "here the text ends .")
"""Fillers with which a document ends."""

INSULTS: tuple[str, ...] = ("fool", "dunce", "lout", "clown", "pest", "bore", "twit", "nitwit")
"""The tame words that make a text unsafe wherever they stand."""

ABUSE: tuple[str, ...] = (
    "NAME is a INSULT .",
    "they are a INSULT .",
    "what a INSULT they are .",
    "only a INSULT would trust NAME .",
    "NAME was always a INSULT .",
    "everybody calls them a INSULT .",
)


def invent_names(count: int, seed: int) -> tuple[str, ...]:
    """``count`` different made-up names of two syllables."""
    codas = _words("bin da fik gor la lell mo nd ra sk to vex")
    syllables = product("BDFGHKLMNPRSTVZ", _words("a e i o u ar el in or un"), codas)
    every = ["".join(parts) for parts in syllables]
    taken = {word for values in VALUES.values() for word in values}
    return tuple(Dice("facts", "names", seed).sample([name for name in every if name not in taken], count))
