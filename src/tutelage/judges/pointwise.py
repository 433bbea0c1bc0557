"""Safety and factuality: every candidate asked about by itself."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tutelage import rng
from tutelage.judges.asking import (
    PoolTexts,
    Question,
    about,
    candidate_key,
    excerpt,
    missing,
    read_pool,
    require_draws,
)
from tutelage.judges.reading import Asker, Reading
from tutelage.metrics import Metric
from tutelage.prompts import FactualityPrompt, SafetyPrompt, VerdictPrompt
from tutelage.protocols import Judge, Prompt, Resources, TextModelSpec
from tutelage.types import Abstained, Judgement, Pool, Scored, Verdict


@runtime_checkable
class PointwiseSpec(Protocol):
    """What a judge that asks about each candidate by itself has in common with others."""

    @property
    def model(self) -> TextModelSpec:
        """Who answers."""
        ...

    @property
    def prompt(self) -> VerdictPrompt:
        """What is asked, and how its answers are read."""
        ...

    @property
    def samples(self) -> int:
        """Answers a candidate."""
        ...

    @property
    def min_answers(self) -> int:
        """With fewer valid answers, a candidate is abstained on."""
        ...

    @property
    def weight(self) -> float:
        """Factor in the sum over axes."""
        ...

    @property
    def axis(self) -> str:
        """Name of what it scores."""
        ...


@dataclass(frozen=True, slots=True)
class PointwiseSafety:
    """Share of answers that call the candidate safe, ``[0, 1]``; its prefix is not shown [P §4.3]."""

    model: TextModelSpec
    samples: int = 1
    """Answers a candidate; the paper takes 5 of its tuned judge [P §4.1]."""
    min_answers: int = 1
    """With fewer valid answers, a candidate is abstained on."""
    weight: float = 1.0
    """Factor in the sum over axes [P: 1]."""
    axis: str = "safety"
    """Name of what it scores."""
    prompt: SafetyPrompt = field(default_factory=SafetyPrompt)

    def __post_init__(self) -> None:
        check_answers(self)

    def build(self, resources: Resources) -> Judge:
        """The working judge, its model loaded."""
        prompt = self.prompt
        return PointwiseJudge(self, resources, lambda texts, i: prompt.ask(texts.candidates[i], code=texts.code))


@dataclass(frozen=True, slots=True)
class PointwiseFactuality:
    """Mean of 1 (nothing false), 0.5 (possibly) and 0 (definitely), the suffix being the reference [P §4.3]."""

    model: TextModelSpec
    samples: int = 1
    """Answers a candidate."""
    min_answers: int = 1
    """With fewer valid answers, a candidate is abstained on."""
    weight: float = 1.0
    """Factor in the sum over axes [P: 1]."""
    axis: str = "factuality"
    """Name of what it scores."""
    prompt: FactualityPrompt = field(default_factory=FactualityPrompt)

    def __post_init__(self) -> None:
        check_answers(self)

    def build(self, resources: Resources) -> Judge:
        """The working judge, its model loaded."""
        prompt = self.prompt

        def question(texts: PoolTexts, i: int) -> Prompt:
            return prompt.ask(texts.prefix, texts.suffix, texts.candidates[i], code=texts.code)

        return PointwiseJudge(self, resources, question)


def check_answers(spec: PointwiseSpec) -> None:
    """Refuse what could not reach a verdict.

    Raises:
        ValueError: fewer samples than ``min_answers``, or several draws of what is not drawn.
    """
    if spec.min_answers < 1 or spec.samples < spec.min_answers:
        raise ValueError(
            f"{type(spec).__name__} needs min_answers of at least 1 and no fewer samples; got min_answers "
            f"{spec.min_answers} and samples {spec.samples}"
        )
    require_draws(spec, spec.prompt)


class PointwiseJudge:
    """Any of them at work."""

    def __init__(
        self,
        spec: PointwiseSpec,
        resources: Resources,
        question: Callable[[PoolTexts, int], Prompt],
    ) -> None:
        self._spec = spec
        self._asker = Asker(spec.model.build(), spec.prompt, spec.axis)
        self._codec = resources.codec
        self._seed = resources.seed
        self._question = question

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; the questions of all pools go out together."""
        asked = [self._questions(pool) for pool in pools]
        readings = self._asker.read([q for questions in asked for mine in questions for q in mine])
        judgements: list[tuple[Judgement, ...]] = []
        for questions in asked:
            verdicts = tuple(self._verdict([readings[question] for question in mine]) for mine in questions)
            words = tuple("\n".join(excerpt(readings[question].answer) for question in mine) for mine in questions)
            calls = sum(readings[question].calls for question in {q for mine in questions for q in mine})
            judgements.append((Judgement(self._spec.axis, verdicts, self._spec.weight, words, calls),))
        return judgements

    def take_metrics(self) -> dict[str, Metric]:
        """What ``Asker`` counted."""
        return self._asker.take_metrics()

    def _verdict(self, readings: Sequence[Reading]) -> Verdict:
        """The mean of what the answers about one candidate say."""
        values = [reading.value for reading in readings if not isinstance(reading.value, Abstained)]
        failures = [reading.value.reason for reading in readings if isinstance(reading.value, Abstained)]
        found = missing(len(values), failures, self._spec.min_answers)
        return found or Scored(math.fsum(values) / len(values))

    def _questions(self, pool: Pool) -> list[list[Question]]:
        """``samples`` questions a candidate; equal candidates have equal questions, asked once."""
        prompt = self._spec.prompt
        shown = prompt.judge_prefix if isinstance(prompt, FactualityPrompt) else 0
        texts = read_pool(pool, self._codec, self._seed, shown)
        return [
            [
                Question(prompt, rng.seed(self._seed, self._spec.axis, *candidate_key(pool, i), sample))
                for prompt in [about(self._question(texts, i), pool, i)]
                for sample in range(self._spec.samples)
            ]
            for i in range(len(pool.candidates))
        ]
