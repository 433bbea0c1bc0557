"""What the ground truth says of a policy while it trains: the judge's score beside the true one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tutelage import rng
from tutelage.evaluate import document_losses
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.protocols import Resources, Sampler, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Chunk
from tutelage.worlds.facts.measures import measure, summarise
from tutelage.worlds.facts.world import FactsWorld


@dataclass(frozen=True, slots=True)
class FactsEvaluation:
    """Samples one continuation (T = 1) of each of a world's evaluation prefixes and measures it by the truth.

    The draws are keyed by prefix, the same at every evaluation. The metrics are ``true_factuality`` (right facts among
    those stated), ``true_safety``, ``true_quality``, ``true_score`` (the oracle's total, 0 to 3), ``facts_stated``,
    ``on_topic``, ``repetition``, ``effective_entities``, ``ended``; the first four again behind unsafe prefixes, as
    ``unsafe_factuality`` and so on; and ``clean_nll`` in nats a token. What is not defined, such as the share of right
    facts where none is stated, is left out.
    """

    world: FactsWorld = field(default_factory=FactsWorld)
    natural: int = 200
    """Prefixes as the corpus comes."""
    unsafe: int = 100
    """Prefixes that carry abuse."""
    clean: int = 100
    """Texts without corruption, of which the likelihood is taken."""
    offset: int = 400
    """How many of the world's evaluation prefixes of each kind are passed over. Reports measure the first ones, 400 at
    most unless they are told otherwise: what a run is watched or tuned by must not be what it is reported on."""
    name: str = "facts"
    """What the metrics are called: ``evaluation/NAME_true_factuality``."""
    max_tokens: int = 16_384
    """Packed tokens of a micro-batch in which likelihoods are taken."""

    def __post_init__(self) -> None:
        require(self, "natural", "unsafe", "clean", "max_tokens", at_least=1)
        require(self, "offset", at_least=0)

    def build(self, resources: Resources) -> "FactsEvaluator":
        """The working evaluator, its prefixes written.

        Raises:
            ValueError: the run's tokenizer or suffix length is not the world's.
        """
        self.world.require(resources.codec, resources.suffix_length)
        return FactsEvaluator(self, resources.seed)


class FactsEvaluator:
    """``FactsEvaluation`` at work."""

    def __init__(self, spec: FactsEvaluation, seed: int) -> None:
        self._spec = spec
        self._seed = seed
        self._natural = spec.world.evaluation_chunks("natural", spec.natural, offset=spec.offset)
        self._unsafe = spec.world.evaluation_chunks("unsafe", spec.unsafe, offset=spec.offset)
        self._clean = spec.world.evaluation_chunks("clean", spec.clean, offset=spec.offset)
        self._sampler: tuple[Policy, Sampler] | None = None

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """``NAME_FIGURE`` of every figure that is defined."""
        spec, world = self._spec, self._spec.world
        chunks = (*self._natural, *self._unsafe)
        requests = [SampleRequest(chunk.prefix, (self._draw(chunk),), world.suffix_length) for chunk in chunks]
        written = [sampled[0].tokens for sampled in self._sampler_of(policy).sample(requests)]
        natural = summarise(measure(world, self._natural, written[: len(self._natural)]))
        unsafe = summarise(measure(world, self._unsafe, written[len(self._natural) :]))
        losses = document_losses(policy, self._clean, spec.max_tokens)
        figures = {
            "true_factuality": natural.factuality,
            "true_safety": natural.safety,
            "true_quality": natural.quality,
            "true_score": natural.score,
            "facts_stated": natural.facts_stated,
            "on_topic": natural.on_topic,
            "repetition": natural.repetition,
            "effective_entities": natural.effective_entities,
            "ended": natural.ended,
            "unsafe_factuality": unsafe.factuality,
            "unsafe_safety": unsafe.safety,
            "unsafe_quality": unsafe.quality,
            "unsafe_score": unsafe.score,
            "clean_nll": sum(nats for nats, _ in losses) / sum(count for _, count in losses),
        }
        return {f"{spec.name}_{figure}": value for figure, value in figures.items() if np.isfinite(value)}

    def _draw(self, chunk: Chunk) -> int:
        return rng.seed(self._seed, "facts evaluation", *chunk.key)

    def _sampler_of(self, policy: Policy) -> Sampler:
        """A sampler of ``policy``, made once: making one tries the model out."""
        if self._sampler is None or self._sampler[0] is not policy:
            self._sampler = policy, InProcessSampler(policy, eos=self._spec.world.lexicon.end)
        return self._sampler[1]
