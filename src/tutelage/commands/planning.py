"""What a run will take, in plain arithmetic over a sample of its documents: tokens, calls, GPU-hours, money by role."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tutelage.collate import rows_of
from tutelage.commands.dry_asking import (
    Asked,
    dry_resources,
    judge_asked,
    overhear,
    phase_asked,
    sample_chunks,
    stand_in_pools,
)
from tutelage.commands.planning_corrections import most_steps, plan_correction
from tutelage.config.mapping import exchanged, parts_of
from tutelage.correction import Correction
from tutelage.endpoints import Endpoint, Price
from tutelage.judges import PairwiseQuality
from tutelage.objectives import NTP
from tutelage.phases import Phase, WhenAbove
from tutelage.protocols import Codec, JudgeSpec, Resources
from tutelage.run import Run
from tutelage.schedules import Adaptive, AllPairs, KnockOut, Pivot, Swiss
from tutelage.trees import grow
from tutelage.types import Item, JudgedPool, Judgement, Pool, Rollout, Scored

SAMPLED = 16
"""Documents that the estimates go by."""
SCHEDULES: tuple[Any, ...] = (AllPairs(), Pivot(), KnockOut(), Swiss(), Adaptive())
"""What the calls of a judge that compares are told for, besides its own."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What is known of speed and price beforehand, by role."""

    tokens_per_second: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of one GPU; of teachers read and written together."""
    answer_tokens: Mapping[str, float] = field(default_factory=dict[str, float])
    """Mean length of an answer."""
    gpu_price: float = 0.0
    """Of an hour."""
    bytes_per_token: float = 4.0
    """Of prompts."""


@dataclass(frozen=True, slots=True)
class RolePlan:
    """What one role takes."""

    role: str
    calls: float
    read: float
    """Tokens; none for the policy in this process, whose tokens are all counted as written."""
    written: float
    """Tokens, the most where the length of answers is not known."""
    gpu_hours: float | None
    """``None`` where no rate is known."""
    cost: float | None


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """What a judge that compares would be asked under one schedule."""

    role: str
    schedule: str
    calls_per_pool: float
    calls: float
    is_own: bool
    """Whether it is the run's."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A whole run."""

    name: str
    steps: float
    documents: float
    roles: tuple[RolePlan, ...]
    schedules: tuple[SchedulePlan, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Amounts:
    calls: float = 0.0
    read: float = 0.0
    written: float = 0.0
    price: Price | None = None

    def add(self, calls: float, read: float, written: float) -> None:
        """Add to all three."""
        self.calls, self.read, self.written = self.calls + calls, self.read + read, self.written + written


@dataclass(frozen=True, slots=True)
class Sampled:
    """A phase's documents and pools, as far as they were looked at."""

    phase: Phase
    resources: Resources
    documents: int
    pools: tuple[Pool, ...]
    made: float = 0.0
    """Updates of the phases before, at most."""

    @property
    def trained_per_document(self) -> float:
        """Packed tokens that a document adds to an update, taught and untaught ones in their shares."""
        taught = _packed([_taught(self.phase, pool) for pool in self.pools])
        plain = _packed([NTP().lesson(JudgedPool(Pool(pool.chunk, ()))).item for pool in self.pools])
        share = self.phase.taught_share
        return (share * taught + (1 - share) * plain) / self.documents

    @property
    def steps(self) -> float:
        """Updates; of a phase that ends by a measured rule the most."""
        return most_steps(self.phase, self.made, lambda: self.trained_per_document)

    @property
    def taught_pools(self) -> float:
        """Pools of the whole phase."""
        per_document = len(self.pools) / self.documents
        return self.steps * self.phase.documents_per_step * self.phase.taught_share * per_document


def sample_phase(run: Run, phase: Phase, codec: Codec, made: float = 0.0) -> Sampled:
    """Read a phase's first documents and put stand-ins beside them.

    Raises:
        StreamError: they cannot be read.
    """
    stream = phase.stream or run.stream
    chunks = sample_chunks(run, stream, codec, SAMPLED)
    pools = tuple(stand_in_pools(chunks, phase.sources, stream, seed=run.seed))
    documents = len({chunk.document.key for chunk in chunks})
    return Sampled(phase, dry_resources(run, stream, codec), documents, pools, made)


def plan_run(run: Run, codec: Codec, rates: Rates) -> RunPlan:
    """The plan of a run.

    Raises:
        StreamError: its documents cannot be read.
        TableError: a table of rewrites cannot be used in it.
    """
    amounts: dict[str, _Amounts] = defaultdict(_Amounts)
    schedules: list[SchedulePlan] = []
    notes: list[str] = []
    steps = documents = 0.0
    for number, phase in enumerate(run.phases):
        if isinstance(phase.until, WhenAbove):
            notes.append(f"phase {number} ends by a measured rule; told are its {phase.until.at_most:,} at most")
        if isinstance(phase.task, Correction):
            asked = plan_correction(run, phase, phase.task, codec, steps)
            steps, documents = steps + asked.steps, documents + asked.problems
            amounts["rollout"].add(asked.attempts, 0.0, asked.sampled)
            amounts["train"].add(0.0, 0.0, asked.trained)
            amounts["verifier"].add(asked.attempts, 0.0, 0.0)
            continue
        one = sample_phase(run, phase, codec, steps)
        steps, documents = steps + one.steps, documents + one.steps * phase.documents_per_step
        amounts["train"].add(0.0, 0.0, one.steps * phase.documents_per_step * one.trained_per_document)
        calls, read, written = rollouts_of(one)
        if calls:
            amounts["rollout"].add(calls, read if run.rollout_servers else 0.0, written)
        for asked in phase_asked(phase, one.pools, one.resources):
            _add_asked(amounts[asked.role], asked, one, rates)
        schedules += [plan for judge in phase.judges for plan in _schedules(judge, one)]
        silent = [type(judge).__name__ for judge in phase.judges if not overhear(judge)[1]]
        notes += [f"{name} asks no text model: its work in this process is not told" for name in silent]
    if run.evaluations:
        notes.append("evaluations are not told")
    if run.rollout_servers and "rollout" in amounts:
        notes.append(f"weights are sent to {len(run.rollout_servers.servers)} servers of rollouts once an update")
    roles = tuple(_role(role, amount, rates) for role, amount in amounts.items())
    told = tuple(dict.fromkeys([*notes, *_caps(run, roles)]))
    return RunPlan(run.name, steps, documents, roles, tuple(schedules), told)


def rollouts_of(one: Sampled) -> tuple[float, float, float]:
    """Rollouts of a whole phase, tokens of their prefixes, each as often as it is continued, and tokens written."""
    found = [(pool.chunk.prefix, c.tokens) for pool in one.pools for c in pool.candidates if isinstance(c, Rollout)]
    times = one.taught_pools / len(one.pools)
    read, written = (times * sum(len(pair[place]) for pair in found) for place in (0, 1))
    return times * len(found), read, written


def _add_asked(amount: _Amounts, asked: Asked, one: Sampled, rates: Rates) -> None:
    times = one.taught_pools / len(one.pools)
    calls = times * len(asked.prompts)
    length = rates.answer_tokens.get(asked.role)
    written = times * asked.most_written if length is None else calls * length
    amount.add(calls, times * asked.bytes_read / rates.bytes_per_token, written)
    if isinstance(asked.model, Endpoint) and asked.model.price != Price():
        amount.price = asked.model.price


def _role(role: str, amount: _Amounts, rates: Rates) -> RolePlan:
    rate = rates.tokens_per_second.get(role)
    hours = None if rate is None else (amount.read + amount.written) / rate / 3600
    cost = hours * rates.gpu_price if hours is not None and rates.gpu_price else None
    if amount.price is not None:
        cost = amount.price.of(amount.read, amount.written)
    return RolePlan(role, amount.calls, amount.read, amount.written, hours, cost)


def _caps(run: Run, roles: Sequence[RolePlan]) -> list[str]:
    """Roles that would be stopped by their cap."""
    planned = {role.role: role for role in roles}
    found: list[str] = []
    for _, endpoint in parts_of(run.phases, Endpoint):
        role, cap = planned.get(endpoint.role), endpoint.cap
        if role is None:
            continue
        tokens = role.read + role.written
        if cap.tokens is not None and tokens > cap.tokens:
            found.append(f"{role.role} would pass its cap of {cap.tokens:,} tokens with about {tokens:,.0f}")
        if cap.cost is not None and role.cost is not None and role.cost > cap.cost:
            found.append(f"{role.role} would pass its cap of {cap.cost:,.2f} with about {role.cost:,.2f}")
    return found


def _schedules(judge: JudgeSpec, one: Sampled) -> list[SchedulePlan]:
    """The calls of a judge that compares, under its own schedule first."""
    found: list[SchedulePlan] = []
    own = next((part.schedule for _, part in parts_of(judge, PairwiseQuality)), None)
    for schedule in [own, *(other for other in SCHEDULES if other != own)] if own is not None else []:

        def put(part: Any, schedule: Any = schedule) -> Any:
            return replace(part, schedule=schedule) if isinstance(part, PairwiseQuality) else part

        for asked in judge_asked(exchanged(judge, put), one.pools, one.resources):
            a_pool = len(asked.prompts) / len(one.pools)
            name = type(schedule).__name__
            found.append(SchedulePlan(asked.role, name, a_pool, a_pool * one.taught_pools, schedule == own))
    return found


def _taught(phase: Phase, pool: Pool) -> Item | None:
    """What the objective trains of a pool in which all candidates have scores, each another one."""
    count = len(pool.candidates)
    verdicts = tuple(Scored(k / max(count, 1), max(count - 1, 1)) for k in range(count))
    judgements = (Judgement("stand-in", verdicts),) if count and phase.judges else ()
    return phase.objective.lesson(JudgedPool(pool, judgements)).item


def _packed(items: Sequence[Item | None]) -> int:
    """Tokens of all rows with what they share counted once."""
    rows = [row for item in items if item is not None for row in rows_of(item)]
    return grow(rows).length if rows else 0
