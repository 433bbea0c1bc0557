"""Majority votes: parallel against sequential sampling at equal numbers of attempts (2409.12917 §6.2)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tutelage.correction.outcomes import Outcomes

Ballot = tuple[str | int | None, bool]
"""An attempt's answer, ``None`` where it has none or nobody knows what it is worth, and whether it is right."""


def vote(ballots: Sequence[Ballot]) -> bool:
    """Whether the answer that is given most often is right; of equally frequent ones, the one that was given first.

    An attempt without an answer, or without a verdict, does not vote; where none votes, the outcome is wrong.
    """
    counts = Counter(answer for answer, _ in ballots if answer is not None)
    if not counts:
        return False
    elected = counts.most_common(1)[0][0]
    return next(right for answer, right in ballots if answer == elected)


def budgets_of(outcomes: Outcomes) -> tuple[int, ...]:
    """2, 4, 8, … attempts, as far as there are so many first ones."""
    draws = outcomes.right.shape[1]
    return tuple(2**n for n in range(1, draws.bit_length()) if 2**n <= draws)


def votes(outcomes: Outcomes, budgets: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parallel and sequential votes, each 1 or 0, shape ``(budgets, P)``.

    With a budget of b either b first attempts vote, or the second attempts of b / 2 episodes do.

    Raises:
        ValueError: episodes of a single attempt, or a budget that is odd, below 2, or more than there are episodes.
    """
    draws = outcomes.right.shape[1]
    if outcomes.turns < 2 or any(budget < 2 or budget % 2 or budget > draws for budget in budgets):
        raise ValueError(
            f"a vote at budgets {list(budgets)} needs even numbers from 2 to the {draws} episodes of a problem, of two "
            "attempts each"
        )
    return (
        np.array([_votes(outcomes, 0, budget) for budget in budgets]),
        np.array([_votes(outcomes, 1, budget // 2) for budget in budgets]),
    )


def majority(outcomes: Outcomes, turn: int) -> list[float]:
    """The vote of all attempts of a turn, counted from 0, 1 or 0 a problem."""
    return _votes(outcomes, turn, outcomes.right.shape[1])


def _votes(outcomes: Outcomes, turn: int, count: int) -> list[float]:
    heard = np.where(outcomes.known, outcomes.answers, -1)
    answers, right = (values[:, :count, turn].tolist() for values in (heard, outcomes.right))
    return [float(vote(_ballots(said, ok))) for said, ok in zip(answers, right, strict=True)]


def _ballots(answers: Sequence[int], right: Sequence[bool]) -> list[Ballot]:
    return [(None if answer < 0 else answer, ok) for answer, ok in zip(answers, right, strict=True)]
