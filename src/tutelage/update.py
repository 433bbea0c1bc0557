"""One optimiser step on the lessons of all ranks: pack → count → score → loss / counts → backward → clip → update."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from tutelage.collate import Batch, collate, rows_of
from tutelage.memory import is_out_of_memory
from tutelage.metrics import Mean, Metric, Sum, merge, reduce
from tutelage.objectives import Lesson, Objective
from tutelage.policy import Policy
from tutelage.ranks import Ranks
from tutelage.types import Item

log = logging.getLogger(__name__)


class RunStopped(RuntimeError):
    """A run that must not go on: a broken limit, a loss that is not finite, a judge that does not answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Documents of a step that share an objective."""

    objective: Objective
    lessons: tuple[Lesson, ...]
    share: float
    """Share of the step's documents, over all ranks: the weight of this part's loss."""

    @property
    def items(self) -> list[Item]:
        """What there is to train on."""
        return [lesson.item for lesson in self.lessons if lesson.item is not None]


@dataclass(slots=True, eq=False)
class Learner:
    """What an update changes, and what it needs."""

    policy: Policy
    optimizers: tuple[torch.optim.Optimizer, ...]
    ranks: Ranks
    max_tokens: int
    """Packed tokens of a micro-batch; halved where they turn out to be more than memory holds."""
    gradient_clip: float


def update(learner: Learner, reference: Policy | None, parts: Sequence[Part], rate: float) -> dict[str, Metric]:
    """One optimiser step on all lessons of all ranks.

    Every term of a loss is divided by its count over the whole step, so neither micro-batches nor ranks change the
    gradient. A rank that holds nothing adds zeros.

    Raises:
        ValueError: an objective needs a reference and there is none, or a row is longer than the model's context.
        RunStopped: the loss or the gradient is not finite; the weights are untouched.
    """
    for part in parts:
        if part.objective.needs_reference and reference is None:
            name = type(part.objective).__name__
            raise ValueError(f"{name} compares with a reference: give one, such as policy.frozen_copy()")
    started = time.perf_counter()
    ranks = learner.ranks
    for optimizer in learner.optimizers:
        optimizer.zero_grad(set_to_none=True)
    packed = [_pack(learner, part) for part in parts]
    counts = [_counts(part.objective, batches, ranks) for part, batches in zip(parts, packed, strict=True)]
    done = _gradients(learner, reference, parts, counts, packed)
    norm = _finish(learner, done.total, rate)
    seconds = time.perf_counter() - started
    return merge(
        [
            *done.reports,
            {"loss/total": Mean(ranks.sum_numbers([done.total])[0], 1), "policy/gradient_norm": Mean(norm, 1)},
            {
                "tokens/trained": Sum(done.tokens),
                "seconds/train": Sum(seconds),
                "policy/learning_rate": Mean(rate, 1),
            },
        ]
    )


def _pack(learner: Learner, part: Part) -> list[Batch]:
    """Micro-batches of what the model can hold.

    Raises:
        ValueError: a row is longer than the model's context.
    """
    policy = learner.policy
    longest = max((row.length for item in part.items for row in rows_of(item)), default=0)
    context = policy.context_length
    if context is not None and longest > context:
        raise ValueError(f"a row of {longest} tokens exceeds the model's context of {context}: lower stream.max_length")
    return collate(part.items, max_tokens=learner.max_tokens, layout=policy.layout, tree_limit=policy.tree_limit)


def _counts(objective: Objective, batches: Sequence[Batch], ranks: Ranks) -> dict[str, float]:
    """What each term is a mean over, summed over micro-batches and ranks; ranks may hold different terms."""
    local = merge({name: Sum(n) for name, n in objective.counts(batch).items()} for batch in batches)
    return reduce(local, ranks)


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """What forward and backward passes over a step's micro-batches came to, on this rank."""

    total: float
    tokens: int
    reports: tuple[Mapping[str, Metric], ...]


def _gradients(
    learner: Learner,
    reference: Policy | None,
    parts: Sequence[Part],
    counts: Sequence[Mapping[str, float]],
    packed: Sequence[Sequence[Batch]],
) -> _Done:
    """Forward and backward of all micro-batches; half as large and from the start where memory does not suffice.

    No rank waits for another here, and the counts are of the whole step: one rank may begin anew by itself.

    Raises:
        RunStopped: a single item does not fit.
    """
    while True:
        try:
            return _accumulate_all(learner.policy, reference, list(zip(parts, counts, packed, strict=True)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            learner.max_tokens = _less(learner.max_tokens, [b for batches in packed for b in batches], error)
        for optimizer in learner.optimizers:
            optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        packed = [_pack(learner, part) for part in parts]


def _less(max_tokens: int, batches: Sequence[Batch], error: Exception) -> int:
    """Half of what was too much."""
    largest = max(batches, key=lambda batch: batch.num_tokens)
    if all(batch.num_items == 1 for batch in batches):
        raise RunStopped(
            f"out of memory with a single item of {largest.num_tokens} tokens: set save_memory, or lower num_rollouts "
            "or stream.max_length; no update was made"
        ) from error
    less = max(1, min(max_tokens, largest.num_tokens) // 2)
    log.warning("out of memory in an update: micro-batches of %d tokens from now on (max_tokens_per_batch)", less)
    return less


def _accumulate_all(
    policy: Policy,
    reference: Policy | None,
    packed: Sequence[tuple[Part, Mapping[str, float], Sequence[Batch]]],
) -> _Done:
    total, tokens = 0.0, 0
    reports: list[Mapping[str, Metric]] = []
    for part, counts, batches in packed:
        for batch in batches:
            loss, metrics = _accumulate(policy, reference, part, batch.to(policy.device), counts)
            total += loss
            tokens += batch.num_tokens
            reports.append(metrics)
    return _Done(total, tokens, tuple(reports))


def _accumulate(
    policy: Policy, reference: Policy | None, part: Part, batch: Batch, counts: Mapping[str, float]
) -> tuple[float, Mapping[str, Metric]]:
    """Forward and backward of one micro-batch; one without a target, such as a document of one token, has neither."""
    if not len(batch.target):
        return 0.0, {}
    theirs = None
    if part.objective.needs_reference and reference is not None:
        with torch.no_grad():
            theirs = reference.score(batch)
    loss = part.objective.loss(policy.score(batch), theirs, batch)
    terms = [part.share * value / counts[name] for name, value in loss.totals.items() if counts.get(name)]
    if not terms:
        return 0.0, loss.metrics
    value = torch.stack(terms).sum()
    value.backward()  # pyright: ignore[reportUnknownMemberType]
    return float(value.detach()), loss.metrics


def _finish(learner: Learner, total: float, rate: float) -> float:
    """Sum gradients over ranks, check, clip, step. Returns the gradient's norm before clipping."""
    parameters = [p for p in learner.policy.model.parameters() if p.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    learner.ranks.sum_([p.grad for p in parameters if p.grad is not None])
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, learner.gradient_clip))
    bad = learner.ranks.maximum([float(not math.isfinite(total)), float(not math.isfinite(norm))])
    if any(bad):
        raise RunStopped(f"the {'loss' if bad[0] else 'gradient'} is not finite; the update was not made")
    for optimizer in learner.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.step()
    learner.policy.version += 1
    return norm
