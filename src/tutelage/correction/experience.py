"""Where episodes come from: read problems, attempt them, instruct to correct, attempt again, ask the verifier.

All attempts are sampled first, since the instruction does not depend on whether an attempt was right; the verifier is
asked about all of them at once, in the background where steps are proposed ahead.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from tutelage import rng
from tutelage.correction.problems import Posed, ProblemReader
from tutelage.correction.task import Correction
from tutelage.correction.verifying import Attempt, Checked, check
from tutelage.episode_metrics import episode_metrics
from tutelage.episodes import Episode, EpisodeGroup, Turn
from tutelage.experience import Ahead, Take
from tutelage.metrics import Metric, Sum, counted, merge
from tutelage.policy import Policy
from tutelage.protocols import Cursor, Resources, Sampled, SampleRequest
from tutelage.types import Floats, Tokens


@dataclass(frozen=True, slots=True)
class Spoken:
    """An episode without verdicts."""

    posed: Posed
    draw: int
    text: Tokens
    """All tokens so far."""
    attempts: tuple[tuple[Tokens, Sampled], ...] = ()
    """Of every attempt, what stands before it and what was written."""
    author: str = "policy"
    """Who wrote the first attempt."""


@dataclass(frozen=True, slots=True)
class Written:
    """The episodes of one step without verdicts, an equal number of each problem."""

    count: int
    episodes: tuple[Spoken, ...]
    cursor: Cursor
    version: int
    metrics: dict[str, Metric] = field(hash=False, compare=False)


Ruling = tuple[tuple[EpisodeGroup, ...], dict[str, Metric]]
"""What the verifier made of a step's episodes, and what is counted of it."""


class CorrectionExperience:
    """The correction task (2409.12917 §3): problems in, episodes of several attempts out, verified."""

    def __init__(
        self,
        task: Correction,
        reader: ProblemReader,
        resources: Resources,
        *,
        cursor: Cursor,
        rank: int,
        size: int,
        temperature: float = 1.0,
    ) -> None:
        self._task = task
        self._reader = reader
        self._codec = resources.codec
        self._sampler = resources.sampler
        self._seed = resources.seed
        self._format = task.format.build(resources.codec)
        self._offline = (
            None if task.first_attempts is None else task.first_attempts.build(self._codec, task.max_new_tokens)
        )
        self._author = "policy" if task.first_attempts is None else task.first_attempts.author
        self._temperature = temperature
        self._rank = rank
        self._size = size
        self._version = 0
        self._open = ExitStack()
        self._verifier = self._open.enter_context(task.verifier.build())
        self._ahead = Ahead[Written, Ruling]()
        self.cursor = cursor

    def publish(self, policy: Policy, version: int) -> None:
        """The sampler sees the live weights; only the version changes."""
        self._version = version

    def propose(self, count: int) -> None:
        """Read problems and write their episodes now; the verifier begins when it is done with those before."""
        written = self._write(count)
        self.cursor = written.cursor
        self._ahead.add(written, self._verify)

    def take(self, count: int, *, max_staleness: int = 0) -> Take:
        """What was proposed first, waited for; else read, write and verify here and now, with a staleness of 0.

        Problems are dealt round robin to the ranks, and all draws are keyed by problem: the episodes of a step are the
        same for any number of ranks.

        Raises:
            ValueError: ``max_staleness`` is negative, or ``count`` is not what was proposed.
            TooStale: the policy was updated more often since the proposal.
        """
        ahead = self._ahead.take(count, self._version, max_staleness)
        if ahead is None:
            written = self._write(count)
            self.cursor = written.cursor
            return _taken(written, self._verify(written))
        written, (groups, found), waited = ahead
        return _taken(written, (groups, found | waited))

    def require_room(self, context: int | None) -> None:
        """Refuse episodes that could not be sampled to their end, before the first of them is.

        Raises:
            ValueError: an episode may take more than ``context`` tokens; names both.
        """
        between = len(self._format.instruction(Tokens([])))
        task = self._task
        longest = self._reader.longest + task.turns * task.max_new_tokens + (task.turns - 1) * between
        if context is not None and longest > context:
            self.close()
            raise ValueError(
                f"an episode may take {longest} tokens, more than the model's context of {context}: lower "
                "task.max_new_tokens, task.max_prompt_tokens or task.turns"
            )

    def close(self) -> None:
        """Drop what was proposed and not taken, wait for the verifier that is at work, and end its processes."""
        self._ahead.close()
        self._open.close()

    # ----------------------------------------------------------------- writing

    def _write(self, count: int) -> Written:
        """Read the next problems and let the policy write all attempts; the cursor stays."""
        started = time.perf_counter()
        posed, cursor = self._reader.read(self.cursor, count)
        episodes = [
            Spoken(one, draw, one.prompt)
            for one in posed[self._rank :: self._size]
            for draw in range(self._task.episodes)
        ]
        read = time.perf_counter()
        for turn in range(self._task.turns):
            episodes = self._attempt(episodes, turn)
        metrics: dict[str, Metric] = {
            "seconds/stream": Sum(read - started),
            "seconds/rollout": Sum(time.perf_counter() - read),
        }
        return Written(count, tuple(episodes), cursor, self._version, metrics)

    def _attempt(self, episodes: Sequence[Spoken], turn: int) -> list[Spoken]:
        """Every episode with one more attempt."""
        said = [self._format.instruction(e.attempts[-1][1].tokens) if e.attempts else e.posed.prompt for e in episodes]
        before = [Tokens.join([e.text, s]) if e.attempts else s for e, s in zip(episodes, said, strict=True)]
        given = self._given(episodes) if turn == 0 else {}
        written = given | self._sampled(episodes, before, turn, [i for i in range(len(episodes)) if i not in given])
        return [
            replace(
                episode,
                text=Tokens.join([before[i], written[i].tokens]),
                attempts=(*episode.attempts, (said[i], written[i])),
                author=self._author if i in given else episode.author,
            )
            for i, episode in enumerate(episodes)
        ]

    def _sampled(
        self, episodes: Sequence[Spoken], before: Sequence[Tokens], turn: int, which: Sequence[int]
    ) -> dict[int, Sampled]:
        """Attempts by the policy, by the place of their episode; those with all text in common are one request."""
        waiting: dict[Tokens, list[int]] = {}
        for i in which:
            waiting.setdefault(before[i], []).append(i)
        requests = [
            SampleRequest(
                prefix,
                tuple(self._key(episodes[i], turn) for i in those),
                self._task.max_new_tokens,
                self._temperature,
            )
            for prefix, those in waiting.items()
        ]
        answers = self._sampler.sample(requests) if requests else []
        pairs = zip(waiting.values(), answers, strict=True)
        return {i: one for those, sampled in pairs for i, one in zip(those, sampled, strict=True)}

    def _key(self, episode: Spoken, turn: int) -> int:
        posed = episode.posed
        return rng.seed(self._seed, "attempt", posed.epoch, posed.problem.id, episode.draw, turn)

    def _given(self, episodes: Sequence[Spoken]) -> dict[int, Sampled]:
        """First attempts that were written before training, by the place of the episodes that begin with one."""
        found: dict[int, Sampled] = {}
        for i, episode in enumerate(episodes if self._offline is not None else ()):
            assert self._offline is not None
            posed = episode.posed
            key = (self._seed, posed.epoch, posed.problem.id, episode.draw)
            tokens = self._offline.draw(posed.prompt, posed.problem.id, *key)
            if tokens is not None:
                found[i] = Sampled(tokens, Floats([]), "stop")
        return found

    # ----------------------------------------------------------------- verifying

    def _verify(self, written: Written) -> Ruling:
        """Ask the verifier about every attempt, all at once."""
        started = time.perf_counter()
        asked = [
            Attempt(e.posed.problem, self._codec.decode(sampled.tokens), sampled.finish == "length")
            for e in written.episodes
            for _, sampled in e.attempts
        ]
        checked = iter(check(self._verifier, asked))
        episodes = [
            Episode(tuple(_turn(*spoken, next(checked)) for spoken in e.attempts), e.draw, written.version, e.author)
            for e in written.episodes
        ]
        each = self._task.episodes
        posed = [e.posed for e in written.episodes[::each]]
        groups = tuple(
            EpisodeGroup(one.problem, tuple(episodes[i * each : (i + 1) * each]), one.epoch)
            for i, one in enumerate(posed)
        )
        seconds: dict[str, Metric] = {"seconds/verifier": Sum(time.perf_counter() - started)}
        return groups, merge([seconds, counted(self._verifier), episode_metrics(groups)])


def _turn(prompt: Tokens, sampled: Sampled, checked: Checked) -> Turn:
    return Turn(prompt, sampled.tokens, sampled.logprobs, sampled.finish, checked.reward, checked.answer)


def _taken(written: Written, ruling: Ruling) -> Take:
    groups, found = ruling
    return Take((), (), written.cursor, written.version, merge([written.metrics, found]), groups)
