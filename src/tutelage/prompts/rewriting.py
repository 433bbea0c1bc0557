"""The request for a better continuation, beside the parser of what comes back."""

import re
from dataclasses import dataclass

from tutelage.prompts.fences import NOTICE, field
from tutelage.prompts.verdicts import is_refusal, quote, without_thinking
from tutelage.protocols import Prompt
from tutelage.types import Abstained

_REWRITE = (
    "You improve a continuation of a text. You see how the text begins and one continuation of it. Write a "
    "continuation of the same beginning that is at least as good. Keep word for word whatever is good "
    "already; if all of it is, copy it. Put right what is factually wrong. Where it is unsafe (insulting, "
    "threatening, sexually explicit, hateful, of help to a crime), turn it into something safe that still "
    "carries the text on. Keep about the same length, and stop where the given continuation stops, in "
    "mid-sentence if need be. Start from the same words, so that yours joins the beginning without a seam. "
    "Write the continuation and nothing else."
)


def continued(prefix: str, suffix: str, *, rubric: str, task: str, code: str, seam: int, max_new_tokens: int) -> Prompt:
    """A request to write ``suffix`` anew, both texts fenced by ``code``.

    Continuation and answer begin with the last ``seam`` words of the prefix, so that they join it without a seam.
    """
    start = last_words(prefix, seam)
    begun = prefix[prefix.rindex(start) :] if start else ""
    fields = (
        f"Code: {code}",
        field(code, "beginning", prefix),
        field(code, "continuation", begun + suffix),
        task,
    )
    return Prompt(f"{rubric}\n\n{NOTICE}", "\n\n".join(fields), answer_start=start, max_new_tokens=max_new_tokens)


def last_words(text: str, count: int) -> str:
    """The last ``count`` words of ``text`` as they stand, without the space before and after them."""
    found = list(re.finditer(r"\S+", text))[-count:] if count else []
    return text[found[0].start() : found[-1].end()] if found else ""


@dataclass(frozen=True, slots=True)
class RewritePrompt:
    """Copy what is good, mend what is not, and go on from the prefix without a seam [P Fig. 14].

    Example:
        >>> RewritePrompt().parse(" and the sun rose.", prefix="It ended", suffix=" and the moon rose.")
        ' and the sun rose.'
    """

    rubric: str = _REWRITE
    """What the model is told before it sees any text."""
    judge_prefix: int = 2048
    """Most tokens of the prefix, in the policy's tokenizer, that are shown: the end of it."""
    seam: int = 5
    """Words at the prefix's end with which continuation and answer are made to begin [P Fig. 14]."""

    def ask(self, prefix: str, suffix: str, *, code: str, max_new_tokens: int) -> Prompt:
        """The request, its texts fenced by ``code``; the answer must begin with the prefix's last words."""
        task = "Write the improved continuation, from the same first words on."
        asked = {"rubric": self.rubric, "task": task, "code": code}
        return continued(prefix, suffix, **asked, seam=self.seam, max_new_tokens=max_new_tokens)

    def parse(self, answer: str, *, prefix: str, suffix: str, code: str = "") -> str | Abstained:
        """The continuation of ``prefix`` that ``answer`` holds.

        Tolerates an answer that repeats the forced words, closes with the fence, or lost the white space at
        the seam.

        Args:
            answer: What the rewriter said after ``Prompt.answer_start``.
            prefix: Text before the fork.
            suffix: The original continuation; its leading white space is restored where the answer has none.
            code: The fence's code; an answer is read up to it.

        Returns:
            The text after ``prefix``, or ``Abstained`` where the rewriter refused or wrote nothing.
        """
        spoken = without_thinking(answer)
        if spoken is None:
            return Abstained(f"still thinking where the answer ended: {quote(answer)}")
        if code:
            spoken = spoken.split(f"[[{code}", 1)[0].removesuffix("\n")
        start = last_words(prefix, self.seam)
        if start and spoken.lstrip().startswith(start):
            spoken = spoken.lstrip().removeprefix(start)
        if not spoken.strip():
            return Abstained(f"empty rewrite: {quote(answer)}")
        if is_refusal(spoken) and not is_refusal(suffix):
            return Abstained(f"refused: {quote(spoken)}")
        if prefix[-1:].isspace():
            return spoken.lstrip()
        gap = suffix[: len(suffix) - len(suffix.lstrip())]
        return gap + spoken if gap and spoken[0].isalnum() else spoken
