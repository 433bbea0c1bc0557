"""Judges without judgement, for controls: what training gains from one of them is no judge's merit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.judges.asking import candidate_key
from tutelage.maths.ranges import require
from tutelage.maths.statistics import repeated_ngrams
from tutelage.protocols import Judge, JudgeSpec, Resources
from tutelage.types import Judgement, Pool, Scored


@dataclass(frozen=True, slots=True)
class RandomJudge:
    """Scores drawn by key, uniform in ``[0, 1)``: the same for the same text behind the same prefix.

    Example:
        >>> RandomJudge("quality").weight
        1.0
    """

    axis: str = "random"
    """Name of what it scores; other axes get other draws."""
    weight: float = 1.0
    """Factor in the sum over axes."""

    def build(self, resources: Resources) -> Judge:
        """The working judge."""
        return RandomScores(self, resources.seed)


@dataclass(frozen=True, slots=True)
class RandomScores:
    """``RandomJudge`` at work."""

    spec: RandomJudge
    seed: int
    """The run's."""

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool."""
        return [(self._judgement(pool),) for pool in pools]

    def _judgement(self, pool: Pool) -> Judgement:
        axis = self.spec.axis
        keys = [candidate_key(pool, i) for i in range(len(pool.candidates))]
        verdicts = tuple(Scored(rng.uniform(self.seed, "random judge", axis, *key)) for key in keys)
        return Judgement(axis, verdicts, self.spec.weight)


@dataclass(frozen=True, slots=True)
class ShuffledJudge:
    """Another judge's scores, dealt out anew among the candidates of each pool, axis by axis.

    Scale, spread, ties and abstentions stay the judge's own; only what was judged is lost. Abstentions stay where they
    are. The permutation is uniform and keyed by chunk and axis, so that a candidate may keep its score.
    """

    judge: JudgeSpec

    def build(self, resources: Resources) -> Judge:
        """The working judge, the other one inside."""
        return ShuffledScores(self.judge.build(resources), resources.seed)


class ShuffledScores:
    """``ShuffledJudge`` at work."""

    def __init__(self, judge: Judge, seed: int) -> None:
        self._judge = judge
        self._seed = seed

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """The other judge's judgements, their scores permuted; its words stay with the candidate they are about."""
        judged = self._judge.judge(pools)
        return [
            tuple(self._shuffled(pool, judgement) for judgement in judgements)
            for pool, judgements in zip(pools, judged, strict=True)
        ]

    def _shuffled(self, pool: Pool, judgement: Judgement) -> Judgement:
        scored = [i for i, verdict in enumerate(judgement.verdicts) if isinstance(verdict, Scored)]
        key = (self._seed, "shuffled judge", judgement.axis, *pool.chunk.key)
        origin = list(range(len(judgement.verdicts)))
        for place, drawn in zip(scored, rng.generator(*key).permutation(len(scored)).tolist(), strict=True):
            origin[place] = scored[drawn]
        verdicts = tuple(judgement.verdicts[i] for i in origin)
        told = judgement.words or ("",) * len(origin)
        dealt = [f"shuffled: the score is that of candidate {i}" if i in scored else "" for i in origin]
        words = tuple("\n".join(filter(None, pair)) for pair in zip(told, dealt, strict=True))
        return replace(judgement, verdicts=verdicts, words=words)


@dataclass(frozen=True, slots=True)
class RepetitionJudge:
    """``1 − share of a candidate's n-grams that occurred in it before``, and nothing else: silence gets 1.

    It reads no prefix and knows no language. What it teaches, any filter against repetition would.
    """

    n: int = 4
    """Tokens of an n-gram."""
    axis: str = "repetition"
    """Name of what it scores."""
    weight: float = 1.0
    """Factor in the sum over axes."""

    def __post_init__(self) -> None:
        require(self, "n", at_least=1)

    def build(self, resources: Resources) -> Judge:
        """Itself: it needs nothing."""
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool."""
        return [(self._judgement(pool),) for pool in pools]

    def _judgement(self, pool: Pool) -> Judgement:
        shares = [repeated_ngrams(candidate.tokens.tolist(), self.n) for candidate in pool.candidates]
        return Judgement(self.axis, tuple(Scored(1.0 - share) for share in shares), self.weight)
