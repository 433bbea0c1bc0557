"""The request for thoughts between the sentences of a text, beside the parser of what comes back.

The teacher sees the text with numbered places in it and says what to think at which; it never writes the text again, so
that it has no occasion to change it. One that returns the text with thoughts between tags is understood all the same,
and its text is compared [I]; the paper's teacher always does that [P Fig. 19].
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutelage.prompts.fences import NOTICE, field
from tutelage.prompts.verdicts import is_refusal, quote
from tutelage.protocols import Prompt
from tutelage.thoughts import Tags, ThoughtError, require_same
from tutelage.types import Abstained

_THINK = (
    "You make a text easier to learn from. Authors leave out what they thought while they wrote: steps of a "
    "computation, what they recalled, what they were after, how they checked themselves. You see a part of a text in "
    "which places are marked and numbered. Choose the places where a reader who is asked to go on could do so only "
    "after some thought, and write down that thought, in the first person, as it would have gone before the next words "
    "were known: first what is to be done, then the steps that lead to what comes next. Do not quote what comes next, "
    "do not speak of the author or of these instructions, and choose no place where nothing needs to be thought."
)
_HOW = (
    "Answer with one paragraph for each place that you choose, in order, which begins with PLACE, its number and a "
    "colon: PLACE 3: So far I have … Leave the other places out. Do not repeat the text. If no place needs a thought, "
    "answer NONE."
)
_PLACE = re.compile(r"^[^\w\n]*PLACE\s+(\d+)[^\w\n:]*:[\s*_]*", re.MULTILINE | re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?:;])[\"')\]]*\s+(?=\S)|\n\s*(?=\S)|(?<=[。！？])")


def places_of(text: str, apart: int) -> tuple[int, ...]:
    """Characters of ``text`` before which a thought may stand: after sentences and lines, ``apart`` or more apart.

    White space stays before the thought, so that what follows a thought begins with a word.
    """
    found: list[int] = []
    for sentence in _SENTENCE.finditer(text):
        if sentence.end() - (found[-1] if found else 0) >= apart:
            found.append(sentence.end())
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ThoughtPrompt:
    r"""What to think at which of the numbered places of a text.

    Example:
        >>> text, places = "I add 2 to 3 and 4. It makes 9.", (20,)
        >>> ThoughtPrompt().parse("PLACE 1: 3 and 4 are 7.", text, places)
        {20: '3 and 4 are 7.'}
    """

    rubric: str = _THINK
    """What the model is told before it sees any text."""
    apart: int = 80
    """Fewest characters between two places [I]."""
    tags: Tags = Tags()
    """What thoughts will stand between."""

    def ask(self, before: str, text: str, places: Sequence[int], *, code: str, max_new_tokens: int) -> Prompt:
        """The request; ``before`` is what stands before ``text`` in its document, shown but not marked."""
        marked, last = "", 0
        for number, place in enumerate(places, 1):
            marked += f"{text[last:place]}[[{code} place {number}]]"
            last = place
        fields = (
            f"Code: {code}",
            field(code, "what came before", before),
            field(code, "text", marked + text[last:]),
            _HOW,
        )
        return Prompt(f"{self.rubric}\n\n{NOTICE}", "\n\n".join(fields), max_new_tokens=max_new_tokens)

    def parse(self, answer: str, text: str, places: Sequence[int]) -> Mapping[int, str] | Abstained:
        """The thoughts of ``answer`` by the character of ``text`` that they stand before; none for ``NONE``.

        Returns:
            ``Abstained`` where the teacher refused, named a place that there is not or one twice, spelled a tag in a
            thought, gave the text back changed, or where its answer cannot be read.
        """
        answer = self._spoken(answer)
        if self.tags.spelled_in(answer):
            return self._interleaved(answer, text)
        heads = list(_PLACE.finditer(answer))
        if not heads:
            if answer.strip().strip(".*`").upper() == "NONE":
                return {}
            return Abstained(f"{'refused' if is_refusal(answer) else 'no places'}: {quote(answer)}")
        ends = [head.start() for head in heads[1:]] + [len(answer)]
        found: dict[int, str] = {}
        for head, end in zip(heads, ends, strict=True):
            number, thought = int(head[1]), answer[head.end() : end].strip()
            if not 1 <= number <= len(places):
                return Abstained(f"names place {number}, and there are {len(places)}: {quote(answer)}")
            if places[number - 1] in found:
                return Abstained(f"names place {number} twice: {quote(answer)}")
            if thought:
                found[places[number - 1]] = thought
        return found

    def _spoken(self, answer: str) -> str:
        """``answer`` without what a reasoning teacher thought to itself before it named places, or none."""
        _, closed, rest = answer.rpartition(self.tags.closing)
        begins = answer.lstrip().startswith(self.tags.opening.strip())
        names = _PLACE.search(rest) or rest.strip().strip(".*`").upper() == "NONE"
        return rest if closed and begins and names else answer

    def _interleaved(self, answer: str, text: str) -> Mapping[int, str] | Abstained:
        """Thoughts of a teacher that wrote the text once more; white space around it is not looked at."""
        try:
            parts = self.tags.parts(answer)
            said, lead = "".join(parts[::2]), len(text) - len(text.lstrip())
            require_same(text.strip(), said.strip())
        except ThoughtError as error:
            return Abstained(str(error))
        found: dict[int, str] = {}
        at = lead - (len(said) - len(said.lstrip()))
        for i, part in enumerate(parts):
            if i % 2 and part.strip():
                found[min(max(at, 0), len(text))] = part.strip()
            at += 0 if i % 2 else len(part)
        return found
