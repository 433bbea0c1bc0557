"""How well a policy solves and corrects while it trains, and whether it checks, copies or retries what it wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tutelage.correction import Exam
from tutelage.correction.outcomes import figures_of, outcomes_of
from tutelage.episodes import EpisodeGroup, Turn
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.types import Scored
from tutelage.worlds.signed_sum.language import Language
from tutelage.worlds.signed_sum.task import sums_task
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split


@dataclass(frozen=True, slots=True)
class SignedSumEvaluation:
    """Two attempts at each of some held-out problems while a run trains, drawn the same at every evaluation.

    The metrics, in points: ``t1``, ``t2``, ``delta``, ``i_to_c``, ``c_to_i``, ``change_rate``, ``mended`` as everywhere
    (``correction.outcomes``), and those of ``diagnosis``; a share of nothing is left out.
    """

    world: SignedSumWorld = field(default_factory=SignedSumWorld)
    split: Split = "validation"
    """Where the problems come from. What a run is watched or tuned by must not be ``test``."""
    problems: int = 400
    """How many; at most as many as there are."""
    episodes: int = 1
    """Of each problem; greedily always one."""
    temperature: float = 1.0
    """0 decodes greedily."""
    name: str = "sums"
    """What the metrics are called: ``evaluation/NAME_t1``."""

    def __post_init__(self) -> None:
        require(self, "problems", "episodes", at_least=1)
        require(self, "temperature", at_least=0)

    def build(self, resources: Resources) -> "SignedSumEvaluator":
        """The working evaluator.

        Raises:
            ValueError: the run's tokenizer is not the world's, or the split has no problem.
        """
        self.world.require(resources.codec)
        task = sums_task(self.world, self.split, self.episodes)
        task.problems.read()
        return SignedSumEvaluator(self, Exam(task, self.problems, self.temperature), resources)


@dataclass(frozen=True, slots=True)
class SignedSumEvaluator:
    """``SignedSumEvaluation`` at work."""

    spec: SignedSumEvaluation
    exam: Exam
    resources: Resources

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """``NAME_FIGURE`` of every figure that is defined."""
        groups = self.exam.episodes_of(self.resources)
        figures = figures_of(outcomes_of(groups).sums().sum(axis=0))
        told = {name: float(value) for name, value in figures.items()} | diagnosis(self.spec.world.language, groups)
        return {f"{self.spec.name}_{name}": value for name, value in told.items() if np.isfinite(value)}


def diagnosis(language: Language, groups: Sequence[EpisodeGroup]) -> dict[str, float]:
    """What tells failures apart, in points; what is a share of nothing is not a number.

    ``fix_if_wrong`` and ``fix_if_right``: verdicts ``FIX`` among first attempts that were so. Both low is a collapse
    into copies, both high a policy that retries whatever it wrote; apart, it checks. ``malformed``: episodes in which
    either attempt is without an answer.
    """
    pairs = [(episode.turns[0], episode.turns[-1]) for group in groups for episode in group.episodes]
    right = np.array([_is_right(first) for first, _ in pairs], np.bool_)
    doubted = np.array([last.completion.tolist()[:1] == [language.change] for _, last in pairs], np.bool_)
    malformed = np.array([None in (first.answer, last.answer) for first, last in pairs], np.bool_)
    shares = {"fix_if_wrong": doubted[~right], "fix_if_right": doubted[right], "malformed": malformed}
    return {name: 100.0 * float(flags.mean()) if len(flags) else float("nan") for name, flags in shares.items()}


def _is_right(turn: Turn) -> bool:
    return isinstance(turn.reward, Scored) and turn.reward.value == 1.0
