"""What objectives on episodes share: credit by attempt, rows of episodes, and REINFORCE with a leash on each attempt.

Credit is local: what is written on an attempt's segment reaches the tokens of no other attempt.
"""

from collections.abc import Callable, Sequence
from typing import Literal, assert_never

import torch
from torch import Tensor

from tutelage.collate import Batch
from tutelage.episodes import Episode, EpisodeGroup, Turn
from tutelage.maths.credit import group_advantages
from tutelage.maths.losses import (
    behaviour_ratio,
    kl_of_attempts,
    kl_policy_to_reference,
    kl_reference_to_policy,
    reinforce_loss,
)
from tutelage.metrics import Mean, Metric
from tutelage.objectives.lesson import Counts, Lesson, Loss, entropy_metric, zero
from tutelage.scoring import Scores
from tutelage.types import Group, Row, Scored, Segment

Leash = Literal["token", "attempt"]
"""Whose divergence from the reference is held down: each ``token``'s, given what stands before it, or the whole
``attempt``'s, with what a token does to those after it."""

Rewards = Sequence[float | None]
"""Of an episode, one an attempt; ``None`` where no verdict was reached."""


def rewards_of(episode: Episode) -> list[float | None]:
    """The verdicts on an episode's attempts as numbers."""
    return [turn.reward.value if isinstance(turn.reward, Scored) else None for turn in episode.turns]


def is_sampled(turn: Turn) -> bool:
    """Whether the policy wrote this attempt: only then is it trained, and only then does it count in a baseline."""
    return 0 < len(turn.logprobs) == len(turn.completion)


def require_turns(group: EpisodeGroup, least: int, name: str) -> int:
    """How many attempts each episode of the group has.

    Raises:
        ValueError: fewer than ``least``, or not the same number in each.
    """
    counts = {len(episode.turns) for episode in group.episodes}
    if len(counts) > 1 or min(counts, default=least) < least:
        raise ValueError(
            f"{name} needs {least} attempts in every episode; those of problem {group.problem.id} have "
            f"{', '.join(map(str, sorted(counts)))}: set task.turns"
        )
    return max(counts, default=least)


def advantages_by_turn(
    group: EpisodeGroup, credit: Callable[[Rewards], Rewards], turns: Sequence[int], *, std: bool
) -> list[list[float | None]]:
    """Leave-one-out advantage of every attempt over the problem's others of the same turn.

    Args:
        group: all episodes of a problem.
        credit: from an episode's rewards to what each of its attempts is credited with.
        turns: which attempts are trained, counted from 0.
        std: whether to divide by the standard deviation of the turn's credits.

    Returns:
        One list an episode; ``None`` for an attempt that is not trained: it is not among ``turns``, the policy did not
        write it, or its credit is not known. Such an attempt is in no baseline either.
    """
    credits = [credit(rewards_of(episode)) for episode in group.episodes]
    found: list[list[float | None]] = [[None] * len(episode.turns) for episode in group.episodes]
    for i in turns:
        own = [
            value[i] if is_sampled(episode.turns[i]) else None
            for episode, value in zip(group.episodes, credits, strict=True)
        ]
        for mine, advantage in zip(found, group_advantages(own, baseline="leave_one_out", std=std), strict=True):
            mine[i] = advantage
    return found


def episode_row(episode: Episode, advantages: Sequence[float | None], leashes: Sequence[float]) -> Row | None:
    """An episode up to its last attempt that is trained or leashed; ``None`` where there is no such attempt.

    An attempt that a verifier abstained on keeps its leash: that asks for no verdict.
    """
    segments: list[Segment] = []
    end = 0
    for number, (turn, advantage, leash) in enumerate(zip(episode.turns, advantages, leashes, strict=True), 1):
        if len(turn.prompt):
            segments.append(Segment(turn.prompt))
        sampled = is_sampled(turn)
        segments.append(
            Segment(
                turn.completion,
                trained=advantage is not None,
                advantage=advantage or 0.0,
                kl_weight=leash if sampled else 0.0,
                logprobs=turn.logprobs if sampled else None,
                turn=number,
            )
        )
        if advantage is not None or (sampled and leash):
            end = len(segments)
    return Row(tuple(segments[:end])) if end else None


def episodes_lesson(
    group: EpisodeGroup, advantages: Sequence[Sequence[float | None]], leashes: Sequence[float]
) -> Lesson:
    """All episodes of a problem with their credit; ``leashes`` is the weight of the KL on each attempt.

    Episodes without an advantage are kept, for the loss is a mean over all of the step's.
    """
    pairs = zip(group.episodes, advantages, strict=True)
    rows = [row for episode, mine in pairs if (row := episode_row(episode, mine, leashes)) is not None]
    taught = any(advantage for mine in advantages for advantage in mine)
    metrics: dict[str, Metric] = {"pool/taught": Mean(float(taught), 1)}
    for i in range(len(leashes)):
        sizes = [abs(mine[i] or 0.0) for mine in advantages if mine[i] is not None]
        if sizes:
            metrics[f"advantage/turn{i + 1}"] = Mean(sum(sizes), len(sizes))
    return Lesson(Group(tuple(rows)) if rows else None, metrics)


def _credited(batch: Batch) -> Tensor:
    return batch.trained | (batch.kl_weight > 0)


def episode_counts(batch: Batch) -> Counts:
    """Episodes: both terms are means over those of the step."""
    episodes = float(batch.row[_credited(batch)].unique().numel())
    return {"policy_gradient": episodes, "leash": episodes}


def reinforce(policy: Scores, reference: Scores | None, batch: Batch, leash: Leash) -> Loss:
    """REINFORCE on every trained attempt and a KL leash on every leashed one; sums over an episode's tokens.

    Where the policy has been updated since it wrote an attempt (``queue_depth``), both carry the detached ratio.
    """
    credited = _credited(batch)
    if not bool(credited.any()):
        return Loss({"policy_gradient": zero(policy)})
    ours, behaviour = policy.logprobs[credited], batch.behaviour[credited]
    ratio = behaviour_ratio(ours, behaviour)
    gained = ratio * reinforce_loss(ours, batch.advantage[credited])
    totals = {"policy_gradient": gained.sum()}
    episodes = episode_counts(batch)["policy_gradient"]
    metrics: dict[str, Metric] = {
        "loss/policy_gradient": Mean(float(totals["policy_gradient"].detach()), episodes),
        "policy/mismatch": Mean(float((ours - behaviour).detach().abs().sum()), float(ours.numel())),
    }
    if reference is not None:
        theirs, weights = reference.logprobs[credited], batch.kl_weight[credited]
        attempt = batch.row[credited] * (int(batch.turn.max()) + 1) + batch.turn[credited]
        totals["leash"] = (weights * ratio * _leash(ours, theirs, attempt, leash)).sum()
        metrics |= _by_turn("kl", kl_reference_to_policy(ours.detach(), theirs), batch.turn[credited])
    metrics |= _by_turn("entropy", policy.entropy[credited], batch.turn[credited])
    return Loss(totals, metrics | entropy_metric(policy, batch))


def _leash(ours: Tensor, theirs: Tensor, attempt: Tensor, leash: Leash) -> Tensor:
    match leash:
        case "token":
            return kl_policy_to_reference(ours, theirs)
        case "attempt":
            return kl_of_attempts(ours, theirs, attempt)
        case _:
            assert_never(leash)


def _by_turn(name: str, values: Tensor, turns: Tensor) -> dict[str, Metric]:
    """Mean over the tokens of each turn. The estimator that ``kl`` is measured by has KL(π ‖ ref) as its mean."""
    found: dict[str, Metric] = {}
    for turn in torch.unique(turns).tolist():
        mine = values[turns == turn]
        found[f"{name}/turn{turn}"] = Mean(float(mine.sum()), float(mine.numel()))
    return found
