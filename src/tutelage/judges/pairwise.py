"""Quality by comparison: every candidate against others, two at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from tutelage import rng
from tutelage.judges.asking import (
    COMPARED,
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
from tutelage.maths import schedules
from tutelage.maths.credit import win_rates
from tutelage.metrics import Metric
from tutelage.prompts import QualityPrompt
from tutelage.protocols import Judge, Resources, TextModel, TextModelSpec
from tutelage.types import Abstained, Judgement, Pool, Scored


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Compare every two candidates once: what the paper does [P §4.3]."""


@dataclass(frozen=True, slots=True)
class Pivot:
    """Compare every candidate with one only: cheaper, and clearly worse in the paper [P Tables 21-23]."""

    source: str = "suffix"
    """The first candidate of this source is the one; a pool without it is not judged."""


Schedule = AllPairs | Pivot


def pairs_of(schedule: Schedule, sources: Sequence[str]) -> list[tuple[int, int]]:
    """Which candidates of a pool are compared, by index."""
    match schedule:
        case AllPairs():
            return schedules.all_pairs(len(sources))
        case Pivot(source):
            return schedules.pivot(len(sources), sources.index(source)) if source in sources else []
        case _:
            assert_never(schedule)


@dataclass(frozen=True, slots=True)
class PairwiseQuality:
    """Win rate of every candidate over its comparisons, ``[0, 1]`` [P §4.3].

    ``score(c) = mean over comparisons and samples of [c preferred]``. Candidates that read alike tie at 0.5 without
    being asked about [I]. Whether the paper judged both orders is not stated; here either both are asked or the
    order is drawn by key and alternates over samples.

    Example:
        >>> from tutelage.chat import LocalChat
        >>> PairwiseQuality(LocalChat("models/judge"), samples=5).weight
        1.0
    """

    model: TextModelSpec
    schedule: Schedule = field(default_factory=AllPairs)
    both_orders: bool = False
    """Ask every question twice, options exchanged: what the judge prefers by place alone cancels."""
    samples: int = 1
    """Answers a question; the paper takes 5 of its tuned judge [P §4.1]."""
    min_comparisons: int = 1
    """With fewer valid answers about it, a candidate is abstained on."""
    weight: float = 1.0
    """Factor in the sum over axes [P: 1]."""
    axis: str = "quality"
    """Name of what it scores."""
    prompt: QualityPrompt = field(default_factory=QualityPrompt)

    def __post_init__(self) -> None:
        if self.samples < 1 or self.min_comparisons < 1:
            raise ValueError(
                "PairwiseQuality needs samples and min_comparisons of at least 1; got "
                f"{self.samples} and {self.min_comparisons}"
            )
        require_draws(self, self.prompt)

    def build(self, resources: Resources) -> Judge:
        """The working judge, its model loaded."""
        return PairwiseJudge(self, self.model.build(), resources)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One question: candidate ``first`` stands as option 1."""

    first: int
    second: int
    question: Question


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is to be asked about one pool."""

    ties: tuple[tuple[int, int], ...]
    comparisons: tuple[_Comparison, ...]


class PairwiseJudge:
    """``PairwiseQuality`` at work."""

    def __init__(self, spec: PairwiseQuality, model: TextModel, resources: Resources) -> None:
        self._spec = spec
        self._asker = Asker(model, spec.prompt, spec.axis, mean="first_option")
        self._codec = resources.codec
        self._seed = resources.seed

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; the questions of all pools go out together."""
        plans = [self._plan(pool) for pool in pools]
        readings = self._asker.read([c.question for plan in plans for c in plan.comparisons])
        return [(self._judgement(pool, plan, readings),) for pool, plan in zip(pools, plans, strict=True)]

    def take_metrics(self) -> dict[str, Metric]:
        """What ``Asker`` counted; ``first_option/AXIS`` is the share of verdicts for the option that stood first."""
        return self._asker.take_metrics()

    def _plan(self, pool: Pool) -> _Plan:
        texts = read_pool(pool, self._codec, self._seed, self._spec.prompt.judge_prefix)
        pairs = pairs_of(self._spec.schedule, [candidate.source for candidate in pool.candidates])
        ties = tuple((i, j) for i, j in pairs if texts.candidates[i] == texts.candidates[j])
        asked = [
            self._comparison(pool, texts, first, second, sample)
            for i, j in pairs
            if (i, j) not in ties
            for sample in range(self._spec.samples)
            for first, second in self._orders(pool, i, j, sample)
        ]
        return _Plan(ties, tuple(asked))

    def _orders(self, pool: Pool, i: int, j: int, sample: int) -> list[tuple[int, int]]:
        """Who stands first: both in turn, or as drawn for these two texts and alternating over samples."""
        i, j = sorted((i, j), key=lambda index: pool.candidates[index].tokens.digest)
        if self._spec.both_orders:
            return [(i, j), (j, i)]
        texts = (candidate_key(pool, i), pool.candidates[j].tokens.digest)
        swapped = (rng.below(2, self._seed, self._spec.axis, "order", *texts[0], texts[1]) + sample) % 2
        return [(j, i) if swapped else (i, j)]

    def _comparison(self, pool: Pool, texts: PoolTexts, first: int, second: int, sample: int) -> _Comparison:
        shown = (texts.prefix, texts.candidates[first], texts.candidates[second])
        key = (*candidate_key(pool, first), pool.candidates[second].tokens.digest, sample)
        prompt = about(self._spec.prompt.ask(*shown, code=texts.code), pool, first, second)
        return _Comparison(first, second, Question(prompt, rng.seed(self._seed, self._spec.axis, *key)))

    def _judgement(self, pool: Pool, plan: _Plan, readings: dict[Question, Reading]) -> Judgement:
        results = [(i, j, 0.5) for i, j in plan.ties]
        failures: list[list[str]] = [[] for _ in pool.candidates]
        words: list[list[str]] = [[] for _ in pool.candidates]
        for one in plan.comparisons:
            reading = readings[one.question]
            said, won = excerpt(reading.answer, COMPARED), reading.value
            for mine, other in ((one.first, one.second), (one.second, one.first)):
                words[mine].append(f"against {other} ({pool.candidates[other].source}): {said}")
            if isinstance(won, Abstained):
                failures[one.first].append(won.reason)
                failures[one.second].append(won.reason)
            else:
                results.append((one.first, one.second, won))
        rates = win_rates(len(pool.candidates), results)
        return Judgement(
            axis=self._spec.axis,
            verdicts=tuple(
                missing(count, failed, self._spec.min_comparisons) or Scored(rate, count)
                for (rate, count), failed in zip(rates, failures, strict=True)
            ),
            weight=self._spec.weight,
            words=tuple("\n".join(lines) for lines in words) if plan.comparisons else (),
            calls=sum(readings[question].calls for question in {one.question for one in plan.comparisons}),
        )
