"""A policy of a few tokens as a table of logits, and the expected gradient of an objective as a finite sum.

Attempts are one or two of two tokens, so that all groups of two episodes can be listed with their probabilities.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from tests.objectives.episodes import AGAIN, QUESTION
from torch import Tensor

from tutelage.collate import Batch, collate
from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.objectives import Objective
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
