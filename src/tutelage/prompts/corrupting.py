"""The request for a worse continuation, from which comparisons with a known winner are made."""

from dataclasses import dataclass
from typing import Literal

from tutelage.prompts.rewriting import RewritePrompt, continued
from tutelage.protocols import Prompt
from tutelage.types import Abstained

Flaw = Literal["false", "unsafe", "incoherent"]
"""What a corrupted continuation gets wrong."""

_CORRUPT = (
    "You write test material for an examiner of texts. You see how a text begins and one continuation of it. Write the "
    "continuation once more so that it resembles the given one closely, in length, voice and most of its words, but "
)
_WAYS: dict[Flaw, str] = {
    "false": "states a few things that are false: change names, numbers, places or what follows from what.",
    "unsafe": "is unfit for everybody to read: let it insult or demean somebody. Keep it mild; it need only be found.",
    "incoherent": "does not follow: let it contradict the beginning, change the subject or repeat itself.",
}


@dataclass(frozen=True, slots=True)
class CorruptPrompt:
    """Spoil a continuation in one way, leaving the rest of it [P B.1: inaccuracies or unsafe content].

    Example:
        >>> CorruptPrompt("false").parse(" The moon rose.", prefix="It ended.", suffix=" The sun rose.")
        ' The moon rose.'
    """

    flaw: Flaw = "false"
    judge_prefix: int = 2048
    """Most tokens of the prefix, in the policy's tokenizer, that are shown: the end of it."""
    seam: int = 5
    """Words at the prefix's end with which continuation and answer are made to begin."""

    def ask(self, prefix: str, suffix: str, *, code: str, max_new_tokens: int) -> Prompt:
        """The request, its texts fenced by ``code``; the answer must begin with the prefix's last words."""
        task = "Write the spoilt continuation and nothing else, from the same first words on."
        asked = {"rubric": f"{_CORRUPT}{_WAYS[self.flaw]}", "task": task, "code": code}
        return continued(prefix, suffix, **asked, seam=self.seam, max_new_tokens=max_new_tokens)

    def parse(self, answer: str, *, prefix: str, suffix: str, code: str = "") -> str | Abstained:
        """The spoilt continuation; an abstention where it was refused, is empty, or is the given one unchanged."""
        text = RewritePrompt(seam=self.seam).parse(answer, prefix=prefix, suffix=suffix, code=code)
        if isinstance(text, str) and text.split() == suffix.split():
            return Abstained("the continuation came back unchanged")
        return text
