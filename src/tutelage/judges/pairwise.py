"""Quality by comparison: every candidate against others, two at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
from tutelage.metrics import Metric
from tutelage.prompts import QualityPrompt
from tutelage.protocols import Judge, Resources, TextModel, TextModelSpec
from tutelage.schedules import AllPairs as AllPairs  # older runs name them here
from tutelage.schedules import KnockOut, Match, Schedule, Standing, play
from tutelage.schedules import Pivot as Pivot
from tutelage.types import Abstained, Judgement, Pool, Scored


@dataclass(frozen=True, slots=True)
class PairwiseQuality:
    """Win rate of every candidate over its comparisons, ``[0, 1]`` [P §4.3].

    ``score(c) = mean over comparisons and samples of [c preferred]``; schedules that compare unevenly estimate it.
    Candidates that read alike tie at 0.5 without being asked about [I]. Whether the paper judged both orders is not
    stated; here either both are asked or the order is drawn by key and alternates over answers.

    Example:
        >>> from tutelage.chat import LocalChat
        >>> PairwiseQuality(LocalChat("models/judge"), samples=5).weight
        1.0
    """

    model: TextModelSpec
    schedule: Schedule = field(default_factory=KnockOut)
    """Which candidates are compared; each round is asked of all pools together.

    The paper compares all pairs [P]. By default best and worst are found, which is what a pair is made of, for about a
    fifth of the questions among 16; at equal judge calls it trains better (docs/evidence.md). ``AllPairs()`` or
    ``Swiss()`` where an objective learns from everyone's score, as GRPO does.
    """
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


class PairwiseJudge:
    """``PairwiseQuality`` at work."""

    def __init__(self, spec: PairwiseQuality, model: TextModel, resources: Resources) -> None:
        self._spec = spec
        self._asker = Asker(model, spec.prompt, spec.axis, mean="first_option")
        self._codec = resources.codec
        self._seed = resources.seed

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; the questions of a round go out together, those of all pools."""
        texts = [read_pool(pool, self._codec, self._seed, self._spec.prompt.judge_prefix) for pool in pools]
        asked: list[list[_Comparison]] = [[] for _ in pools]
        readings: dict[Question, Reading] = {}

        def compare(matches: Sequence[Match]) -> list[tuple[float, int]]:
            rounds = [self._comparisons(pools[match.pool], texts[match.pool], match) for match in matches]
            # Twins of a pool stand to a third alike, whichever of them is asked about first.
            new = [one.question for comparisons in rounds for one in comparisons if one.question not in readings]
            readings.update(self._asker.read(new))
            for match, comparisons in zip(matches, rounds, strict=True):
                asked[match.pool] += comparisons
            return [self._points(match, own, readings) for match, own in zip(matches, rounds, strict=True)]

        standings = play(self._spec.schedule, pools, self._seed, compare)
        return [
            (self._judgement(pool, standing, sorted(own, key=lambda one: sorted((one.first, one.second))), readings),)
            for pool, standing, own in zip(pools, standings, asked, strict=True)
        ]

    def take_metrics(self) -> dict[str, Metric]:
        """What ``Asker`` counted; ``first_option/AXIS`` is the share of verdicts for the option that stood first."""
        return self._asker.take_metrics()

    def _comparisons(self, pool: Pool, texts: PoolTexts, match: Match) -> list[_Comparison]:
        """What is asked about two candidates: nothing where they read alike."""
        if texts.candidates[match.first] == texts.candidates[match.second]:
            return []
        draws = range(match.repeat * self._spec.samples, (match.repeat + 1) * self._spec.samples)
        return [
            self._comparison(pool, texts, first, second, draw)
            for draw in draws
            for first, second in self._orders(pool, match.first, match.second, draw)
        ]

    def _orders(self, pool: Pool, i: int, j: int, draw: int) -> list[tuple[int, int]]:
        """Who stands first: both in turn, or as drawn for these two texts and alternating over answers."""
        i, j = sorted((i, j), key=lambda index: pool.candidates[index].tokens.digest)
        if self._spec.both_orders:
            return [(i, j), (j, i)]
        texts = (candidate_key(pool, i), pool.candidates[j].tokens.digest)
        swapped = (rng.below(2, self._seed, self._spec.axis, "order", *texts[0], texts[1]) + draw) % 2
        return [(j, i) if swapped else (i, j)]

    def _comparison(self, pool: Pool, texts: PoolTexts, first: int, second: int, draw: int) -> _Comparison:
        shown = (texts.prefix, texts.candidates[first], texts.candidates[second])
        key = (*candidate_key(pool, first), pool.candidates[second].tokens.digest, draw)
        prompt = about(self._spec.prompt.ask(*shown, code=texts.code), pool, first, second)
        return _Comparison(first, second, Question(prompt, rng.seed(self._seed, self._spec.axis, *key)))

    def _points(
        self, match: Match, comparisons: Sequence[_Comparison], readings: dict[Question, Reading]
    ) -> tuple[float, int]:
        """What the first of a match got, and from how many valid answers."""
        if not comparisons:
            return 0.5, 1
        points = [
            won if one.first == match.first else 1.0 - won
            for one in comparisons
            if not isinstance(won := readings[one.question].value, Abstained)
        ]
        return float(sum(points)), len(points)

    def _judgement(
        self, pool: Pool, standing: Standing, asked: Sequence[_Comparison], readings: dict[Question, Reading]
    ) -> Judgement:
        failures: list[list[str]] = [[] for _ in pool.candidates]
        words: list[list[str]] = [[] for _ in pool.candidates]
        for one in asked:
            reading = readings[one.question]
            said, won = excerpt(reading.answer, COMPARED), reading.value
            for mine, other in ((one.first, one.second), (one.second, one.first)):
                words[mine].append(f"against {other} ({pool.candidates[other].source}): {said}")
                if isinstance(won, Abstained):
                    failures[mine].append(won.reason)
        results = zip(standing.scores, standing.comparisons, failures, strict=True)
        return Judgement(
            axis=self._spec.axis,
            verdicts=tuple(
                missing(count, failed, self._spec.min_comparisons) or Scored(score, count)
                for score, count, failed in results
            ),
            weight=self._spec.weight,
            words=tuple("\n".join(lines) for lines in words) if asked else (),
            calls=sum(readings[question].calls for question in {one.question for one in asked}),
        )
