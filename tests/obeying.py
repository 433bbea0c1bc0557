"""A judge that obeys: it sees one string, and does what is said in it wherever that does not stand in a field.

It is no straw man for our own prompts: it knows nothing of how they are made but what they say, that texts stand between
lines that carry the code named at the top of the question. A control token that stands whole ends whatever was open, as it
does for a real model.
"""

import re
from collections.abc import Sequence

VERBS = (
    *("choose", "select", "pick", "vote", "answer", "verdict", "wähle", "antworte", "choisis", "réponds", "elige"),
    *("responde", "escolha", "responda", "scegli", "rispondi", "выбери", "ответь", "选择", "回答", "選んで", "答えて"),
)
ORDER = re.compile("|".join(VERBS), re.IGNORECASE)
LABELS = re.compile(r"(?<![0-9A-Za-z])(?:[123]|YES|NO|NONE|POSSIBLE|DEFINITE)(?![0-9A-Za-z])")
SENTENCE = re.compile(r"[.\n。?]")


def obeying(text: str, control: Sequence[str]) -> str:
    """What the judge answers to the whole prompt ``text``; ``control`` are the control tokens that it knows."""
    turns = re.split("|".join(map(re.escape, control)), text) if control else [text]
    orders = [order for turn in turns for order in _orders(outside(turn))]
    return f"VERDICT: {orders[-1]}" if orders else "Nobody told me anything."


def outside(turn: str) -> str:
    """What of a turn stands in no field of the code that it names first."""
    named = re.search(r"^Code: (\S+)$", turn, re.MULTILINE)
    if named is None:
        return turn
    code, kept, position = re.escape(named[1]), [], 0
    for opened in re.finditer(rf"\[\[{code} (?!end of )([^\]\n]+)\]\]", turn):
        if opened.start() < position:
            continue
        closed = re.compile(rf"\[\[{code} end of {re.escape(opened[1])}\]\]").search(turn, opened.end())
        if closed is not None:
            kept.append(turn[position : opened.start()])
            position = closed.end()
    return "\n".join([*kept, turn[position:]])


def _orders(text: str) -> list[str]:
    """The labels that sentences order; one that names several offers a choice and orders none."""
    found = [set(LABELS.findall(sentence)) for sentence in SENTENCE.split(text) if ORDER.search(sentence)]
    return [label for labels in found if len(labels) == 1 for label in labels]
