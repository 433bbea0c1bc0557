"""Data for supervised baselines, made once of a model's own episodes: traces to imitate, and first attempts as text."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tutelage.correction.asking import Subject, posing
from tutelage.correction.task import Correction
from tutelage.episodes import EpisodeGroup
from tutelage.maths.ranges import require
from tutelage.objectives.traces import pair_rows, star_rows
from tutelage.protocols import Codec
from tutelage.record import write_atomically
from tutelage.stream.traces import write_traces
from tutelage.types import Row, Tokens

Maker = Callable[[EpisodeGroup], list[Row]]
MAKERS: Mapping[str, Maker] = {
    "star": partial(star_rows, plus=False),
    "star_plus": partial(star_rows, plus=True),
    "pair_sft": partial(pair_rows, plus=False),
    "pair_sft_plus": partial(pair_rows, plus=True),
}
"""What is kept of episodes, by baseline."""
AT_A_TIME = 256
"""Problems whose episodes are sampled together."""


@dataclass(frozen=True, slots=True)
class Collect:
    """Let a model attempt problems; write ``NAME.npz`` for every baseline, and ``attempts.jsonl``: its first attempts.

    The latter are what ``FirstAttempts`` reads. Files appear whole or not at all; nothing is asked again where all are
    there, of the same model and task.
    """

    subject: Subject
    task: Correction
    problems: int
    """How many are asked, those that come again in another epoch included; ``task.episodes`` each."""
    kinds: tuple[str, ...] = tuple(MAKERS)
    """Which baselines traces are made for."""

    def __post_init__(self) -> None:
        require(self, "problems", at_least=1)
        if unknown := [kind for kind in self.kinds if kind not in MAKERS]:
            raise ValueError(f"there are no traces {unknown[0]!r}; there are {', '.join(MAKERS)}")

    def execute(self, directory: Path, study: Path) -> bool:
        """Attempt, keep, write."""
        mark = self.subject.fingerprint_in(self.task, self.problems, self.kinds)
        done = directory / "collected.json"
        if done.is_file() and json.loads(done.read_text("utf-8")) == mark:
            return True
        kept: dict[str, list[tuple[Tokens, Tokens]]] = {kind: [] for kind in self.kinds}
        attempts: list[str] = []
        resources = self.subject.resources()
        reader = self.task.open(resources.seed, resources.codec)
        with posing(self.task, reader, resources) as experience:
            for begun in range(0, self.problems, AT_A_TIME):
                groups = experience.take(min(AT_A_TIME, self.problems - begun)).episodes
                for kind, pairs in kept.items():
                    pairs += [_pair(row) for group in groups for row in MAKERS[kind](group)]
                attempts += _attempts(groups, resources.codec)
        for kind, pairs in kept.items():
            write_traces(directory / f"{kind}.npz", pairs)
        write_atomically(directory / "attempts.jsonl", "".join(attempts).encode())
        write_atomically(done, json.dumps(mark).encode())
        return True


def _pair(row: Row) -> tuple[Tokens, Tokens]:
    """All but the last segment, which is the one that is trained, and that one."""
    *before, last = row.segments
    return Tokens.join([segment.tokens for segment in before]), last.tokens


def _attempts(groups: Sequence[EpisodeGroup], codec: Codec) -> Iterator[str]:
    """Lines of ``FirstAttempts``; attempts that were cut off are left out."""
    for group in groups:
        for episode in group.episodes:
            first = episode.turns[0]
            if first.finish == "stop":
                yield json.dumps({"problem": group.problem.id, "attempt": codec.decode(first.completion)}) + "\n"
