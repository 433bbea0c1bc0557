"""Pools, scores and batches made by hand."""

from collections.abc import Sequence

import torch

from tutelage.collate import Batch, collate
from tutelage.objectives import Objective
from tutelage.scoring import Scores
from tutelage.types import (
    Abstained,
    Candidate,
    Chunk,
    Document,
    Floats,
    Item,
    JudgedPool,
    Judgement,
    Pool,
    Rewrite,
    Rollout,
    Scored,
    Suffix,
    Tokens,
    Verdict,
)

PREFIX, SUFFIX = Tokens([1, 2, 3]), Tokens([4, 5])


def chunk(name: str = "d", prefix: Tokens = PREFIX, suffix: Tokens = SUFFIX) -> Chunk:
    return Chunk(Document(name, "c", 0, Tokens.join([prefix, suffix])), prefix, suffix, len(prefix))


def rollout(*ids: int, temperature: float = 1.0, top_p: float = 1.0, draw: int = 0) -> Rollout:
    logprobs = Floats([-0.5 - 0.1 * i for i in range(len(ids))])
    return Rollout(Tokens(ids), logprobs, 0, draw, temperature, top_p, "length")


def judged(candidates: Sequence[Candidate], scores: Sequence[float | str | Verdict], name: str = "d") -> JudgedPool:
    """A pool judged on one axis; a string is an abstention."""
    verdicts = tuple(
        Abstained(s) if isinstance(s, str) else s if isinstance(s, Scored | Abstained) else Scored(s) for s in scores
    )
    return JudgedPool(Pool(chunk(name), tuple(candidates)), (Judgement("quality", verdicts),) if scores else ())


CANDIDATES: tuple[Candidate, ...] = (Suffix(SUFFIX), Rewrite(Tokens([6, 7, 8]), "w"), rollout(9, 10), rollout(11))


def item_of(objective: Objective, pool: JudgedPool) -> Item:
    item = objective.lesson(pool).item
    assert item is not None
    return item


def batch_of(*items: Item) -> Batch:
    (batch,) = collate(items, max_tokens=1 << 20)
    return batch


def scores(batch: Batch, seed: int = 0) -> Scores:
    """Random log-probabilities that can carry a gradient, and entropies."""
    generator = torch.Generator().manual_seed(seed)
    count = len(batch.target)
    logprobs = -3 * torch.rand(count, generator=generator, dtype=torch.float64)
    return Scores(logprobs.requires_grad_(True), torch.rand(count, generator=generator, dtype=torch.float64))


def value(objective: Objective, policy: Scores, reference: Scores | None, batch: Batch) -> float:
    """The loss as the loop would divide it, were this the whole step."""
    counts = objective.counts(batch)
    totals = objective.loss(policy, reference, batch).totals
    return sum(float(total.detach()) / counts[name] for name, total in totals.items() if counts.get(name))
