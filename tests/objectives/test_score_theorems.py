"""What SCoRe's losses are in expectation, by adding up every episode that a policy of a few tokens can write."""

from itertools import product

import pytest
import torch
from tests.objectives.episodes import AGAIN, QUESTION
from tests.objectives.table import RIGHT, WORDS, Table, close, expected, rewarded, written
from torch import Tensor

from tutelage.episodes import Turn
from tutelage.objectives import MultiTurn, SingleTurn, StageOne, StageTwo
from tutelage.types import Scored


@pytest.mark.parametrize(("alpha", "length"), [(10.0, 1), (3.0, 2)])
def test_the_shaped_gradient_is_that_of_one_plus_alpha_times_the_second_reward(alpha: float, length: int):
    table = Table(length)
    shaped = expected(StageTwo(alpha=alpha, beta1=0.0), table)

    def larger(turn: Turn, number: int) -> Turn:
        assert isinstance(turn.reward, Scored)
        value = turn.reward.value * (1 + alpha if number == 1 else 1)
        return Turn(turn.prompt, turn.completion, turn.logprobs, turn.finish, Scored(value))

    assert close(shaped, expected(StageTwo(alpha=0.0, beta1=0.0), table, change=larger))
    assert close(shaped, rewarded(table, (1.0, 1.0 + alpha)))
    assert not close(shaped, rewarded(table, (1.0, 1.0)))


def test_no_bonus_reaches_the_tokens_of_the_first_attempt():
    table = Table(1)
    plain, shaped = (expected(StageTwo(alpha=alpha, beta1=0.0), table) for alpha in (0.0, 10.0))
    assert plain[table.first].abs().max() > 0.01 and close(plain[table.first], shaped[table.first])
    leaked = expected(MultiTurn(trained="all", discount=1.0, alpha=10.0, beta1=0.0), table)
    assert not close(leaked[table.first], plain[table.first]), "with returns the bonus would leak"


def test_stage_one_rewards_the_second_attempt_alone():
    table = Table(2)
    found = expected(StageOne(beta1=0.0, beta2=0.0), table)
    assert close(found, rewarded(table, (0.0, 1.0)))
    assert not found[table.first].any()


def divergence(table: Table, reference: Table, *, held: bool) -> Tensor:
    """Gradient of KL(π‖ref) of first attempts; ``held``: of every token, given text that is drawn but not changed."""
    start = tuple(QUESTION.tolist())
    value = torch.zeros((), dtype=torch.float64)
    for length in range(table.length):
        for before in product(WORDS, repeat=length):
            reached = table.attempt(start, before).exp() if before else torch.ones((), dtype=torch.float64)
            context = (*start, *before)
            gaps = [(table.logprob(context, t), reference.logprob(context, t).detach()) for t in WORDS]
            own = torch.stack([ours.exp() * (ours - theirs) for ours, theirs in gaps]).sum()
            value = value + (reached.detach() if held else reached) * own
    return torch.autograd.grad(value, table.logits)[0]


@pytest.mark.parametrize(("leash", "length"), [("token", 1), ("attempt", 1), ("token", 2), ("attempt", 2)])
def test_the_leash_of_stage_one_has_the_gradient_of_the_divergence_on_the_first_attempt(leash: str, length: int):
    table, reference = Table(length), Table(length, seed=1)

    def unrewarded(turn: Turn, number: int) -> Turn:
        return Turn(turn.prompt, turn.completion, turn.logprobs, turn.finish, Scored(0.0))

    objective = StageOne(beta2=0.5, beta1=0.0, leash=leash)  # pyright: ignore[reportArgumentType]
    found = expected(objective, table, size=1, reference=reference, change=unrewarded)
    exact = 0.5 * divergence(table, reference, held=leash == "token")
    assert close(found, exact) and found[table.first].abs().max() > 0.01
    second = [i for i in table.contexts.values() if i not in table.first]
    assert not found[second].any()


def test_a_leash_pulls_both_attempts_in_stage_two():
    table, reference = Table(1), Table(1, seed=1)
    with_leash = expected(StageTwo(beta1=0.5), table, reference=reference)
    without = expected(StageTwo(beta1=0.0), table)
    pull = with_leash - without
    assert close(pull[table.first], 0.5 * divergence(table, reference, held=True)[table.first])
    second = [i for i in table.contexts.values() if i not in table.first]
    assert (pull[second].abs().sum(1) > 0.001).all()


def test_dividing_by_the_standard_deviation_takes_most_of_alpha_away_again():
    table = Table(1)
    second = [i for i in table.contexts.values() if i not in table.first]

    def strength(alpha: float, *, std: bool) -> float:
        return float(expected(StageTwo(alpha=alpha, beta1=0.0, std=std), table)[second].norm())

    assert strength(10.0, std=False) / strength(0.0, std=False) == pytest.approx(11.0, rel=1e-5)
    assert strength(10.0, std=True) / strength(0.0, std=True) < 2.2


def test_naive_multi_turn_rl_is_the_gradient_of_the_sum():
    table = Table(1)
    assert close(expected(MultiTurn(beta1=0.0), table), rewarded(table, (0.0, 1.0)))
    both = expected(MultiTurn(trained="all", beta1=0.0), table)
    start = tuple(QUESTION.tolist())
    value = torch.zeros((), dtype=torch.float64)
    for one, two in product(written(1), repeat=2):
        chance = (table.attempt(start, one) + table.attempt((*start, *one, *AGAIN.tolist()), two)).exp()
        value = value - chance * (RIGHT[one] + RIGHT[two])
    assert close(both, torch.autograd.grad(value, table.logits)[0])


def test_single_turn_rl_is_the_gradient_of_the_first_reward():
    table = Table(2)
    assert close(expected(SingleTurn(beta1=0.0), table), rewarded(table, (1.0, 0.0)))
    alone = Table(2, turns=1)
    alone.logits = table.logits[table.first].detach().requires_grad_(True)
    assert close(expected(SingleTurn(beta1=0.0), alone, turns=1), rewarded(table, (1.0, 0.0))[table.first])
