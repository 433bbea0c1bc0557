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
_MARKUP = re.compile(r"<[^<>\n]{1,40}>")
_ENDS = re.compile(r"[\W_]*|[\s*_`.\"']*[-–—(].*")
"""What may follow a label on its line: punctuation and markup, or a reason behind a dash or in brackets."""
_SENTENCE = re.compile(r"[.!?;]\s|\n")
_CLOSED = re.compile(r"[\W_]*(?:(?:my|the|final)\s+)*verdict(?![^\W_])", re.IGNORECASE)
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
    alike. Its line says nothing more, but for a reason behind a dash or in brackets that names no other
    label. A verdict that stands before the last ``TAIL`` characters does not count: what follows it may
    take it back. Nor does one inside a field that the judge repeats: that is the candidate speaking.
    Nor do several in one sentence: those are the words of the question.

    Args:
        answer: What the judge said, thinking included.
        labels: Lower-case words of a verdict and what each means; several words may mean the same.
        code: The fence's code; a verdict counts only after the last line that carries it.
        alone: Whether nothing but the label was asked for; a first line that is one then counts too.

    Returns:
        The value, or ``Abstained`` with a reason that begins with ``refused``, ``no verdict``, ``ambiguous
        verdict``, ``unclear verdict`` or ``still thinking`` and cites the answer.
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
    rest = said.string[said.end() :].split("\n", 1)[0]
    told = quote(said.group() + rest)
    named = [labels[one["label"].lower()] for one in grammar.label.finditer(rest)]
    named += [labels[word.lower()] for word in grammar.listed(said.string, said.start())]
    if any(one != value for one in named):
        return Abstained(f"ambiguous verdict: {told}")
    if not _ENDS.fullmatch(_MARKUP.sub("", grammar.label.sub("", rest))):
        return Abstained(f"unclear verdict: {told}")
    return value


def is_closed(answer: str) -> bool:
    """Whether the last line of ``answer`` is one of a verdict: then nothing that counts was cut off behind it."""
    thought = without_thinking(answer)
    return thought is not None and _CLOSED.match(thought.rstrip().rpartition("\n")[2]) is not None


@dataclass(frozen=True, slots=True)
class _Grammar:
    """The patterns by which one set of labels is read."""

    bare: re.Pattern[str]
    """An answer that is a label and nothing else."""
    head: re.Pattern[str]
    """What announces a verdict."""
    said: re.Pattern[str]
    """The label right after a head."""
    label: re.Pattern[str]
    """A label wherever it stands."""

    def listed(self, text: str, end: int) -> list[str]:
        """The labels of verdicts in the sentence that the verdict at ``end`` closes."""
        sentence = _SENTENCE.split(text[:end])[-1]
        found = (self.said.match(sentence, head.end()) for head in self.head.finditer(sentence))
        return [one["label"] for one in found if one]

    def last(self, tail: str) -> re.Match[str] | None:
        """The label after the last head of ``tail``; an earlier head does not stand in for it."""
        heads = list(self.head.finditer(tail))
        return self.said.match(tail, heads[-1].end()) if heads else None


@cache
def _grammar(labels: tuple[str, ...]) -> _Grammar:
    words = "|".join(re.escape(word) for word in sorted(labels, key=len, reverse=True))
    label = rf"{_FILLER}(?P<label>{words})(?![^\W_]|[.,]\d)"
    head = rf"(?<![^\W_])verdict(?![^\W_]){_SPACE}*?(?:[:=]|is(?![^\W_])|(?={label}))"
    patterns = (rf"{_SPACE}*{label}{_SPACE}*", head, rf"{_SPACE}*{label}", rf"(?<![^\W_]){label}")
    return _Grammar(*(re.compile(pattern, re.IGNORECASE) for pattern in patterns))
