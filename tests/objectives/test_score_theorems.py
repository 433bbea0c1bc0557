"""What SCoRe's losses are in expectation, by adding up every episode that a policy of a few tokens can write.

The policy is a table of logits, a row for each text that a token can follow. Attempts are one or two of two tokens, so
that all groups of two episodes can be listed with their probabilities and the expected gradient is a finite sum.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import pytest
import torch
from tests.objectives.episodes import AGAIN, QUESTION
from torch import Tensor

from tutelage.collate import Batch, collate
from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.objectives import MultiTurn, Objective, SingleTurn, StageOne, StageTwo
from tutelage.scoring import Scores
from tutelage.types import Floats, Group, Scored, Tokens

WORDS = (5, 6)
RIGHT = {(5,): 0.0, (6,): 1.0, (5, 5): 0.0, (5, 6): 1.0, (6, 5): 1.0, (6, 6): 0.0}
Context = tuple[int, ...]


class Table:
    """A policy as logits by context."""

    def __init__(self, length: int, turns: int = 2, seed: int = 0) -> None:
        self.length = length
        self.contexts: dict[Context, int] = {}
        starts: list[Context] = [tuple(QUESTION.tolist())]
        self.first: list[int] = []
        for turn in range(turns):
            ends: list[Context] = []
            for start in starts:
                for written in (w for n in range(length) for w in product(WORDS, repeat=n)):
                    self.contexts[(*start, *written)] = len(self.contexts)
                ends += [(*start, *written, *AGAIN.tolist()) for written in product(WORDS, repeat=length)]
            self.first += list(self.contexts.values()) if turn == 0 else []
            starts = ends
        generator = torch.Generator().manual_seed(seed)
        self.logits = torch.randn(len(self.contexts), 2, generator=generator, dtype=torch.float64).requires_grad_(True)

    def logprob(self, context: Context, token: int) -> Tensor:
        return self.logits.log_softmax(1)[self.contexts[context], WORDS.index(token)]

    def attempt(self, before: Context, written: Context) -> Tensor:
        """Log-probability of an attempt, behind ``before``."""
        return torch.stack([self.logprob((*before, *written[:i]), t) for i, t in enumerate(written)]).sum()

    def scores(self, batch: Batch, item: Group) -> Scores:
        """What the table says of the targets of a batch of one item."""
        found: list[Tensor] = []
        targets: list[int] = []
        for row in item.rows:
            text: Context = ()
            for segment in row.segments:
                for token in segment.tokens.tolist():
                    if segment.trained or segment.kl_weight:
                        found.append(self.logprob(text, token))
                        targets.append(token)
                    text = (*text, token)
        assert batch.target.tolist() == targets
        return Scores(torch.stack(found), torch.zeros(len(found), dtype=torch.float64))


def written(length: int) -> list[Context]:
    return list(product(WORDS, repeat=length))


def episodes(table: Table, turns: int = 2) -> Iterator[tuple[Episode, float]]:
    """Every episode with its probability."""
    for attempts in product(written(table.length), repeat=turns):
        text: Context = tuple(QUESTION.tolist())
        made: list[Turn] = []
        total = 0.0
        for i, attempt in enumerate(attempts):
            prompt = QUESTION if i == 0 else AGAIN
            text = text if i == 0 else (*text, *AGAIN.tolist())
            own = [float(table.logprob((*text, *attempt[:j]), t).detach()) for j, t in enumerate(attempt)]
            total += sum(own)
            made.append(Turn(prompt, Tokens(attempt), Floats(own), "stop", Scored(RIGHT[attempt])))
            text = (*text, *attempt)
        yield Episode(tuple(made), 0, 0), float(torch.tensor(total, dtype=torch.float64).exp())


def expected(
    objective: Objective,
    table: Table,
    *,
    size: int = 2,
    turns: int = 2,
    reference: Table | None = None,
    change: Callable[[Turn, int], Turn] = lambda turn, _: turn,
) -> Tensor:
    """Gradient of the loss by the logits, a mean over all groups of ``size`` episodes; ``change`` may reward anew."""
    total = torch.zeros_like(table.logits)
    for members in product(list(episodes(table, turns)), repeat=size):
        probability = torch.tensor([p for _, p in members], dtype=torch.float64).prod()
        changed = tuple(
            Episode(tuple(change(turn, i) for i, turn in enumerate(e.turns)), draw, 0)
            for draw, (e, _) in enumerate(members)
        )
        lesson = objective.lesson(EpisodeGroup(Problem("p", "?", "!"), changed))
        if lesson.item is None:
            continue
        assert isinstance(lesson.item, Group)
        (batch,) = collate([lesson.item], max_tokens=1 << 20)
        theirs = None if reference is None else reference.scores(batch, lesson.item)
        loss = objective.loss(table.scores(batch, lesson.item), theirs, batch)
        counts = objective.counts(batch)
        value = torch.stack([v / counts[name] for name, v in loss.totals.items()]).sum()
        (gradient,) = torch.autograd.grad(value, table.logits)
        total += probability * gradient
    return total


def rewarded(table: Table, weights: Sequence[float]) -> Tensor:
    """The gradient of −Σ weight_i E[r_i], each attempt's by its own tokens: what stands before it is held fixed."""
    start = tuple(QUESTION.tolist())
    value = torch.zeros((), dtype=torch.float64)
    for one in written(table.length):
        first = table.attempt(start, one).exp()
        value = value - weights[0] * first * RIGHT[one]
        before = (*start, *one, *AGAIN.tolist())
        for two in written(table.length):
            value = value - weights[1] * first.detach() * table.attempt(before, two).exp() * RIGHT[two]
    return torch.autograd.grad(value, table.logits)[0]


def close(a: Tensor, b: Tensor) -> bool:
    # The behaviour's log-probabilities are recorded in single precision.
    return torch.allclose(a, b, rtol=1e-5, atol=1e-7)


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
