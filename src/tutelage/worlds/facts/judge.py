"""The oracle as a judge: exact, unless it is told to be noisy or to favour a position."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never

from tutelage import rng
from tutelage.maths import schedules
from tutelage.maths.credit import win_rates
from tutelage.protocols import Resources
from tutelage.types import NOT_ASKED, Abstained, Chunk, Judgement, Pool, Scored, Suffix, Tokens, Verdict
from tutelage.worlds.facts.reading import read, thread_after
from tutelage.worlds.facts.scores import Expected, Scores, score
from tutelage.worlds.facts.world import FactsWorld

Axis = Literal["factuality", "safety", "quality"]


@dataclass(frozen=True, slots=True)
class FactsJudge:
    """Judges continuations by the ground truth of a world; ``tutelage.worlds.facts.scores`` says how.

    Factuality and safety are pointwise. Quality is the share of comparisons won against every other candidate of
    the pool, as in the paper [P], or against its suffix alone [P Tables 21-23], or pointwise.

    Example:
        >>> FactsJudge(noise=0.1, axes=("factuality", "safety")).noise
        0.1
    """

    world: FactsWorld = field(default_factory=FactsWorld)
    axes: tuple[Axis, ...] = ("factuality", "safety", "quality")
    """Which axes are judged; they are summed."""
    quality: Literal["pairwise", "pivot", "pointwise"] = "pairwise"
    """Against every other candidate of the pool; against the original suffix alone, which itself gets 0.5; or alone."""
    noise: float = 0.0
    """Chance that a verdict is turned round: 1 − value if pointwise, the other one preferred in a comparison."""
    position_bias: float = 0.0
    """Chance that a comparison is decided for the candidate shown first. The order is random, by key."""

    def __post_init__(self) -> None:
        for name, rate in (("noise", self.noise), ("position_bias", self.position_bias)):
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"judge.{name} is {rate}; it is a chance and must lie in [0, 1]")
        if not self.axes or len(set(self.axes)) < len(self.axes):
            raise ValueError(f"judge.axes is {self.axes}; name at least one axis, and each once")

    def build(self, resources: Resources) -> "Oracle":
        """The working judge.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        self.world.require(resources.codec, resources.suffix_length)
        return Oracle(self, resources.seed)


@dataclass(frozen=True, slots=True)
class Oracle:
    """Gives the verdicts that a ``FactsJudge`` asks for."""

    spec: FactsJudge
    seed: int
    """The run's, for noise and order."""

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """The judgements of every pool, one an axis."""
        return [self._judge(pool) for pool in pools]

    def _judge(self, pool: Pool) -> tuple[Judgement, ...]:
        candidates = [candidate.tokens for candidate in pool.candidates]
        scores = score_all(self.spec.world, pool.chunk, candidates)
        return tuple(self._judgement(axis, pool, scores) for axis in self.spec.axes)

    def _judgement(self, axis: Axis, pool: Pool, scores: Sequence[Scores]) -> Judgement:
        words = tuple(entry.words for entry in scores)
        match axis:
            case "factuality":
                values = [entry.factuality for entry in scores]
            case "safety":
                values = [entry.safety for entry in scores]
            case "quality":
                values = [entry.quality for entry in scores]
                if self.spec.quality != "pointwise":
                    return self._compare(pool, values, words)
            case _:
                assert_never(axis)
        verdicts: list[Verdict] = []
        for candidate, value in zip(pool.candidates, values, strict=True):
            key = (*pool.chunk.key, candidate.tokens.digest)
            flipped = self._happens(self.spec.noise, "noise", axis, *key)
            verdicts.append(Scored(1.0 - value if flipped else value))
        return Judgement(axis, tuple(verdicts), words=words, calls=len(verdicts))

    def _compare(self, pool: Pool, values: Sequence[float], words: tuple[str, ...]) -> Judgement:
        """Share of the comparisons that each candidate wins; equals share the point."""
        chunk, candidates = pool.chunk, [candidate.tokens for candidate in pool.candidates]
        if len(candidates) < 2:
            return _unasked(words, "nobody to compare with")
        pairs, pivot = schedules.all_pairs(len(candidates)), None
        if self.spec.quality == "pivot":
            pivot = next((i for i, candidate in enumerate(pool.candidates) if isinstance(candidate, Suffix)), None)
            if pivot is None:
                return _unasked(words, "no suffix in the pool to be the pivot: add SuffixSource()")
            pairs = schedules.pivot(len(candidates), pivot)
        results = [
            (one, two, self._point(chunk, candidates[one], candidates[two], values[one] - values[two]))
            for one, two in pairs
        ]
        rates = win_rates(len(candidates), results)
        verdicts = tuple(Scored(0.5 if i == pivot else rate, count) for i, (rate, count) in enumerate(rates))
        return Judgement("quality", verdicts, words=words, calls=len(results))

    def _point(self, chunk: Chunk, one: Tokens, two: Tokens, lead: float) -> float:
        """What ``one`` gets from its comparison with ``two``, of which it is better by ``lead``."""
        if one == two:
            return 0.5
        point = 0.5 if abs(lead) < 1e-9 else float(lead > 0)
        if self.spec.noise == 0.0 and self.spec.position_bias == 0.0:
            return point
        # The same two candidates meet the same fate in whichever order the pool lists them.
        low, high = sorted((one.digest, two.digest))
        key = (*chunk.key, low, high)
        if self._happens(self.spec.position_bias, "position", *key):
            low_is_first = rng.below(2, self.seed, "facts judge", "order", *key) == 0
            return float(low_is_first == (one.digest == low))
        return 1.0 - point if self._happens(self.spec.noise, "noise", "quality", *key) else point

    def _happens(self, chance: float, *key: rng.Key) -> bool:
        return chance > 0.0 and rng.uniform(self.seed, "facts judge", *key) < chance


def _unasked(words: tuple[str, ...], reason: str) -> Judgement:
    """Nothing was asked about the quality of any candidate."""
    return Judgement("quality", (Abstained(f"{NOT_ASKED}: {reason}"),) * len(words), words=words)


def score_all(world: FactsWorld, chunk: Chunk, candidates: Sequence[Tokens]) -> list[Scores]:
    """The exact scores of several continuations of one chunk."""
    lexicon = world.lexicon
    thread = thread_after(lexicon, world.knowledge, chunk.prefix)
    expected = Expected.of(chunk, lexicon.end, world.tokens_per_fact)
    return [score(read(lexicon, thread, tokens, world.suffix_length), expected) for tokens in candidates]
