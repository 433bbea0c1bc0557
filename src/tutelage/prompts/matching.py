"""Whether a predicted continuation says what the author's says, beside the parser of the verdict [P §2.1]."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tutelage.prompts.fences import field
from tutelage.prompts.judging import Form, verdict_prompt
from tutelage.prompts.verdicts import read_verdict
from tutelage.protocols import Prompt
from tutelage.types import Abstained

_WHOLE = (
    "You compare a predicted passage with the passage that an author wrote. They match where the prediction says what "
    "the author says: the same facts, the same numbers, the same step of the argument, nothing added that the author "
    "contradicts. Words may differ. Both were cut off at the same length, so an unfinished ending is no difference; a "
    "prediction that is only of the same kind, or on the same subject, does not match."
)
_PREFIX = (
    "You compare a predicted passage with the passage that an author wrote. They match where the prediction says, in "
    "its own words, what the author's passage begins by saying: it may stop earlier, as long as it says something of "
    "it, and adds nothing that the author does not say. A prediction that is only of the same kind, or on the same "
    "subject, does not match."
)


@dataclass(frozen=True, slots=True)
class MatchPrompt:
    r"""Whether prediction and truth match; neither the thought nor the text before is shown [P].

    Example:
        >>> MatchPrompt().read("Both say that nine are left.\nVERDICT: MATCH", "")
        1.0
    """

    covers: Literal["all", "beginning"] = "all"
    """``all``: the prediction must say all that the author does. ``beginning``: it may say only its beginning, which is
    the semantic prefix of RLPT (2509.19249) [P]."""
    max_new_tokens: int = 512
    """Longest answer, in tokens [I]."""
    form: Form = "reasoned"
    """``label`` asks for the label alone, ``likelihood`` compares the labels' probabilities and writes nothing."""

    @property
    def labels(self) -> Mapping[str, float]:
        """What may be answered; 1 for a match."""
        return {"MATCH": 1.0, "DIFFERENT": 0.0}

    def ask(self, truth: str, prediction: str, *, code: str) -> Prompt:
        """The question, its texts fenced by ``code``."""
        how = "Close with a line that reads VERDICT: MATCH or VERDICT: DIFFERENT."
        fields = (
            f"Code: {code}",
            field(code, "author's passage", truth),
            field(code, "prediction", prediction),
            f"Do they match? {how if self.form == 'reasoned' else 'Answer MATCH or DIFFERENT.'}",
        )
        rubric = _WHOLE if self.covers == "all" else _PREFIX
        return verdict_prompt(rubric, self.form, fields, self.labels, self.max_new_tokens)

    def read(self, answer: str, code: str) -> float | Abstained:
        """The verdict of an answer, or why there is none."""
        labels = {label.lower(): value for label, value in self.labels.items()}
        return read_verdict(answer, labels, code=code, alone=self.form != "reasoned")
