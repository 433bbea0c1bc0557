"""Majority votes: parallel against sequential sampling at equal numbers of samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.correction.voting import Ballot, vote
from tutelage.episodes import EpisodeGroup, Problem
from tutelage.protocols import Sampler
from tutelage.worlds.signed_sum.playing import answers_of, is_right, play
from tutelage.worlds.signed_sum.world import SignedSumWorld

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Majority votes of C problems at equal numbers of samples; the arrays have shape ``(budgets, C)``."""

    budget: tuple[int, ...]
    """Attempts that were sampled for a problem."""
    parallel: Flags
    """Whether the vote among so many first attempts is right."""
    sequential: Flags
    """Whether the vote among second attempts is right, where half of the samples are first attempts, each followed by
    a second one."""

    def figures(self) -> dict[str, Sequence[float]]:
        """``budget``, and the points at each: shares of problems × 100."""
        return {
            "budget": list(self.budget),
            "parallel": (100.0 * self.parallel.mean(axis=1)).tolist(),
            "sequential": (100.0 * self.sequential.mean(axis=1)).tolist(),
        }


def scaling(
    world: SignedSumWorld,
    sampler: Sampler,
    problems: Sequence[Problem],
    *,
    seed: int,
    budgets: Sequence[int] = (2, 4, 8, 16),
    temperature: float = 1.0,
) -> Scaling:
    """Parallel against sequential sampling at equal numbers of attempts (2409.12917 §6.2).

    With a budget of b, either b first attempts vote, or the second attempts of b / 2 episodes do. A larger budget's
    samples include those of a smaller one.

    Raises:
        ValueError: no budget, or one that is not even or below 2.
    """
    if not budgets or any(budget < 2 or budget % 2 for budget in budgets):
        raise ValueError(f"budgets must be even numbers from 2 on, for half of them are corrected; not {list(budgets)}")
    most = max(budgets)
    revised = play(world, sampler, problems, seed=seed, draws=range(most // 2), temperature=temperature)
    further = range(most // 2, most)
    others = play(world, sampler, problems, seed=seed, draws=further, turns=1, temperature=temperature)
    firsts, seconds = _ballots(world, revised, 0), _ballots(world, revised, 1)
    firsts = [mine + more for mine, more in zip(firsts, _ballots(world, others, 0), strict=True)]
    return Scaling(
        tuple(budgets),
        np.array([[vote(ballots[:budget]) for ballots in firsts] for budget in budgets], np.bool_),
        np.array([[vote(ballots[: budget // 2]) for ballots in seconds] for budget in budgets], np.bool_),
    )


def _ballots(world: SignedSumWorld, groups: Sequence[EpisodeGroup], turn: int) -> list[list[Ballot]]:
    """The answers of one turn with whether they are right, by problem, in the order of the draws."""
    found: list[list[Ballot]] = []
    for group in groups:
        attempts = [episode.turns[turn] for episode in group.episodes]
        answers = answers_of(world, [group.problem] * len(attempts), attempts)
        found.append([(answer, is_right(one)) for answer, one in zip(answers, attempts, strict=True)])
    return found
