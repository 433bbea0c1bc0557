"""From answers of judges to credit: win rates, best and worst, advantages of a group.

``None`` stands for a candidate on which no verdict was reached. It is never replaced by a number.
"""

import math
from collections.abc import Sequence
from typing import Literal

TIE_DECIMALS = 9
"""Totals are compared at this many decimals, so that the order of addition cannot break a tie [I]."""

STD_OFFSET = 1e-4
"""Added to the standard deviation of a group, as common implementations do; the paper has none [I]."""


def win_rates(num: int, results: Sequence[tuple[int, int, float]]) -> list[tuple[float, int]]:
    """Mean score of every candidate over the comparisons that it took part in.

    ``q(c) = mean over comparisons of [c wins]``, arXiv:2601.21343 §1.1.2: winner 1, loser 0, the pointwise
    score is the mean [P]. Half wins (ties, mean of several answers) count as fractions [I]. Sums are exact:
    the order of ``results`` cannot matter.

    Args:
        num: Number of candidates.
        results: ``(first, second, score of first)``, scores in ``[0, 1]``; ``second`` gets ``1 − score``. A
            comparison that was not reached is left out by the caller.

    Returns:
        ``(mean, comparisons)`` of every candidate; the mean is NaN where there was no comparison.

    Raises:
        ValueError: an index outside ``[0, num)``, a candidate against itself, or a score outside ``[0, 1]``.
    """
    scores: list[list[float]] = [[] for _ in range(num)]
    for first, second, score in results:
        if first == second or not (0 <= first < num and 0 <= second < num):
            raise ValueError(f"comparison ({first}, {second}) needs two different candidates below {num}")
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"score of comparison ({first}, {second}) must lie in [0, 1], got {score}")
        scores[first].append(score)
        scores[second].append(1.0 - score)
    return [(math.fsum(own) / len(own) if own else math.nan, len(own)) for own in scores]


def best_and_worst(
    totals: Sequence[float | None], *, min_gap: float = 0.0, order: Sequence[int] | None = None
) -> tuple[int, int] | None:
    """The candidates to choose and to reject: highest and lowest total.

    ``c⁺ = argmax r(c)``, ``c⁻ = argmin r(c)``, arXiv:2601.21343 §1.1.2 [P]; a pool whose totals are all equal
    gives no pair [C].

    Where several share the best (or the worst) total, the one with the lowest rank in ``order`` is taken [I].
    Without ``order`` that is the lowest index, which always favours the sources that stand first in the pool,
    for both places: a position bias that is learnt over many ties. Pass ranks drawn for this pool by a keyed
    permutation to have none.

    Args:
        totals: Total of every candidate, ``None`` where it abstained.
        min_gap: Smallest difference between best and worst that makes a pair; whatever it is, a tie makes
            none.
        order: One distinct rank a candidate.

    Returns:
        ``(best, worst)``, or ``None`` with fewer than two totals, with a tie, or with a gap below
        ``min_gap``.

    Raises:
        ValueError: a total that is not finite, a negative ``min_gap``, or an ``order`` of another length.
    """
    if not min_gap >= 0.0:
        raise ValueError(f"min_gap must be at least 0, got {min_gap}")
    ranks = range(len(totals)) if order is None else order
    if len(ranks) != len(totals) or len(set(ranks)) != len(totals):
        raise ValueError(f"order must give {len(totals)} distinct ranks, got {list(ranks)}")
    known = [
        (_comparable(total), rank, i)
        for i, (total, rank) in enumerate(zip(totals, ranks, strict=True))
        if total is not None
    ]
    if len(known) < 2:
        return None
    best = min(known, key=lambda entry: (-entry[0], entry[1]))
    worst = min(known, key=lambda entry: (entry[0], entry[1]))
    gap = round(best[0] - worst[0], TIE_DECIMALS)
    return None if gap == 0.0 or gap < min_gap else (best[2], worst[2])


def group_advantages(
    rewards: Sequence[float | None], *, baseline: Literal["mean", "leave_one_out"], std: bool
) -> list[float | None]:
    """Advantage of every member of a group over the others.

    ``mean``: ``A_i = r_i − mean(r)``; with ``std`` divided by ``std(r) + 1e-4`` (unbiased). That is GRPO with
    ``std`` (arXiv:2402.03300 §4.1.2) and Dr. GRPO without (arXiv:2503.20783 §3.2; arXiv:2601.21343 Part 2
    uses it [C]). ``leave_one_out``: ``A_i = r_i − mean of the others`` (arXiv:2402.14740), which is ``G/(G −
    1)`` times the former.

    Args:
        rewards: Reward of every member, ``None`` where none was reached; such members count neither in means
            nor in ``G``.
        baseline: What is subtracted.
        std: Whether to divide by the group's standard deviation.

    Returns:
        Advantages that sum to 0; ``None`` where the reward is. All 0 for equal rewards, or with fewer than
        two.

    Raises:
        ValueError: a reward that is not finite.
    """
    known = [_finite(reward) for reward in rewards if reward is not None]
    if len(known) < 2 or max(known) == min(known):
        return [None if reward is None else 0.0 for reward in rewards]
    count = len(known)
    mean = math.fsum(known) / count
    scale = count / (count - 1) if baseline == "leave_one_out" else 1.0
    if std:
        scale /= math.sqrt(math.fsum((r - mean) ** 2 for r in known) / (count - 1)) + STD_OFFSET
    return [None if reward is None else (reward - mean) * scale for reward in rewards]


def shaped_rewards(rewards: Sequence[float | None], alpha: float) -> list[float | None]:
    """The reward of every attempt of an episode, with a bonus for what it mends of the attempt before.

    ``r̃_1 = r_1`` and ``r̃_t = r_t + α (r_t − r_{t−1})``, Eq. 4 and §5.2 of arXiv:2409.12917 [P]; its App. A.1 gives
    the bonus to every attempt after the first [P]. ``r̃_t`` is for the tokens of attempt t alone: were the bonus to
    reach the tokens of the attempt before, that one would be paid for being wrong.

    Given what stands before attempt t, ``−α r_{t−1}`` does not depend on what it writes: it is a baseline, and in
    expectation the gradient is that of ``(1 + α) r_t``.

    Args:
        rewards: One an attempt, in order; ``None`` where no verdict was reached.
        alpha: α, at least 0; 0 shapes nothing.

    Returns:
        ``None`` where the reward, or for α above 0 the one before it, is not known.
    """
    if not alpha >= 0.0:
        raise ValueError(f"alpha must be at least 0, got {alpha}")
    shaped = list(rewards)
    for i in range(1, len(rewards)):
        before, reward = rewards[i - 1], rewards[i]
        if alpha and reward is not None:
            shaped[i] = None if before is None else reward + alpha * (reward - before)
    return shaped


def returns_to_go(rewards: Sequence[float | None], discount: float) -> list[float | None]:
    """Reward of every attempt and of those after it: ``G_t = r_t + γ G_{t+1}``.

    SCoRe's is γ = 0, "only the instantaneous reward", App. A of arXiv:2409.12917 [P]; with γ = 1 the first attempt's
    is the sum of Eq. 1, which naive multi-turn RL maximises [P].

    Args:
        rewards: One an attempt, in order; ``None`` where no verdict was reached.
        discount: γ in ``[0, 1]``.

    Returns:
        ``None`` where any reward that would count is not known.
    """
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount must lie in [0, 1], got {discount}")
    if not discount:
        return list(rewards)
    found: list[float | None] = []
    later: float | None = 0.0
    for reward in reversed(rewards):
        later = None if reward is None or later is None else reward + discount * later
        found.append(later)
    return found[::-1]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a score must be finite, got {value}; pass None where no verdict was reached")
    return value


def _comparable(total: float) -> float:
    return round(_finite(total), TIE_DECIMALS)
