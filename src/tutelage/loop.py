"""Read this first: one step of the loop is the papers' algorithm box.

    take judged pools → objective.lesson: credit → collate: one tree a pool → score → loss / count over all ranks →
    clip → update → publish → record, evaluate, checkpoint when due

The loop does not know which objective it runs, where candidates come from, or who judges them.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch

from tutelage.collate import Batch, collate, rows_of
from tutelage.experience import Take
from tutelage.metrics import Mean, Metric, Sum, merge, reduce
from tutelage.objectives import NTP, Lesson, Objective
from tutelage.phases import Phase, Progress
from tutelage.policy import Policy
from tutelage.pool_metrics import first_abstention, staleness
from tutelage.ranks import Ranks
from tutelage.types import Item, JudgedPool, Pool


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


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """What an update changes, and what it needs."""

    policy: Policy
    optimizers: tuple[torch.optim.Optimizer, ...]
    ranks: Ranks
    max_tokens: int
    """Packed tokens of a micro-batch."""
    gradient_clip: float


@dataclass(frozen=True, slots=True, eq=False)
class StepReport:
    """What a step did."""

    progress: Progress
    metrics: Mapping[str, float]
    take: Take = field(repr=False)
    lessons: tuple[Lesson, ...] = field(repr=False)
    """Of the taught pools, in their order."""


def teach(phase: Phase, take: Take, ranks: Ranks) -> tuple[Part, ...]:
    """Credit: each judged pool becomes a lesson; documents that are not taught become plain next-token rows."""
    plain = NTP()
    taught, untaught = ranks.sum_numbers([len(take.judged), len(take.plain)])
    documents = max(taught + untaught, 1.0)
    lessons = tuple(phase.objective.lesson(judged) for judged in take.judged)
    rows = tuple(plain.lesson(JudgedPool(Pool(chunk, ()))) for chunk in take.plain)
    return Part(phase.objective, lessons, taught / documents), Part(plain, rows, untaught / documents)


def update(learner: Learner, reference: Policy | None, parts: Sequence[Part], rate: float) -> dict[str, Metric]:
    """One optimiser step on all lessons of all ranks.

    Every term of a loss is divided by its count over the whole step, so neither micro-batches nor ranks change the
    gradient. A rank that holds nothing adds zeros.

    Raises:
        RunStopped: the loss or the gradient is not finite; the weights are untouched.
    """
    started = time.perf_counter()
    policy, ranks = learner.policy, learner.ranks
    for optimizer in learner.optimizers:
        optimizer.zero_grad(set_to_none=True)
    reports: list[Mapping[str, Metric]] = []
    total, tokens = 0.0, 0
    for part in parts:
        batches = [batch.to(policy.device) for batch in _pack(policy, part.items, learner.max_tokens)]
        counts = _counts(part.objective, batches, ranks)
        for batch in batches:
            loss, metrics = _accumulate(policy, reference, part, batch, counts)
            total += loss
            tokens += batch.num_tokens
            reports.append(metrics)
    norm = _finish(learner, total, rate)
    seconds = time.perf_counter() - started
    return merge(
        [
            *reports,
            {"loss/total": Mean(ranks.sum_numbers([total])[0], 1), "policy/gradient_norm": Mean(norm, 1)},
            {
                "tokens/trained": Sum(tokens),
                "seconds/train": Sum(seconds),
                "policy/learning_rate": Mean(rate, 1),
            },
        ]
    )


def _pack(policy: Policy, items: Sequence[Item], max_tokens: int) -> list[Batch]:
    """Micro-batches of what the model can hold.

    Raises:
        ValueError: a row is longer than the model's context.
    """
    longest = max((row.length for item in items for row in rows_of(item)), default=0)
    context = policy.context_length
    if context is not None and longest > context:
        raise ValueError(f"a row of {longest} tokens exceeds the model's context of {context}: lower stream.max_length")
    return collate(items, max_tokens=max_tokens, layout=policy.layout, tree_limit=policy.tree_limit)


def _counts(objective: Objective, batches: Sequence[Batch], ranks: Ranks) -> dict[str, float]:
    """What each term is a mean over, summed over micro-batches and ranks; ranks may hold different terms."""
    local = merge({name: Sum(n) for name, n in objective.counts(batch).items()} for batch in batches)
    return reduce(local, ranks)


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


def one_step(
    learner: Learner,
    reference: Policy | None,
    phase: Phase,
    take: Take,
    progress: Progress,
    watch: Mapping[str, int],
) -> StepReport:
    """Learn from one take: credit, update, metrics, progress."""
    rate = phase.learning_rate.at(progress.phase_step, progress.share(phase.until))
    parts = teach(phase, take, learner.ranks)
    happened = [lesson.metrics for lesson in parts[0].lessons]
    age = staleness(take.judged, learner.policy.version)
    metrics = merge([take.metrics, age, *happened, update(learner, reference, parts, rate)])
    numbers = reduce(metrics, learner.ranks)
    return StepReport(advance(progress, numbers, watch), numbers, take, parts[0].lessons)


def advance(progress: Progress, numbers: Mapping[str, float], watch: Mapping[str, int]) -> Progress:
    """Progress after a step; ``watch`` names the metrics to remember, and for how many steps."""
    trained = numbers.get("tokens/trained", 0.0)
    return replace(
        progress.remember(numbers, watch),
        step=progress.step + 1,
        phase_step=progress.phase_step + 1,
        phase_tokens=progress.phase_tokens + trained,
        trained_tokens=progress.trained_tokens + trained,
        sampled_tokens=progress.sampled_tokens + numbers.get("tokens/sampled", 0.0),
    )


def check_judges(take: Take, numbers: Mapping[str, float], max_abstained: float) -> None:
    """Stop where judges abstain on more than ``max_abstained`` of an axis's candidates.

    Raises:
        RunStopped: naming the axis, the rate, and one reason that the judge gave.
    """
    for name, rate in numbers.items():
        if name.startswith("abstained/") and name.count("/") == 1 and rate > max_abstained:
            axis = name.removeprefix("abstained/")
            said = first_abstention(take.judged, axis) or "another rank holds its words"
            raise RunStopped(
                f"the judge of {axis} abstained on {rate:.0%} of the candidates, more than "
                f"the {max_abstained:.0%} allowed (max_abstained); for example: {said}"
            )


@runtime_checkable
class Session(Protocol):
    """A run in progress, as the loop sees it."""

    @property
    def learner(self) -> Learner:
        """What updates change."""
        ...

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        ...

    @property
    def watch(self) -> Mapping[str, int]:
        """Metrics that a rule or a limit remembers, and for how many steps."""
        ...

    def phase(self) -> Phase | None:
        """The phase of the next step, entered if it is new; ``None`` at the end of the run or when asked to stop."""
        ...

    def reference(self) -> Policy | None:
        """The frozen reference of this step, if the objective needs one."""
        ...

    def take(self) -> Take:
        """What the next step learns from: replayed where it was recorded before, recorded before it is returned."""
        ...

    def commit(self, report: StepReport) -> StepReport:
        """Publish the new policy, write metrics and samples, evaluate and checkpoint when due."""
        ...

    def finish(self) -> None:
        """Write what is left."""
        ...

    def close(self) -> None:
        """Let go of files, whatever happened."""
        ...


def train(session: Session) -> Iterator[StepReport]:
    """Run a session to its end, one step at a time; whoever iterates decides what else to do."""
    try:
        while (phase := session.phase()) is not None:
            take = session.take()
            report = one_step(session.learner, session.reference(), phase, take, session.progress, session.watch)
            yield session.commit(report)
        session.finish()
    finally:
        session.close()
