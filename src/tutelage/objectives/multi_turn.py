"""The baselines of SCoRe that are RL too: naive multi-turn RL, and RL on the first attempt alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.collate import Batch
from tutelage.episodes import EpisodeGroup
from tutelage.maths.credit import returns_to_go, shaped_rewards
from tutelage.maths.ranges import require
from tutelage.objectives.lesson import Counts, Lesson, Loss
from tutelage.objectives.turns import (
    Leash,
    advantages_by_turn,
    episode_counts,
    episodes_lesson,
    reinforce,
    require_turns,
)
from tutelage.scoring import Scores


@dataclass(frozen=True, slots=True)
class MultiTurn:
    """Naive multi-turn RL (Eq. 1 and §5 of 2409.12917): the sum of the rewards, without stages.

    L = −(1/E) Σ_e Σ_i [A_i log π(y_i|x_i)] + β1 KL(π‖ref)(y_i) with A_i of r_i + γ r_{i+1} + …

    ``trained="last"`` is the paper's baseline of Fig. 6: the last attempt alone is trained [P], whose return is its own
    reward, since those before are the same whatever it writes. ``trained="all"`` credits the first attempt with the sum
    as well; with ``alpha`` above 0 and a discount the bonus then leaks to it, which is App. A's failure [P].
    """

    trained: Literal["last", "all"] = "last"
    """Which attempts are trained and leashed."""
    discount: float = 1.0
    """γ: how much of the next attempt's return an attempt is credited with; 1 is the sum [P]."""
    alpha: float = 0.0
    """α of the bonus r_i − r_{i−1}, before returns are taken; 0 is naive."""
    beta1: float = 0.01
    """Weight of the leash [P]."""
    leash: Leash = "token"
    """Whether the divergence is that of each token or of whole attempts [I]."""
    std: bool = False
    """Divide advantages by their standard deviation over the problem's episodes."""

    def __post_init__(self) -> None:
        require(self, "discount", at_least=0, at_most=1)
        require(self, "alpha", "beta1", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """Only with a leash."""
        return self.beta1 > 0

    def lesson(self, group: EpisodeGroup) -> Lesson:
        """Returns as credit, on the last attempt or on all.

        Raises:
            ValueError: an episode has a single attempt.
        """
        turns = require_turns(group, 2, "MultiTurn")
        first = turns - 1 if self.trained == "last" else 0

        def credit(rewards: Sequence[float | None]) -> list[float | None]:
            return returns_to_go(shaped_rewards(rewards, self.alpha), self.discount)

        advantages = advantages_by_turn(group, credit, range(first, turns), std=self.std)
        return episodes_lesson(group, advantages, [0.0] * first + [self.beta1] * (turns - first))

    def counts(self, batch: Batch) -> Counts:
        """Episodes."""
        return episode_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """REINFORCE and the leash."""
        return reinforce(policy, reference, batch, self.leash)


@dataclass(frozen=True, slots=True)
class SingleTurn:
    """RL on the first attempt alone: Table 4's row without multi-turn training (2409.12917) [P].

    L = −(1/E) Σ_e [A_1 log π(y_1|x_1)] + β1 KL(π‖ref)(y_1). Attempts after the first are not looked at: with
    ``task.turns=1`` none is sampled.
    """

    beta1: float = 0.01
    """Weight of the leash [P]."""
    leash: Leash = "token"
    """Whether the divergence is that of each token or of whole attempts [I]."""
    std: bool = False
    """Divide advantages by their standard deviation over the problem's episodes."""

    def __post_init__(self) -> None:
        require(self, "beta1", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """Only with a leash."""
        return self.beta1 > 0

    def lesson(self, group: EpisodeGroup) -> Lesson:
        """Credit and leash on the first attempt."""
        turns = require_turns(group, 1, "SingleTurn")
        advantages = advantages_by_turn(group, list, (0,), std=self.std)
        return episodes_lesson(group, advantages, [self.beta1] + [0.0] * (turns - 1))

    def counts(self, batch: Batch) -> Counts:
        """Episodes."""
        return episode_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """REINFORCE and the leash."""
        return reinforce(policy, reference, batch, self.leash)
