"""What group-relative objectives compare: the completions of one prompt, whichever task they come from."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tutelage.episodes import EpisodeGroup
from tutelage.metrics import Mean, Metric
from tutelage.objectives.lesson import prefix_segments
from tutelage.objectives.turns import is_sampled
from tutelage.types import Abstained, Floats, JudgedPool, Rollout, Scored, Segment, Tokens


@dataclass(frozen=True, slots=True)
class Completion:
    """What the policy wrote behind a prompt, and what it earned."""

    tokens: Tokens
    logprobs: Floats
    """Behaviour log-probabilities in nats."""
    reward: float
    turn: int = 0
    """1 where it is an attempt at a problem, 0 where it continues a document."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The completions of one prompt; those without a verdict are counted and left out."""

    prompt: Callable[[float], tuple[Segment, ...]]
    """The prompt as the trunk of a row, with this weight of the next-token loss on it."""
    completions: tuple[Completion, ...]
    asked: int
    """Completions of the policy, those without a verdict too."""
    silent: int
    """Completions without a verdict."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.rewards)):
            raise ValueError(
                f"a score must be finite, got {self.rewards}; what could not be judged is Abstained(reason)"
            )

    @property
    def rewards(self) -> list[float]:
        """One a completion."""
        return [one.reward for one in self.completions]

    @property
    def has_spread(self) -> bool:
        """Whether some completion earned more than another."""
        return len(self.completions) > 1 and max(self.rewards) > min(self.rewards)

    @property
    def metrics(self) -> dict[str, Metric]:
        """What became of the group, under the names that ``lesson.choose`` uses."""
        rewards, spread = self.rewards, self.has_spread
        found: dict[str, Metric] = {
            "pool/taught": Mean(float(spread), 1),
            "pool/tie": Mean(float(len(rewards) > 1 and not spread), 1),
            "pool/too_few": Mean(float(len(rewards) < 2), 1),
            "pool/abstained": Mean(float(self.silent), self.asked),
        }
        if rewards:
            found["pool/score_mean"] = Mean(sum(rewards), len(rewards))
            found["pool/score_spread"] = Mean(max(rewards) - min(rewards), 1)
        return found


def rollouts_of(judged: JudgedPool) -> Compared:
    """The rollouts of a pool; its other candidates only took part in the judging.

    Raises:
        ValueError: a rollout was sampled at another temperature or top_p than 1, against which a ratio is biased
            without a sign of it; or a score is not finite.
    """
    pairs = zip(judged.pool.candidates, judged.totals, strict=True)
    rollouts = [(one, total) for one, total in pairs if isinstance(one, Rollout)]
    scored = [(one, total.value) for one, total in rollouts if isinstance(total, Scored) and len(one.tokens)]
    for one, _ in scored:
        if one.temperature != 1.0 or one.top_p != 1.0:
            raise ValueError(
                f"GRPO needs rollouts at temperature 1 and top_p 1, not {one.temperature} and {one.top_p}: "
                "its ratio compares the policy with the distribution that was sampled from"
            )
    return Compared(
        lambda ntp_weight: prefix_segments(judged.pool.chunk, ntp_weight),
        tuple(Completion(one.tokens, one.logprobs, reward) for one, reward in scored),
        asked=len(rollouts),
        silent=sum(isinstance(total, Abstained) for _, total in rollouts),
    )


def attempts_of(group: EpisodeGroup) -> Compared:
    """The attempts at a problem, one an episode.

    Raises:
        ValueError: an episode has several attempts, or a reward is not finite.
    """
    if any(len(episode.turns) != 1 for episode in group.episodes):
        raise ValueError(
            f"GRPO learns from one attempt an episode, and those of problem {group.problem.id} have more: set "
            "task.turns to 1, or take an objective that gives credit by turn"
        )
    turns = [episode.turns[0] for episode in group.episodes if is_sampled(episode.turns[0])]
    scored = [(turn, turn.reward.value) for turn in turns if isinstance(turn.reward, Scored)]
    prompt = turns[0].prompt if turns else Tokens([])
    return Compared(
        lambda ntp_weight: (Segment(prompt, ntp_weight=ntp_weight),),
        tuple(Completion(turn.completion, turn.logprobs, reward, turn=1) for turn, reward in scored),
        asked=len(turns),
        silent=len(turns) - len(scored),
    )
