"""A run is a tuple of phases: what is trained, on candidates from where, judged by whom, and until when."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from tutelage.correction import Correction
from tutelage.episodes import EpisodeGroup
from tutelage.experience import SuffixTask
from tutelage.maths.ranges import require
from tutelage.objectives import FollowsMetrics, Objective, learns_from
from tutelage.optimizer import LearningRate
from tutelage.protocols import JudgeSpec, SourceSpec, StreamSpec
from tutelage.types import JudgedPool


@dataclass(frozen=True, slots=True)
class Steps:
    """Until so many updates of this phase."""

    count: int
    """Updates."""

    def __post_init__(self) -> None:
        require(self, "count", at_least=1)


@dataclass(frozen=True, slots=True)
class StepsOfRun:
    """Until the run has made so many updates, those of earlier phases included; a phase that begins later makes none.

    After a phase that ends by a measured rule it keeps the length of the run, whenever the rule held.
    """

    count: int
    """Updates of the run."""

    def __post_init__(self) -> None:
        require(self, "count", at_least=1)


@dataclass(frozen=True, slots=True)
class TrainedTokens:
    """Until so many tokens went through the update: packed tokens, prefixes counted once a tree."""

    count: int
    """Tokens, over all ranks."""

    def __post_init__(self) -> None:
        require(self, "count", at_least=1)


@dataclass(frozen=True, slots=True)
class WhenAbove:
    """Until a metric's mean over ``window`` steps is at least ``threshold``, at most ``at_most`` updates.

    Example: ``WhenAbove("chosen/rollout", 0.5)`` ends a phase once rollouts win half of the pools.
    """

    metric: str
    """Name of the metric, as in ``metrics.jsonl``."""
    threshold: float
    """What its mean must reach."""
    window: int = 20
    """Steps that the mean is over."""
    at_most: int = 100_000
    """Updates after which the phase ends in any case."""

    def __post_init__(self) -> None:
        require(self, "threshold")
        require(self, "window", "at_most", at_least=1)


Until = Steps | StepsOfRun | TrainedTokens | WhenAbove


@dataclass(frozen=True, slots=True)
class Frozen:
    """The reference is the policy as the phase began."""

    def is_due(self, phase_step: int) -> bool:
        """Never synced again."""
        return False


@dataclass(frozen=True, slots=True)
class Synced:
    """The reference is the policy as it was at the last multiple of ``every`` updates of the phase."""

    every: int
    """Updates between two syncs."""

    def __post_init__(self) -> None:
        require(self, "every", at_least=1)

    def is_due(self, phase_step: int) -> bool:
        """Whether the reference is synced before the update that follows ``phase_step`` others."""
        return phase_step % self.every == 0


@dataclass(frozen=True, slots=True)
class Initial:
    """The reference is the policy as the run began: the base, whatever phases lie between."""

    def is_due(self, phase_step: int) -> bool:
        """Never synced."""
        return False


Reference = Frozen | Synced | Initial


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run with one objective."""

    objective: Objective
    """What is learnt from a judged pool or from episodes, and with which loss."""
    until: Until
    """When the phase ends."""
    learning_rate: LearningRate
    """Over the length of the phase."""
    sources: tuple[SourceSpec, ...] = ()
    """Who writes candidates; their order has no influence on who wins."""
    judges: tuple[JudgeSpec, ...] = ()
    """Who scores them; the scores of an axis are summed with their weights."""
    documents_per_step: int = 256
    """Documents of one update, over all ranks [P]; problems where the task is to correct."""
    taught_share: float = 1.0
    """Share of documents that are taught; the others train as plain next-token prediction in the same step."""
    reference: Reference = Frozen()
    """What the objective compares the policy with, where it needs a reference."""
    stream: StreamSpec | None = None
    """Other documents than the run's, for this phase only."""
    queue_depth: int = 0
    """Steps that are sampled ahead, so that judges work while the policy samples and learns: 0 is strictly on-policy, 1
    learns from rollouts that are one update old."""
    task: SuffixTask | Correction = SuffixTask()
    """What the policy does: continue documents, or correct its own attempts at problems."""

    def __post_init__(self) -> None:
        require(self, "queue_depth", at_least=0)
        if self.documents_per_step < 1:
            raise ValueError(f"documents_per_step must be at least 1, not {self.documents_per_step}")
        if not 0 <= self.taught_share <= 1:
            raise ValueError(f"taught_share must lie in [0, 1], not {self.taught_share}")
        match self.task:
            case SuffixTask():
                self._require_learning_from("judged pools", JudgedPool)
            case Correction():
                self._require_learning_from("episodes", EpisodeGroup)
                self._require_problems_alone()
            case _:
                assert_never(self.task)

    def objective_at(self, progress: "Progress") -> Objective:
        """The objective of the next step: itself, or adapted to what was measured."""
        objective = self.objective
        if not isinstance(objective, FollowsMetrics):
            return objective
        return objective.adapted({name: progress.watched(name) for name in objective.follows})

    def _require_learning_from(self, what: str, group: type) -> None:
        if learns_from(self.objective, group) is False:
            name, task = type(self.objective).__name__, type(self.task).__name__
            raise ValueError(f"{name} does not learn from {what}, which is what a phase with the task {task} gives")

    def _require_problems_alone(self) -> None:
        idle = [name for name in ("sources", "judges", "stream") if getattr(self, name)]
        idle += ["taught_share"] if self.taught_share != 1.0 else []
        if idle:
            raise ValueError(f"a phase that corrects reads problems and asks a verifier: leave {idle[0]} out")


@dataclass(frozen=True, slots=True)
class Limit:
    """Stop the run, with a checkpoint, or warn, when a metric's mean over ``window`` steps leaves its range."""

    metric: str
    """Name of the metric, as in ``metrics.jsonl``."""
    below: float | None = None
    """Stop when it falls under this."""
    above: float | None = None
    """Stop when it rises over this."""
    window: int = 1
    """Steps that the mean is over."""
    why: str = ""
    """What it means, and what to do about it, for the message."""
    stops: bool = True
    """Whether the run stops; if not it goes on, and ``events.jsonl`` has the message, once until it is in range."""

    def __post_init__(self) -> None:
        if self.below is None and self.above is None:
            raise ValueError(f"the limit on {self.metric} needs a bound: below, above, or both")
        require(self, "below", "above")
        require(self, "window", at_least=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, apart from weights: exactly what a checkpoint must know to go on."""

    step: int = 0
    """Updates made."""
    phase: int = 0
    phase_step: int = 0
    """Updates made in this phase."""
    phase_tokens: float = 0.0
    """Packed tokens trained in this phase, over all ranks."""
    trained_tokens: float = 0.0
    sampled_tokens: float = 0.0
    history: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """Last values of the metrics that a rule or a limit watches."""

    def watched(self, metric: str) -> tuple[float, ...]:
        """The last values of ``metric``, newest last."""
        return dict(self.history).get(metric, ())

    def remember(self, numbers: Mapping[str, float], watch: Mapping[str, int]) -> "Progress":
        """The same with ``numbers`` added to the histories; ``watch`` says of which metrics, and how many values."""
        history = {name: self.watched(name) for name in watch}
        for name, window in watch.items():
            if name in numbers:
                history[name] = (*history[name], numbers[name])[-window:]
        return replace(self, history=tuple(history.items()))

    def next_phase(self) -> "Progress":
        """At the beginning of the next phase, which has its own counters and measurements."""
        return replace(self, phase=self.phase + 1, phase_step=0, phase_tokens=0.0, history=())

    def share(self, until: Until) -> float:
        """How much of the phase is done, in [0, 1]."""
        match until:
            case Steps(count):
                return min(1.0, self.phase_step / max(count, 1))
            case StepsOfRun(count):
                length = count - (self.step - self.phase_step)
                return min(1.0, self.phase_step / length) if length > 0 else 1.0
            case TrainedTokens(count):
                return min(1.0, self.phase_tokens / max(count, 1))
            case WhenAbove():
                return min(1.0, self.phase_step / max(until.at_most, 1))

    def share_of_run(self, phases: tuple[Phase, ...]) -> float:
        """How much of the run is done, each phase counting the same; for a phase in progress."""
        return (self.phase + self.share(phases[self.phase].until)) / len(phases)

    def most_left(self, until: Until) -> float:
        """Most updates that the phase can still make; infinite where its end does not count them."""
        match until:
            case Steps(count):
                return count - self.phase_step
            case StepsOfRun(count):
                return count - self.step
            case TrainedTokens():
                return math.inf
            case WhenAbove():
                return until.at_most - self.phase_step

    def is_over(self, until: Until) -> bool:
        """Whether the phase ends here."""
        if self.share(until) >= 1:
            return True
        if isinstance(until, WhenAbove):
            recent = self.watched(until.metric)[-until.window :]
            return len(recent) == until.window and sum(recent) / until.window >= until.threshold
        return False


def watched_metrics(phases: tuple[Phase, ...], limits: tuple[Limit, ...]) -> dict[str, int]:
    """Metrics that rules, limits and objectives look at, with the longest window that any of them needs."""
    rules = [phase.until for phase in phases if isinstance(phase.until, WhenAbove)]
    wanted = [(looked_at.metric, looked_at.window) for looked_at in (*limits, *rules)]
    for phase in phases:
        if isinstance(phase.objective, FollowsMetrics):
            wanted += phase.objective.follows.items()
    windows: dict[str, int] = {}
    for metric, window in wanted:
        windows[metric] = max(windows.get(metric, 0), window)
    return windows


def broken_limits(limits: tuple[Limit, ...], progress: Progress) -> dict[Limit, str]:
    """The limits that are broken, each in words."""
    found = {limit: _broken(limit, progress.watched(limit.metric)[-limit.window :]) for limit in limits}
    return {limit: words for limit, words in found.items() if words is not None}


def _broken(limit: Limit, recent: Sequence[float]) -> str | None:
    if len(recent) < limit.window:
        return None
    mean = sum(recent) / limit.window
    why = f": {limit.why}" if limit.why else ""
    if not math.isfinite(mean):
        return f"{limit.metric} is {mean}, which no limit allows"
    if limit.below is not None and mean < limit.below:
        return f"{limit.metric} is {mean:.4g}, below its limit of {limit.below:.4g}{why}"
    if limit.above is not None and mean > limit.above:
        return f"{limit.metric} is {mean:.4g}, above its limit of {limit.above:.4g}{why}"
    return None


def nothing_taught(phase: Phase, steps: int, numbers: Mapping[str, float]) -> str:
    """What it means that nothing was taught in so many steps, with advice by the phase's task and the last metrics."""
    match phase.task:
        case SuffixTask():
            return (
                f"no pool could teach anything in {steps} steps (max_untaught): are there judges, and candidates that "
                "they score differently?"
            )
        case Correction():
            why = "all attempts at a problem earn the same: take harder problems, or more episodes of each"
            if numbers.get("episodes/all_zero", 0.0) == 1.0:
                cut, unread = numbers.get("truncated/turn1", 0.0), numbers.get("unparsed/turn1", 0.0)
                why = (
                    "all rewards are zero: take easier problems or more episodes of each, and look whether the "
                    f"verifier can read the answers; of the first attempts {cut:.0%} were cut off (max_new_tokens) and "
                    f"{unread:.0%} held no answer (format)"
                )
            return f"no problem could teach anything in {steps} steps (max_untaught): {why}"
        case _:
            assert_never(phase.task)
