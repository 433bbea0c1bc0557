"""How well a policy solves and corrects itself on problems that it is not trained on, while it trains."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tutelage.correction.asking import posing
from tutelage.correction.problems import ProblemReader
from tutelage.correction.task import Correction
from tutelage.maths.ranges import require
from tutelage.metrics import reduce
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.ranks import OneRank


@dataclass(frozen=True, slots=True)
class HeldOutCorrections:
    """Episodes on held-out problems, counted as those of training are.

    With ``task.first_attempts`` at a share of 1 every episode begins with a fixed attempt of another model: beside the
    policy's own, over training, that is the distribution shift of 2409.12917 Fig. 5 [P]. With another instruction it is
    the control that asks for a second answer and not for a correction.
    """

    task: Correction
    """The problems, and how they are asked."""
    problems: int = 200
    """How many are asked, drawn by their ids, the same ones every time; at most as many as there are."""
    temperature: float = 0.0
    """0 decodes greedily [P], for which one episode a problem is enough."""
    name: str = "held_out"
    """What the metrics are called."""

    def __post_init__(self) -> None:
        require(self, "problems", at_least=1)
        require(self, "temperature", at_least=0)

    def build(self, resources: Resources) -> "CorrectionEvaluator":
        """Read the problems once; of a greedy policy each gets a single episode.

        Raises:
            ValueError: none of them can be used.
        """
        task = replace(self.task, episodes=1) if self.temperature == 0 else self.task
        reader = task.open(resources.seed, resources.codec, self.problems)
        return CorrectionEvaluator(replace(self, task=task), reader, resources)


@dataclass(frozen=True, slots=True, eq=False)
class CorrectionEvaluator:
    """``HeldOutCorrections`` at work."""

    spec: HeldOutCorrections
    reader: ProblemReader
    resources: Resources

    def evaluate(self, policy: Policy) -> Mapping[str, float]:
        """``NAME/accuracy/turn1``, ``NAME/correction/delta`` and all else that is counted of episodes."""
        with posing(self.spec.task, self.reader, self.resources, self.spec.temperature) as experience:
            take = experience.take(len(self.reader))
        numbers = reduce(take.metrics, OneRank())
        return {f"{self.spec.name}/{name}": value for name, value in numbers.items() if not name.startswith("seconds/")}
