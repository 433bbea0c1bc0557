"""Read this first: one step of the loop is the papers' algorithm box.

    take judged pools or episodes → objective.lesson: credit → collate: one tree a group → score → loss / count over
    all ranks → clip → update → publish → record, evaluate, checkpoint when due

The loop does not know which task and objective it runs, where candidates come from, or who judges them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from tutelage.episode_metrics import episode_staleness, first_silence
from tutelage.episodes import VERIFIER
from tutelage.experience import Take
from tutelage.metrics import merge, reduce
from tutelage.objectives import NTP, Lesson
from tutelage.phases import Phase, Progress
from tutelage.policy import Policy
from tutelage.pool_metrics import first_abstention, staleness
from tutelage.ranks import Ranks
from tutelage.types import JudgedPool, Pool
from tutelage.update import Learner, Part, RunStopped, update


@dataclass(frozen=True, slots=True, eq=False)
class StepReport:
    """What a step did."""

    progress: Progress
    metrics: Mapping[str, float]
    take: Take = field(repr=False)
    lessons: tuple[Lesson, ...] = field(repr=False)
    """Of the taught pools or episodes, in their order."""


def teach(phase: Phase, take: Take, progress: Progress, ranks: Ranks) -> tuple[Part, ...]:
    """Credit: each judged pool or problem becomes a lesson; documents that are not taught become next-token rows."""
    plain = NTP()
    taught, untaught = ranks.sum_numbers([len(take.groups), len(take.plain)])
    documents = max(taught + untaught, 1.0)
    objective = phase.objective_at(progress)
    lessons = tuple(objective.lesson(group) for group in take.groups)
    rows = tuple(plain.lesson(JudgedPool(Pool(chunk, ()))) for chunk in take.plain)
    return Part(objective, lessons, taught / documents), Part(plain, rows, untaught / documents)


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
    parts = teach(phase, take, progress, learner.ranks)
    happened = [lesson.metrics for lesson in parts[0].lessons]
    version = learner.policy.version
    age = merge([staleness(take.judged, version), episode_staleness(take.episodes, version)])
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
    """Stop where judges abstain on more than ``max_abstained`` of an axis's candidates, or a verifier of the attempts.

    Raises:
        RunStopped: naming the axis, the rate, and one reason that was given.
    """
    for name, rate in numbers.items():
        if name.startswith("abstained/") and name.count("/") == 1 and rate > max_abstained:
            axis = name.removeprefix("abstained/")
            said = first_abstention(take.judged, axis) or first_silence(take.episodes) or "another rank holds its words"
            who = "the verifier" if axis == VERIFIER else f"the judge of {axis}"
            what = "attempts" if axis == VERIFIER else "candidates"
            raise RunStopped(
                f"{who} abstained on {rate:.0%} of the {what}, more than "
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
