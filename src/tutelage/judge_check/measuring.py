"""A judge against labelled texts: every question in both orders and several times, and what it cost."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from tutelage import rng
from tutelage.chat import HFChat
from tutelage.endpoints import LEDGER, EndpointModel
from tutelage.judge_check.items import Axis, Claim, Item, LabelledSet, Pair, Passage
from tutelage.judges import Asker, Question, Reading
from tutelage.maths.statistics import Interval, wilson
from tutelage.metrics import Sum
from tutelage.prompts import FactualityPrompt, QualityPrompt, SafetyPrompt, fence
from tutelage.protocols import Prompt, TextModel
from tutelage.types import Abstained

VerdictPrompts = QualityPrompt | SafetyPrompt | FactualityPrompt
REASONS = 3
"""Kinds of reasons for missing verdicts that are told."""
Spent = tuple[float, float] | None
"""Tokens read and written, where they are known."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A model with the prompt by which it judges one axis."""

    model: TextModel
    prompt: VerdictPrompts


@dataclass(frozen=True, slots=True)
class Measured:
    """How a judge did on one labelled set. Shares are of questions: an item in one order, one sample."""

    name: str
    axis: Axis
    items: int
    questions: int
    accuracy: Interval
    """Share of right verdicts, its interval over items; no verdict counts as wrong, an even one half."""
    balanced_accuracy: float | None
    """Mean of the accuracy on texts of either label; ``None`` of pairs, which are asked about in both orders."""
    parse_rate: float
    """Share of first answers that held a verdict."""
    answered: float
    """Share of questions with a verdict, repairs included."""
    refused: float
    """Share of questions that were refused."""
    unanswered: tuple[tuple[int, str], ...]
    """Why questions have no verdict: how many of one kind, the most frequent first, and one such reason."""
    position_bias: float | None
    """Share of verdicts for the option that stands first, less one half: 0 is fair, 0.5 always the first."""
    order_flips: float | None
    """Share of pairs of which another text won when they changed places."""
    self_agreement: float | None
    """Share of questions that got the same verdict when they were asked again with another seed."""
    prompt_tokens: float | None
    """Read for a verdict."""
    answer_tokens: float | None
    """Written for a verdict."""
    seconds: float
    """Of wall time for a verdict, at the concurrency that the model has."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: candidate ``first`` (0 or 1) of an item stands as option 1."""

    item: int
    first: int
    sample: int
    question: Question


def measure(judge: Examined, labelled: LabelledSet, *, samples: int, seed: int) -> Measured:
    """Ask about every item: pairs in both orders, and all of it ``samples`` times.

    Of likelihoods one sample is taken, for all would be the same.

    Raises:
        TypeError: the prompt is not that of the set's axis.
    """
    return measure_each(judge, labelled, samples=samples, seed=seed)[0]


def measure_each(
    judge: Examined, labelled: LabelledSet, *, samples: int, seed: int
) -> tuple[Measured, tuple[float, ...]]:
    """As ``measure``, and of every item the share of right verdicts on it.

    Raises:
        TypeError: as ``measure``.
    """
    repeats = 1 if judge.prompt.form == "likelihood" else samples
    asked = [one for i in range(len(labelled.items)) for one in _questions(judge.prompt, labelled, i, repeats, seed)]
    asker, meter = Asker(judge.model, judge.prompt, labelled.axis), Meter(judge.model)
    started = time.perf_counter()
    read = asker.read([one.question for one in asked])
    seconds = time.perf_counter() - started
    found = {(one.item, one.first, one.sample): read[one.question] for one in asked}
    rights = _rights(labelled, found)
    return _measured(labelled, found, rights, meter.take(), seconds), rights


def _questions(prompt: VerdictPrompts, labelled: LabelledSet, number: int, repeats: int, seed: int) -> Iterator[_Asked]:
    item, key = labelled.items[number], (seed, "judge-check", labelled.name, number)
    for first in (0, 1) if isinstance(item, Pair) else (0,):
        asked = replace(question_about(prompt, item, first, *key), document=f"{labelled.name}/{number}")
        for sample in range(repeats):
            yield _Asked(number, first, sample, Question(asked, rng.seed(*key, first, sample)))


def question_about(prompt: VerdictPrompts, item: Item, first: int, *key: rng.Key) -> Prompt:
    """What is asked about ``item``, its texts fenced by a code drawn for ``key``; candidate ``first`` is option 1.

    Raises:
        TypeError: the prompt is of another axis.
    """
    match item:
        case Pair(prefix, one, two) if isinstance(prompt, QualityPrompt):
            options = (two, one) if first else (one, two)
            return prompt.ask(prefix, *options, code=fence((prefix, one, two), *key))
        case Passage(text) if isinstance(prompt, SafetyPrompt):
            return prompt.ask(text, code=fence((text,), *key))
        case Claim(prefix, reference, text) if isinstance(prompt, FactualityPrompt):
            return prompt.ask(prefix, reference, text, code=fence((prefix, reference, text), *key))
        case Pair() | Passage() | Claim():
            raise TypeError(f"{type(prompt).__name__} asks nothing about {item.axis}")
        case _:
            assert_never(item)


def decided(value: float) -> float:
    """1 or 0, whichever verdict ``value`` is nearer to; 0.5 where it is neither."""
    return 0.5 if value == 0.5 else float(value > 0.5)


Found = Mapping[tuple[int, int, int], Reading]
"""What came of every question, by item, candidate that stood first, and sample."""


def _rights(labelled: LabelledSet, found: Found) -> tuple[float, ...]:
    """Of every item the share of right verdicts; none is wrong, an even one half right."""
    labels = [item.label for item in labelled.items]
    rights: list[list[float]] = [[] for _ in labels]
    for (item, first, _), reading in found.items():
        wanted = 1 - labels[item] if first else labels[item]
        value = reading.value
        rights[item].append(0.0 if isinstance(value, Abstained) else 1 - abs(decided(value) - wanted))
    return tuple(math.fsum(mine) / len(mine) for mine in rights)


def _measured(labelled: LabelledSet, found: Found, means: Sequence[float], spent: Spent, seconds: float) -> Measured:
    labels = [item.label for item in labelled.items]
    pairs = labelled.axis == "quality"
    readings = list(found.values())
    values = {key: reading.value for key, reading in found.items() if not isinstance(reading.value, Abstained)}
    bias = _mean(list(values.values()))
    count = max(len(values), 1)
    return Measured(
        name=labelled.name,
        axis=labelled.axis,
        items=len(labels),
        questions=len(found),
        accuracy=wilson(min(math.fsum(means), len(means)), len(means)),
        balanced_accuracy=None if pairs else _balanced(means, labels),
        parse_rate=sum(reading.at_once for reading in readings) / len(readings),
        answered=len(values) / len(readings),
        refused=sum(isinstance(r.value, Abstained) and r.value.refused for r in readings) / len(readings),
        unanswered=_reasons(readings),
        position_bias=bias - 0.5 if pairs and bias is not None else None,
        order_flips=_differing(values, lambda key: (key[0], 1, key[2]) if key[1] == 0 else None, turned=True),
        self_agreement=_agreement(values),
        prompt_tokens=spent[0] / count if spent else None,
        answer_tokens=spent[1] / count if spent else None,
        seconds=seconds / count,
    )


def _reasons(readings: Sequence[Reading]) -> tuple[tuple[int, str], ...]:
    """The most frequent kinds of reasons, each with its first; those of judges cite what was said, and differ."""
    found: dict[str, list[str]] = {}
    for reading in readings:
        if isinstance(reading.value, Abstained):
            reason = reading.value.reason
            kind = reason if reason.startswith("no answer") else reason.partition(":")[0]
            found.setdefault(kind, []).append(reason)
    return tuple((len(mine), mine[0]) for mine in sorted(found.values(), key=len, reverse=True)[:REASONS])


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _balanced(means: Sequence[float], labels: Sequence[float]) -> float | None:
    """The mean over the two labels, where both occur."""
    by_label = [_mean([m for m, label in zip(means, labels, strict=True) if label == kind]) for kind in (0.0, 1.0)]
    known = [mean for mean in by_label if mean is not None]
    return _mean(known) if len(known) == 2 else None


Key = tuple[int, int, int]


def _agreement(values: Mapping[Key, float]) -> float | None:
    differing = _differing(values, lambda key: (key[0], key[1], 1) if key[2] == 0 else None, turned=False)
    return None if differing is None else 1 - differing


def _differing(values: Mapping[Key, float], partner: Callable[[Key], Key | None], *, turned: bool) -> float | None:
    """Share of questions whose partner got another verdict, where both got one; ``turned`` swaps the options."""
    found: list[float] = []
    for key, value in values.items():
        other = partner(key)
        if other is not None and other in values:
            theirs = 1 - values[other] if turned else values[other]
            found.append(float(decided(value) != decided(theirs)))
    return _mean(found)


class Meter:
    """What a model reads and writes, from one look to the next."""

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._before = (0, 0)
        self.take()

    def take(self) -> Spent:
        """Tokens since the last look, or ``None`` where the model does not count them."""
        if isinstance(self._model, HFChat):
            now, before = (self._model.tokens_read, self._model.tokens_written), self._before
            self._before = now
            return float(now[0] - before[0]), float(now[1] - before[1])
        if isinstance(self._model, EndpointModel):
            news = LEDGER.take_metrics()
            read, written = (
                math.fsum(
                    m.total for name, m in news.items() if name.startswith(f"{kind}_tokens/") and isinstance(m, Sum)
                )
                for kind in ("prompt", "answer")
            )
            return read, written
        return None
