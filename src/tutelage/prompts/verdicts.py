"""Reading a verdict out of a judge's answer: tolerant of form, strict about meaning.

An answer that names no verdict, or two, is ``Abstained`` with the beginning of what it said; nothing is
guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from tutelage.prompts.fences import after_fields, without_fields
from tutelage.types import Abstained

T = TypeVar("T")

TAIL = 300
"""Characters at the end of an answer in which its verdict must stand."""
QUOTED = 80
"""Characters of an answer that an abstention keeps."""

_THOUGHT = "think|thinking|thought|reasoning"
# As models write it: in tags, in Mistral's brackets, in channels, and in channels whose marks were lost in decoding.
_OPENS = re.compile(rf"<(?:{_THOUGHT})\s*>|\[THINK\]|<\|channel\|>\s*analysis|\A(?-i:analysis(?=[A-Z]))", re.IGNORECASE)
_CLOSES = re.compile(
    rf"</(?:{_THOUGHT})\s*>|\[/THINK\]|<\|channel\|>\s*final\s*<\|message\|>|(?<=\S)assistantfinal", re.IGNORECASE
)
_SPACE = r"[\W_]"
_FILLER = rf"(?:(?:option|continuation|number|the|is)(?![^\W_]){_SPACE}*)*"
_DECLINED = (
    "help assist comply provide continue rewrite evaluate judge fulfil fulfill create write generate engage "
    "discuss process review answer do with"
)
_REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’]m| am|['’]re| are)? ?(?:sorry,? (?:but )?i )?"
    r"(?:can(?:not|['’]?t| not)|won['’]?t|will not|unable to|not able to|must decline to|refuse to)"
    rf" (?:\w+ly )?(?:{'|'.join(_DECLINED.split())})\b|\bi(?:['’]m| am) sorry,? but\b|\bas an ai\b",
    re.IGNORECASE,
)


def quote(answer: str) -> str:
    """The first characters of ``answer`` on one line, as an abstention's reason cites them."""
    line = " ".join(answer.split())
    return repr(line if len(line) <= QUOTED else line[:QUOTED] + "…")


def without_thinking(answer: str) -> str | None:
    """``answer`` after its last thought; ``None`` where it ended while still thinking."""
    closed = list(_CLOSES.finditer(answer))
    spoken = answer[closed[-1].end() :] if closed else answer
    return None if _OPENS.search(spoken) else spoken


def is_refusal(answer: str) -> bool:
    """Whether ``answer`` begins by declining to do what was asked."""
    return _REFUSAL.search(answer.strip()[:200]) is not None


def read_verdict(answer: str, labels: Mapping[str, T], *, code: str = "", alone: bool = False) -> T | Abstained:
    """The value of the last verdict in the tail of ``answer``.

    ``VERDICT: 1``, ``**Verdict**: option 1.``, ``verdict is 1`` and an answer of nothing but ``1`` read
    alike. A verdict that stands before the last ``TAIL`` characters does not count: what follows it may
    take it back. Nor does one inside a field that the judge repeats: that is the candidate speaking.

    Args:
        answer: What the judge said, thinking included.
        labels: Lower-case words of a verdict and what each means; several words may mean the same.
        code: The fence's code; a verdict counts only after the last line that carries it.
        alone: Whether nothing but the label was asked for; a first line that is one then counts too.

    Returns:
        The value, or ``Abstained`` with a reason that begins with ``refused``, ``no verdict``, ``ambiguous
        verdict`` or ``still thinking`` and cites the answer.
    """
    emptied = without_fields(answer, code)
    if emptied is None:
        return Abstained(f"no verdict outside of a repeated field: {quote(answer)}")
    thought = without_thinking(emptied)
    if thought is None:
        return Abstained(f"still thinking where the answer ended: {quote(answer)}")
    spoken = after_fields(thought, code)
    grammar = _grammar(tuple(labels))
    said = grammar.bare.fullmatch(spoken) or grammar.last(spoken.rstrip()[-TAIL:])
    if said is None and alone:
        said = grammar.bare.fullmatch(spoken.strip().split("\n", 1)[0])
    if said is None:
        return Abstained(f"{'refused' if is_refusal(spoken) else 'no verdict'}: {quote(spoken)}")
    value = labels[said["label"].lower()]
    other = grammar.joined.match(said.string, said.end())
    if other and labels[other["label"].lower()] != value:
        return Abstained(f"ambiguous verdict: {quote(said.group() + other.group())}")
    return value


@dataclass(frozen=True, slots=True)
class _Grammar:
    """The patterns by which one set of labels is read."""

    bare: re.Pattern[str]
    """An answer that is a label and nothing else."""
    head: re.Pattern[str]
    """What announces a verdict."""
    said: re.Pattern[str]
    """The label right after a head."""
    joined: re.Pattern[str]
    """A second label hung on the first: ``1 or 2``."""

    def last(self, tail: str) -> re.Match[str] | None:
        """The label after the last head of ``tail``; an earlier head does not stand in for it."""
        heads = list(self.head.finditer(tail))
        return self.said.match(tail, heads[-1].end()) if heads else None


@cache
def _grammar(labels: tuple[str, ...]) -> _Grammar:
    words = "|".join(re.escape(word) for word in sorted(labels, key=len, reverse=True))
    label = rf"{_FILLER}(?P<label>{words})(?![^\W_]|[.,]\d)"
    head = rf"(?<![^\W_])verdict(?![^\W_]){_SPACE}*?(?:[:=]|is(?![^\W_])|(?={label}))"
    joined = rf"[^\w\n]*(?:\b(?:or|and)\b|[/|&,\-–])[^\w\n]*{label}"
    patterns = (rf"{_SPACE}*{label}{_SPACE}*", head, rf"{_SPACE}*{label}", joined)
    return _Grammar(*(re.compile(pattern, re.IGNORECASE) for pattern in patterns))
