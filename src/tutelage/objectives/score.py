"""SCoRe (arXiv 2409.12917): a policy learns to correct its own attempts, in two stages.

Stage I teaches the second attempt while the first stays what it was; Stage II teaches both, the second with a bonus for
what it mends. Both are REINFORCE with the mean of the problem's other episodes as baseline, turn by turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage.collate import Batch
from tutelage.episodes import EpisodeGroup
from tutelage.maths.credit import shaped_rewards
from tutelage.maths.ranges import require
from tutelage.metrics import Mean
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

DRIFT = "kl/turn1"
"""The metric that an adaptive β2 follows."""
DRIFT_STEPS = 8
"""Over so many steps [I]."""
MOST_ADAPTED = 10.0
"""β2 is never more than so many times stronger or weaker than its setting [I]."""


@dataclass(frozen=True, slots=True)
class StageOne:
    """Stage I (Eq. 3 of 2409.12917): reward on one attempt, all before it held to the reference.

    L = −(1/E) Σ_e [A_2 log π(y_2|x_2)] + β2 KL(π‖ref)(y_1) + β1 KL(π‖ref)(y_2), sums over an attempt's tokens. The
    leash on the first attempt has its gradient on that attempt's own tokens; folded into the reward of the second it
    would hold nothing.

    With three attempts Stage I (b) is ``turn=3``, whose leash β2 is on both attempts before it (App. A.1) [P].

    Deviations: E counts the step's episodes [I]; the estimator of the KL and its sum over tokens are ours [I].
    """

    turn: int = 2
    """The attempt that is rewarded, counted from 1; those after it are not trained."""
    beta2: float = 0.1
    """Weight of the leash on the attempts before it: 0.1 for maths, 0.25 for code [P]."""
    beta1: float = 0.01
    """Weight of the leash on the attempt itself [P]."""
    leash: Leash = "token"
    """Whether the divergence is that of each token or of whole attempts [I]."""
    kl_target: float | None = None
    """Adapt β2: it is multiplied by the mean of ``kl/turn1`` over 8 steps, divided by this (nats a token), at least by
    a tenth and at most by ten. The paper has an optional rule that it does not state; this one is ours [I]."""
    std: bool = False
    """Divide advantages by their standard deviation over the problem's episodes; the paper does not [I]."""

    def __post_init__(self) -> None:
        require(self, "turn", at_least=2)
        require(self, "beta1", "beta2", at_least=0)
        require(self, "kl_target", above=0)

    @property
    def needs_reference(self) -> bool:
        """Only with a leash."""
        return self.beta1 > 0 or self.beta2 > 0

    @property
    def follows(self) -> Mapping[str, int]:
        """The divergence of first attempts, where β2 is to be adapted."""
        return {} if self.kl_target is None else {DRIFT: DRIFT_STEPS}

    def adapted(self, history: Mapping[str, tuple[float, ...]]) -> "StageOne":
        """The same with β2 stronger where first attempts have drifted further than ``kl_target``, weaker where less."""
        values = history.get(DRIFT, ())
        if self.kl_target is None or not values:
            return self
        excess = sum(values) / len(values) / self.kl_target
        return replace(self, beta2=self.beta2 * min(max(excess, 1 / MOST_ADAPTED), MOST_ADAPTED))

    def lesson(self, group: EpisodeGroup) -> Lesson:
        """Credit on the rewarded attempt alone, leashes on it and on those before it.

        Raises:
            ValueError: an episode has no such attempt.
        """
        turns = require_turns(group, self.turn, "StageOne")
        advantages = advantages_by_turn(group, list, (self.turn - 1,), std=self.std)
        before, after = self.turn - 1, turns - self.turn
        found = episodes_lesson(group, advantages, [self.beta2] * before + [self.beta1] + [0.0] * after)
        return replace(found, metrics={**found.metrics, "policy/beta2": Mean(self.beta2, 1)})

    def counts(self, batch: Batch) -> Counts:
        """Episodes."""
        return episode_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """REINFORCE and the leashes."""
        return reinforce(policy, reference, batch, self.leash)


@dataclass(frozen=True, slots=True)
class StageTwo:
    """Stage II (Eq. 4 of 2409.12917): every attempt by its own reward, later ones with a bonus for what they mend.

    L = −(1/E) Σ_e Σ_i [A_i log π(y_i|x_i)] + β1 KL(π‖ref)(y_i) with A_1 of r_1 and A_2 of r_2 + α (r_2 − r_1), each on
    its own attempt's tokens (γ = 0, App. A) [P]. ``alpha=0`` is the ablation without shaping.

    In expectation the bonus multiplies turn 2's gradient by 1 + α and does nothing else: −α r_1 does not depend on what
    the second attempt writes. It is the weight of turn 2 against turn 1 and against the leash. So ``std`` is off:
    divided by the standard deviation of its own turn, the credit r_2 + α (r_2 − r_1) loses that factor again.

    Deviations: the paper does not name the reference of Stage II; a phase's default is the policy as the phase began,
    ``Initial`` is the base [I]. The leave-one-out baseline is that of Eq. 2's source, its k is not stated [I].
    """

    alpha: float = 10.0
    """α: weight of the bonus [P]."""
    beta1: float = 0.01
    """Weight of the leash on every attempt [P]."""
    leash: Leash = "token"
    """Whether the divergence is that of each token or of whole attempts [I]."""
    std: bool = False
    """Divide advantages by their standard deviation over the problem's episodes; mostly cancels α."""

    def __post_init__(self) -> None:
        require(self, "alpha", "beta1", at_least=0)

    @property
    def needs_reference(self) -> bool:
        """Only with a leash."""
        return self.beta1 > 0

    def lesson(self, group: EpisodeGroup) -> Lesson:
        """Credit and leash on every attempt.

        Raises:
            ValueError: an episode has a single attempt.
        """
        turns = require_turns(group, 2, "StageTwo")

        def credit(rewards: Sequence[float | None]) -> list[float | None]:
            return shaped_rewards(rewards, self.alpha)

        advantages = advantages_by_turn(group, credit, range(turns), std=self.std)
        return episodes_lesson(group, advantages, [self.beta1] * turns)

    def counts(self, batch: Batch) -> Counts:
        """Episodes."""
        return episode_counts(batch)

    def loss(self, policy: Scores, reference: Scores | None, batch: Batch) -> Loss:
        """REINFORCE and the leashes."""
        return reinforce(policy, reference, batch, self.leash)
