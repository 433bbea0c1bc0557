"""Over-optimisation made visible: how often a judge prefers the policy to the author, and how often it is right to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tutelage import rng
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.protocols import Judge, JudgeSpec, Resources, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Abstained, JudgedPool, Judgement, Pool, Rollout, Suffix
from tutelage.worlds.facts.judge import FactsJudge
from tutelage.worlds.facts.world import FactsWorld


@dataclass(frozen=True, slots=True)
class FactsWins:
    """The share of held-out prefixes behind which the policy beats the author's suffix, by judges and by the oracle.

    One rollout (T = 1) a prefix against the suffix, by the sum over axes, one half for a draw: ``NAME/judges`` and
    ``NAME/oracle``. Where the first rises and the second does not, the policy has learnt to please the judges.
    """

    judges: tuple[JudgeSpec, ...]
    """Those of the run."""
    world: FactsWorld = field(default_factory=FactsWorld)
    prefixes: int = 100
    """How many, as the corpus comes."""
    offset: int = 400
    """How many of the evaluation prefixes are passed over: reports measure the first ones."""
    name: str = "wins"
    """What the metrics are called."""

    def __post_init__(self) -> None:
        require(self, "prefixes", at_least=1)
        require(self, "offset", at_least=0)

    def build(self, resources: Resources) -> "WinsEvaluator":
        """The working evaluator, judges and oracle built.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        self.world.require(resources.codec, resources.suffix_length)
        oracle = (FactsJudge(self.world).build(resources),)
        return WinsEvaluator(self, resources, tuple(one.build(resources) for one in self.judges), oracle)


@dataclass(frozen=True, slots=True, eq=False)
class WinsEvaluator:
    """``FactsWins`` at work."""

    spec: FactsWins
    resources: Resources
    judges: tuple[Judge, ...]
    oracle: tuple[Judge, ...]

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """Both shares; one that no judge could tell is left out."""
        pools = self._pools(policy)
        shares = {"judges": wins(pools, self.judges), "oracle": wins(pools, self.oracle)}
        return {f"{self.spec.name}/{who}": share for who, share in shares.items() if share is not None}

    def _pools(self, policy: Policy) -> list[Pool]:
        spec = self.spec
        chunks = spec.world.evaluation_chunks("natural", spec.prefixes, offset=spec.offset)
        requests = [
            SampleRequest(chunk.prefix, (rng.seed(self.resources.seed, "wins", *chunk.key),), spec.world.suffix_length)
            for chunk in chunks
        ]
        answers = InProcessSampler(policy, eos=self.resources.codec.eos).sample(requests)
        return [
            Pool(chunk, (Suffix(chunk.suffix), Rollout(one.tokens, one.logprobs, 0, 0, 1.0, 1.0, one.finish)))
            for chunk, (one,) in zip(chunks, answers, strict=True)
        ]


def wins(pools: Sequence[Pool], judges: Sequence[Judge]) -> float | None:
    """How often the second candidate of a pool beats the first; pools without a verdict on both are left out."""
    said: list[list[Judgement]] = [[] for _ in pools]
    for judge in judges:
        for mine, judgements in zip(said, judge.judge(pools), strict=True):
            mine += judgements
    points: list[float] = []
    for pool, judgements in zip(pools, said, strict=True):
        first, second = JudgedPool(pool, tuple(judgements)).totals
        if not isinstance(first, Abstained) and not isinstance(second, Abstained):
            lead = second.value - first.value
            points.append(0.5 if abs(lead) < 1e-9 else float(lead > 0))
    return sum(points) / len(points) if points else None
