"""What all arms share. Chosen by short trials on seed 0, which is none of the seeds that are reported."""

from dataclasses import dataclass, field

from tutelage.maths.ranges import require
from tutelage.worlds.steps import StepsTeacher, StepsWorld

SEEDS = (21, 22, 23)
"""Of the study; no setting was ever chosen on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingSetting:
    """One world, one teacher, one budget."""

    world: StepsWorld = field(default_factory=StepsWorld)
    """Of mid-training and of all questions."""
    teacher: StepsTeacher = StepsTeacher(skipped=0.3)
    """Its thoughts are true, and too short for so small a model."""
    base_steps: int = 250
    """On chains of one step and of two: what a base knows."""
    reasoner_tokens: int = 1_200_000
    """Of the base that already reasons: text whose thoughts leave nothing out."""
    tokens: int = 1_200_000
    """Trained by every arm of mid-training, packed; by the compute-matched one as many as take another's operations."""
    sft_share: float = 0.7
    """Share of them that ``thought_sft_rl`` imitates, before it practises."""
    documents_per_step: int = 128
    """Of supervised updates."""
    learning_rate: float = 0.02
    """Of supervised updates."""
    groups_per_step: int = 16
    """Documents or problems of an update by RL."""
    group: int = 16
    """Rollouts of each."""
    rl_learning_rate: float = 0.004
    """Of updates by RL, on documents and on problems."""
    rlvr_steps: int = 100
    """Updates by RL with verifiable reward after each arm."""
    questions: int = 200
    """Test questions, the same for all arms and seeds."""
    probed: int = 400
    """Documents whose thoughts are exchanged."""
    augmented: int = 1000
    """Documents of real text that a scripted teacher writes thoughts into."""

    def __post_init__(self) -> None:
        require(self, "base_steps", "reasoner_tokens", "tokens", "documents_per_step", "rlvr_steps", at_least=1)
        require(self, "groups_per_step", "questions", "augmented", at_least=1)
        require(self, "group", "probed", at_least=2)
        require(self, "sft_share", above=0, at_most=1)

    @property
    def sampled_a_step(self) -> int:
        """Tokens that are read or written to sample for one update of practice, at most.

        Each prompt once, and every rollout as long as it may be: groups that tied, and what was cut off, cost as much.
        """
        prompt = self.world.question_length + 1
        return self.groups_per_step * (prompt + self.group * (self.world.thought_length + self.world.result_length))
