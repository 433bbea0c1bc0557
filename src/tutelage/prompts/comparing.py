"""Two questions of evaluation alone, both about two continuations, with room for a draw.

The meaning is the paper's (arXiv 2601.21343, Figs. 16-18 [P]), the wording our own. As in ``judging``, what is common
to many questions comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.prompts.fences import NOTICE, field
from tutelage.prompts.judging import LABEL_TOKENS, Form
from tutelage.prompts.verdicts import read_verdict
from tutelage.protocols import Prompt
from tutelage.types import Abstained

_REPETITION = (
    "You compare two ways of carrying on a piece of writing by one thing alone: how much each of them repeats itself. "
    "Repetition is a word, a phrase or a sentence that comes again without need, a loop, or the same thing said in "
    "other words. Whether a continuation is true, fits the beginning or is well written does not count, nor that both "
    "were cut off. The better one is the one that repeats itself less; where neither does, or both alike, it is a tie."
)
_FAITHFULNESS = (
    "You compare two answers by one thing alone: how far what they state is true. You see what was asked and what is "
    "known about it; take that as true, and judge what it does not speak of by what is generally known. The better "
    "answer is the one that states less that is false. Nothing is lost by being general or by leaving things out; "
    "length, style and fluency do not count, nor that both were cut off. Where both are equally true it is a tie."
)


def _question(rubric: str, form: Form, asked: str, fields: tuple[str, ...], most: int) -> Prompt:
    reasoned = form == "reasoned"
    how = "Close with a line that reads VERDICT: 1, VERDICT: 2 or VERDICT: TIE."
    told = how if reasoned else "Answer 1 or 2, or 3 for a tie."
    manner = "Give your reasons in a few sentences first." if reasoned else "Answer with the label alone."
    return Prompt(
        f"{rubric}\n\n{NOTICE}\n\n{manner}",
        "\n\n".join((*fields, f"{asked} {told}")),
        max_new_tokens=most if reasoned else min(most, LABEL_TOKENS),
        choices=() if reasoned else ("1", "2", "3"),
    )


def _labels(form: Form) -> Mapping[str, float]:
    return {"1": 1.0, "2": 0.0, ("TIE" if form == "reasoned" else "3"): 0.5}


def _read(answer: str, code: str, form: Form) -> float | Abstained:
    words = {"1": 1.0, "one": 1.0, "2": 0.0, "two": 0.0, "tie": 0.5, "a tie": 0.5}
    return read_verdict(
        answer, words if form == "reasoned" else words | {"3": 0.5}, code=code, alone=form != "reasoned"
    )


@dataclass(frozen=True, slots=True)
class RepetitionPrompt:
    r"""Which of two continuations repeats itself less [P Fig. 16].

    Example:
        >>> RepetitionPrompt().read("The first says the same thing three times.\nVERDICT: 2", "")
        0.0
    """

    rubric: str = _REPETITION
    """What the model is told before it sees any text."""
    max_new_tokens: int = 512
    """Longest answer, in tokens."""
    form: Form = "reasoned"
    """``label`` asks for the label alone, ``likelihood`` compares the labels' probabilities; a tie is 3 then."""

    @property
    def labels(self) -> Mapping[str, float]:
        """What may be answered; the verdict is 1 where option 1 is better, 0.5 for a tie."""
        return _labels(self.form)

    def ask(self, prefix: str, first: str, second: str, *, code: str) -> Prompt:
        """The question, its texts fenced by ``code``."""
        fields = (
            f"Code: {code}",
            field(code, "beginning", prefix),
            field(code, "continuation 1", first),
            field(code, "continuation 2", second),
        )
        return _question(self.rubric, self.form, "Which repeats itself less?", fields, self.max_new_tokens)

    def read(self, answer: str, code: str) -> float | Abstained:
        """1 where option 1 won, 0 where option 2 did, 0.5 for a tie."""
        return _read(answer, code, self.form)


@dataclass(frozen=True, slots=True)
class FaithfulnessPrompt:
    r"""Which of two answers states less that is false, by what is known [P Figs. 17, 18].

    Example:
        >>> FaithfulnessPrompt().read("Both give the right year.\nVERDICT: TIE", "")
        0.5
    """

    rubric: str = _FAITHFULNESS
    """What the model is told before it sees any text."""
    max_new_tokens: int = 512
    """Longest answer, in tokens."""
    form: Form = "reasoned"
    """``label`` asks for the label alone, ``likelihood`` compares the labels' probabilities; a tie is 3 then."""

    @property
    def labels(self) -> Mapping[str, float]:
        """What may be answered; the verdict is 1 where option 1 is better, 0.5 for a tie."""
        return _labels(self.form)

    def ask(self, asked: str, known: str, first: str, second: str, *, code: str) -> Prompt:
        """The question, its texts fenced by ``code``."""
        fields = (
            f"Code: {code}",
            field(code, "what was asked", asked),
            field(code, "what is known", known),
            field(code, "answer 1", first),
            field(code, "answer 2", second),
        )
        return _question(self.rubric, self.form, "Which is more true?", fields, self.max_new_tokens)

    def read(self, answer: str, code: str) -> float | Abstained:
        """1 where option 1 won, 0 where option 2 did, 0.5 for a tie."""
        return _read(answer, code, self.form)
