"""From questions to verdicts: written ones with one repair, or the probabilities of labels; and what is counted."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.judges.asking import Question, ask, understand
from tutelage.metrics import Mean, Metric
from tutelage.prompts import VerdictPrompt, code_of, is_closed, is_repairable, quote, repair
from tutelage.protocols import Answered, LabelModel, Prompt, TextModel
from tutelage.types import Absent, Abstained

QUOTED = 80
"""Characters that an abstention cites of an answer's end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one question."""

    answer: str | Absent
    """All that was said, a repair after the answer that needed it."""
    value: float | Abstained
    """The verdict; of probabilities the expected one."""
    calls: int = 1
    """How often the model was asked."""
    at_once: bool = True
    """Whether the first answer held a verdict."""


class Asker:
    """Puts the questions of one prompt to one model.

    Raises:
        ValueError: the prompt compares likelihoods, which the model does not tell.
    """

    def __init__(self, model: TextModel, prompt: VerdictPrompt, axis: str, *, mean: str = "") -> None:
        if prompt.form == "likelihood" and not isinstance(model, LabelModel):
            raise ValueError(
                f"the prompt of {axis} has the form 'likelihood', and the text model {model.name!r} does not tell how "
                "likely its answers are (it has no label_logprobs): choose the form 'label' or 'reasoned'"
            )
        self._model = model
        self._prompt = prompt
        self._axis = axis
        self._mean = mean
        self._tally: dict[str, Mean] = {}

    def read(self, questions: Sequence[Question]) -> dict[Question, Reading]:
        """What came of every distinct question; all go out in one call, and those to be repaired in another."""
        readings = self._weighed(questions) if self._prompt.form == "likelihood" else self._written(questions)
        self._count(readings.values())
        return readings

    def take_metrics(self) -> dict[str, Metric]:
        """What was counted since the last call.

        ``parsed/AXIS`` is the share of first answers that held a verdict, ``repaired/AXIS`` the share of all verdicts
        that took a repair, and ``MEAN/AXIS``, where a name for it was given, their mean.
        """
        tally, self._tally = self._tally, {}
        return dict(tally)

    def _written(self, questions: Sequence[Question]) -> dict[Question, Reading]:
        first = {
            question: self._reading(question.prompt, said) for question, said in ask(self._model, questions).items()
        }
        again = {
            question: Question(
                _repair(question.prompt, reading.answer, self._prompt), rng.seed(question.seed, "repair")
            )
            for question, reading in first.items()
            if isinstance(reading.answer, str) and is_repairable(reading.answer, reading.value)
        }
        second = ask(self._model, list(again.values()))
        repaired = {
            question: self._repaired(question, first[question], second[asked]) for question, asked in again.items()
        }
        return first | repaired

    def _reading(self, prompt: Prompt, said: Answered | Absent) -> Reading:
        """The verdict of an answer; of reasons that were cut off only the one that they end with."""
        code, answer = code_of(prompt), said.text if isinstance(said, Answered) else said
        value = understand(answer, lambda text: self._prompt.read(text, code))
        cut = isinstance(said, Answered) and said.cut and self._prompt.form == "reasoned"
        if cut and isinstance(answer, str) and not is_closed(answer) and not isinstance(value, Abstained):
            value = Abstained(f"no verdict where the answer was cut off: {quote(answer[-QUOTED:])}")
        return Reading(answer, value, at_once=not isinstance(value, Abstained))

    def _repaired(self, question: Question, first: Reading, said: Answered | Absent) -> Reading:
        """The verdict of the second answer; the first one's reason where that holds none either."""
        missing = replace(first, calls=2)
        if isinstance(said, Absent):
            return missing
        line = f"VERDICT:{said.text}"
        if said.cut and not is_closed(line):
            line = line.partition("\n")[0]  # all that was asked for
        value = self._prompt.read(line, code_of(question.prompt))
        return (
            missing if isinstance(value, Abstained) else replace(missing, answer=f"{first.answer}\n{line}", value=value)
        )

    def _weighed(self, questions: Sequence[Question]) -> dict[Question, Reading]:
        """Nothing is drawn: equal prompts are asked once, whatever their seeds."""
        assert isinstance(self._model, LabelModel)
        labels = self._prompt.labels
        prompts = list(dict.fromkeys(question.prompt for question in questions))
        if not prompts:
            return {}
        told = self._model.label_logprobs(prompts, tuple(labels), [rng.seed("labels", i) for i in range(len(prompts))])
        found = {prompt: _weigh(logprobs, labels) for prompt, logprobs in zip(prompts, told, strict=True)}
        return {question: found[question.prompt] for question in questions}

    def _count(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            if isinstance(reading.answer, str):
                self._add("parsed", float(reading.at_once))
            if not isinstance(reading.value, Abstained):
                self._add("repaired", float(not reading.at_once))
                if self._mean:
                    self._add(self._mean, reading.value)

    def _add(self, name: str, value: float) -> None:
        known = self._tally.get(f"{name}/{self._axis}", Mean(0.0, 0.0))
        self._tally[f"{name}/{self._axis}"] = Mean(known.total + value, known.count + 1)


def _repair(prompt: Prompt, answer: str | Absent, asked_by: VerdictPrompt) -> Prompt:
    assert isinstance(answer, str)
    return repair(prompt, answer, asked_by.labels)


def _weigh(logprobs: tuple[float, ...] | Absent, labels: Mapping[str, float]) -> Reading:
    """The expected verdict under the probabilities (nats) of ``labels``, scaled to sum to 1 [I]."""
    if isinstance(logprobs, Absent):
        return Reading(logprobs, Abstained(f"no answer: {logprobs.reason}"), at_once=False)
    top = max(logprobs)
    if not math.isfinite(top):
        return Reading(
            Absent("labels", "no label has a probability"), Abstained("no answer: no label has a probability")
        )
    weights = [math.exp(value - top) for value in logprobs]
    shares = [weight / math.fsum(weights) for weight in weights]
    told = ", ".join(f"{label} {share:.3f}" for label, share in zip(labels, shares, strict=True))
    value = math.fsum(share * value for share, value in zip(shares, labels.values(), strict=True))
    return Reading(f"[{told}]", value)
