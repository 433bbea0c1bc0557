"""What the steps of a run learn from, with a memory: replayed where it was recorded, recorded before it is learnt from.

A phase with a ``queue_depth`` of d proposes the pools of step t + d as step t is taken, hence with the weights that
step t begins with; its first step proposes d + 1 steps. A resumed run finds the steps that were pending in the ring,
where they were put before the checkpoint was written, and proposes all others at the same points. Every rank does the
same: a step is replayed where all of them hold their record, and else nowhere.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from tutelage.episode_metrics import episode_metrics
from tutelage.episodes import EpisodeGroup
from tutelage.experience import Experience, Take, require_fresh
from tutelage.logbook import Logbook
from tutelage.loop import check_judges
from tutelage.metrics import merge, reduce
from tutelage.phases import Phase, Progress
from tutelage.policy import Policy
from tutelage.pool_metrics import judgement_metrics, source_metrics
from tutelage.protocols import Cursor
from tutelage.ranks import Ranks
from tutelage.record import Ring
from tutelage.types import Chunk, JudgedPool


def record_of(take: Take) -> tuple[Any, ...]:
    """What the ring holds of a take, as ``replayed`` takes it: all that cannot be made again from the rest."""
    return (take.judged, take.plain, take.cursor, take.version, *([take.episodes] if take.episodes else []))


def replayed(
    judged: tuple[JudgedPool, ...],
    plain: tuple[Chunk, ...],
    cursor: Cursor,
    version: int,
    episodes: tuple[EpisodeGroup, ...] = (),
) -> Take:
    """A recorded take with what is counted of it; seconds are not, for nothing was spent."""
    pools = [source_metrics([pool.pool for pool in judged]), judgement_metrics(judged)]
    return Take(judged, plain, cursor, version, merge([*pools, episode_metrics(episodes)]), episodes)


def together(takes: Sequence[Take]) -> Take:
    """What the ranks of a step took, as one rank would have."""
    return replayed(
        tuple(pool for take in takes for pool in take.judged),
        tuple(chunk for take in takes for chunk in take.plain),
        takes[0].cursor,
        takes[0].version,
        tuple(group for take in takes for group in take.episodes),
    )


class Draws:
    """The takes of one phase, in order."""

    def __init__(
        self, phase: Phase, experience: Experience, ring: Ring, ranks: Ranks, logbook: Logbook, max_abstained: float
    ) -> None:
        self._phase = phase
        self._experience = experience
        self._ring = ring
        self._ranks = ranks
        self._logbook = logbook
        self._max_abstained = max_abstained
        # From the next step on: a take that is known, or None for one that is with the experience.
        self._ahead: deque[Take | None] = deque()

    def take(self, progress: Progress, version: int) -> Take:
        """What the step after ``progress`` teaches the policy, which is at ``version``.

        Raises:
            RunStopped: a judge abstained too often.
            TooStale: the rollouts are older than the phase's ``queue_depth`` allows.
        """
        self._look_ahead(progress)
        take = self._ahead.popleft() or self._draw(progress.step)
        require_fresh(take.version, version, self._phase.queue_depth)
        return take

    def publish(self, policy: Policy) -> None:
        """From now on ``policy`` as it is writes what is proposed."""
        self._experience.publish(policy, policy.version)

    def settle(self, progress: Progress) -> None:
        """Wait for the verdicts that are pending and record them: a checkpoint counts on them.

        The phase ends where it ends: what was proposed for steps that it does not make any more is dropped with it.

        Raises:
            RunStopped: a judge abstained too often.
        """
        if not progress.is_over(self._phase.until):
            for i, take in enumerate(self._ahead):
                self._ahead[i] = take or self._draw(progress.step + i)

    def close(self) -> None:
        """Drop what is pending and leave no thread."""
        self._ahead.clear()
        self._experience.close()

    def _look_ahead(self, progress: Progress) -> None:
        """Replay or propose every step up to ``queue_depth`` ahead that the phase may make."""
        depth = self._phase.queue_depth
        while len(self._ahead) < min(depth + 1, progress.most_left(self._phase.until)):
            step = progress.step + len(self._ahead)
            record: Any = self._ring.get(step)
            if not self._ranks.maximum([float(record is None)])[0]:
                take = replayed(*record)
                self._experience.cursor = take.cursor
                self._ahead.append(take)
                continue
            if depth:
                if progress.phase_step and len(self._ahead) < depth:
                    # Was pending when the run ended, and its record is gone, and so are the weights that wrote it.
                    self._logbook.event("redrawn", step=step)
                self._experience.propose(self._phase.documents_per_step)
            self._ahead.append(None)

    def _draw(self, step: int) -> Take:
        """The take of a step that is with the experience: waited for, checked, recorded."""
        take = self._experience.take(self._phase.documents_per_step, max_staleness=self._phase.queue_depth)
        # Before it is recorded: a run that is resumed with its judge mended must ask again.
        silent = {name: metric for name, metric in take.metrics.items() if name.startswith("abstained/")}
        check_judges(take, reduce(silent, self._ranks), self._max_abstained)
        self._ring.put(step, record_of(take))
        return take
