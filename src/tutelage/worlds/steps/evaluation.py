"""How well a policy finds results: mean@k at the papers' temperature, and how much it thinks for that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tutelage import rng
from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.protocols import Codec, Resources, Sampler, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Scored
from tutelage.worlds.steps.language import TAGS
from tutelage.worlds.steps.verifier import ResultChecker
from tutelage.worlds.steps.world import Split, StepsWorld

SAMPLES, TEMPERATURE, TOP_P = 16, 0.6, 0.95
"""mean@16 at T = .6 and top-p .95 [P]."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What became of ``S`` answers to each of ``Q`` questions; both arrays have shape ``(Q, S)``."""

    right: NDArray[np.bool_]
    thought: NDArray[np.int64]
    """Tokens of all thoughts in an answer, tags included."""

    def figures(self) -> dict[str, float]:
        """``accuracy`` is mean@S, ``any_right`` pass@S, ``thinks`` the share of answers with a thought."""
        return {
            "accuracy": float(self.right.mean()),
            "any_right": float(self.right.any(axis=1).mean()),
            "thinks": float((self.thought > 0).mean()),
            "thought_tokens": float(self.thought.mean()),
        }


def answer(
    world: StepsWorld,
    codec: Codec,
    sampler: Sampler,
    problems: Sequence[Problem],
    *,
    seed: int,
    samples: int = SAMPLES,
    temperature: float = TEMPERATURE,
    top_p: float = TOP_P,
) -> Answers:
    """``samples`` answers to each problem, drawn by ``seed`` and the problem alone."""
    requests = [
        SampleRequest(
            codec.encode(problem.question),
            tuple(rng.seed(seed, "steps", "answer", problem.id, k) for k in range(samples)),
            2 * world.thought_length + world.result_length + 1,
            temperature,
            top_p,
        )
        for problem in problems
    ]
    texts = [codec.decode(one.tokens) for sampled in sampler.sample(requests) for one in sampled]
    verdicts = ResultChecker().check([problem for problem in problems for _ in range(samples)], texts)
    right = np.array([isinstance(verdict, Scored) and verdict.value == 1.0 for verdict in verdicts], np.bool_)
    thought = np.array([thought_tokens(text) for text in texts], np.int64)
    return Answers(right.reshape(-1, samples), thought.reshape(-1, samples))


def thought_tokens(text: str) -> int:
    """Words from the first opening tag to the last closing one, or to the end where none closes."""
    if TAGS.opening not in text:
        return 0
    thought = text[text.index(TAGS.opening) :]
    end = thought.rfind(TAGS.closing)
    return len((thought if end < 0 else thought[: end + len(TAGS.closing)]).split())


@dataclass(frozen=True, slots=True)
class StepsEvaluation:
    """mean@16 on some held-out questions while a run trains: ``NAME_accuracy`` and all else of ``Answers.figures``."""

    world: StepsWorld = field(default_factory=StepsWorld)
    split: Split = "validation"
    """Where the questions come from. What a run is watched or tuned by must not be ``test``."""
    problems: int = 64
    """How many."""
    samples: int = SAMPLES
    """Answers to each [P]."""
    temperature: float = TEMPERATURE
    """Of the sampling [P]."""
    top_p: float = TOP_P
    """Mass of the nucleus that is sampled from [P]."""
    name: str = "steps"
    """What the metrics are called."""

    def __post_init__(self) -> None:
        require(self, "problems", "samples", at_least=1)
        require(self, "temperature", at_least=0)
        require(self, "top_p", above=0, at_most=1)

    def build(self, resources: Resources) -> "StepsEvaluator":
        """The working evaluator.

        Raises:
            ValueError: the run's tokenizer is not the world's.
        """
        self.world.require(resources.codec)
        return StepsEvaluator(self, resources)


class StepsEvaluator:
    """``StepsEvaluation`` at work."""

    def __init__(self, spec: StepsEvaluation, resources: Resources) -> None:
        self._spec = spec
        self._resources = resources
        self._problems = spec.world.problems(spec.split, spec.problems)
        self._sampler: tuple[Policy, Sampler] | None = None

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """``NAME_FIGURE`` of every figure."""
        spec, codec = self._spec, self._resources.codec
        found = answer(
            *(spec.world, codec, self._sampler_of(policy), self._problems),
            seed=self._resources.seed,
            samples=spec.samples,
            temperature=spec.temperature,
            top_p=spec.top_p,
        )
        return {f"{spec.name}_{figure}": value for figure, value in found.figures().items()}

    def _sampler_of(self, policy: Policy) -> Sampler:
        """A sampler of ``policy``, made once: making one tries the model out."""
        if self._sampler is None or self._sampler[0] is not policy:
            self._sampler = policy, InProcessSampler(policy, eos=self._resources.codec.eos)
        return self._sampler[1]
