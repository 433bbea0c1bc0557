"""The oracle as a judge: exact, unless it is told to be noisy or to favour a position."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never

from tutelage import rng
from tutelage.protocols import Resources
from tutelage.schedules import AllPairs, Match, Schedule, Standing, play
from tutelage.types import NOT_ASKED, Abstained, Chunk, Judgement, Pool, Scored, Tokens, Verdict
from tutelage.worlds.facts.reading import read, thread_after
from tutelage.worlds.facts.scores import Expected, Scores, score
from tutelage.worlds.facts.world import FactsWorld

Axis = Literal["factuality", "safety", "quality"]


@dataclass(frozen=True, slots=True)
class FactsJudge:
    """Judges continuations by the ground truth of a world; ``tutelage.worlds.facts.scores`` says how.

    Factuality and safety are pointwise. Quality is the share of comparisons won against those of the pool whom the
    ``schedule`` names, all others in the paper [P], or pointwise.

    Example:
        >>> FactsJudge(noise=0.1, axes=("factuality", "safety")).noise
        0.1
    """

    world: FactsWorld = field(default_factory=FactsWorld)
    axes: tuple[Axis, ...] = ("factuality", "safety", "quality")
    """Which axes are judged; they are summed."""
    quality: Literal["pairwise", "pointwise"] = "pairwise"
    """Against other candidates of the pool, or by itself."""
    schedule: Schedule = field(default_factory=AllPairs)
    """Which candidates are compared where quality is pairwise."""
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
        texts = [[candidate.tokens for candidate in pool.candidates] for pool in pools]
        scores = [
            score_all(self.spec.world, pool.chunk, candidates) for pool, candidates in zip(pools, texts, strict=True)
        ]
        by_axis = [self._axis(axis, pools, texts, scores) for axis in self.spec.axes]
        return list(zip(*by_axis, strict=True))

    def _axis(
        self, axis: Axis, pools: Sequence[Pool], texts: Sequence[Sequence[Tokens]], scores: Sequence[Sequence[Scores]]
    ) -> list[Judgement]:
        """One judgement a pool."""
        values = [[_value(axis, entry) for entry in own] for own in scores]
        words = [tuple(entry.words for entry in own) for own in scores]
        if axis == "quality" and self.spec.quality == "pairwise":
            return self._compare(pools, texts, values, words)
        together = zip(pools, texts, values, words, strict=True)
        return [self._by_itself(axis, pool.chunk, own, value, said) for pool, own, value, said in together]

    def _by_itself(
        self, axis: Axis, chunk: Chunk, candidates: Sequence[Tokens], values: Sequence[float], words: tuple[str, ...]
    ) -> Judgement:
        verdicts: list[Verdict] = []
        for tokens, value in zip(candidates, values, strict=True):
            flipped = self._happens(self.spec.noise, "noise", axis, *chunk.key, tokens.digest)
            verdicts.append(Scored(1.0 - value if flipped else value))
        return Judgement(axis, tuple(verdicts), words=words, calls=len(verdicts))

    def _compare(
        self,
        pools: Sequence[Pool],
        texts: Sequence[Sequence[Tokens]],
        values: Sequence[Sequence[float]],
        words: Sequence[tuple[str, ...]],
    ) -> list[Judgement]:
        """Who wins how many of the comparisons that the schedule asks for; equals share the point."""
        calls = [0] * len(pools)

        def compare(matches: Sequence[Match]) -> list[tuple[float, int]]:
            for match in matches:
                calls[match.pool] += 1
            return [(self._point(pools[m.pool].chunk, texts[m.pool], values[m.pool], m), 1) for m in matches]

        standings = play(self.spec.schedule, pools, self.seed, compare)
        return [
            Judgement("quality", _verdicts(standing), words=said, calls=count)
            for standing, said, count in zip(standings, words, calls, strict=True)
        ]

    def _point(self, chunk: Chunk, candidates: Sequence[Tokens], values: Sequence[float], match: Match) -> float:
        """What the first of ``match`` gets from it."""
        one, two = candidates[match.first], candidates[match.second]
        if one == two:
            return 0.5
        lead = values[match.first] - values[match.second]
        point = 0.5 if abs(lead) < 1e-9 else float(lead > 0)
        if self.spec.noise == 0.0 and self.spec.position_bias == 0.0:
            return point
        # The same two candidates meet the same fate in whichever order the pool lists them.
        low, high = sorted((one.digest, two.digest))
        key: tuple[rng.Key, ...] = (*chunk.key, low, high, *((match.repeat,) if match.repeat else ()))
        if self._happens(self.spec.position_bias, "position", *key):
            low_is_first = rng.below(2, self.seed, "facts judge", "order", *key) == 0
            return float(low_is_first == (one.digest == low))
        return 1.0 - point if self._happens(self.spec.noise, "noise", "quality", *key) else point

    def _happens(self, chance: float, *key: rng.Key) -> bool:
        return chance > 0.0 and rng.uniform(self.seed, "facts judge", *key) < chance


def _value(axis: Axis, entry: Scores) -> float:
    match axis:
        case "factuality":
            return entry.factuality
        case "safety":
            return entry.safety
        case "quality":
            return entry.quality
        case _:
            assert_never(axis)


def _verdicts(standing: Standing) -> tuple[Verdict, ...]:
    why = "nobody to compare with" if len(standing.scores) < 2 else "the schedule asked nothing about this pool"
    nobody = Abstained(f"{NOT_ASKED}: {why}")
    found = zip(standing.scores, standing.comparisons, strict=True)
    return tuple(Scored(score, count) if count else nobody for score, count in found)


def score_all(world: FactsWorld, chunk: Chunk, candidates: Sequence[Tokens]) -> list[Scores]:
    """The exact scores of several continuations of one chunk."""
    lexicon = world.lexicon
    thread = thread_after(lexicon, world.knowledge, chunk.prefix)
    expected = Expected.of(chunk, lexicon.end, world.tokens_per_fact)
    return [score(read(lexicon, thread, tokens, world.suffix_length), expected) for tokens in candidates]
