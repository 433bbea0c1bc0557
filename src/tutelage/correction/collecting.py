"""Data for supervised baselines, made once of a model's own episodes: traces to imitate, and first attempts as text."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.correction.asking import Subject, posing
from tutelage.correction.experience import CorrectionExperience
from tutelage.correction.task import Correction
from tutelage.episodes import EpisodeGroup
from tutelage.maths.ranges import require
from tutelage.metrics import Metric, Sum, merge
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
DONE = "collected.json"


@dataclass(frozen=True, slots=True)
class Collect:
    """Let a model attempt problems; write ``NAME.npz`` for every baseline, and ``attempts.jsonl``: its first attempts.

    The latter are what ``FirstAttempts`` reads. Files appear whole or not at all; nothing is asked again where all are
    there, of the same model and task. What was spent is kept beside them (``spent_on``).
    """

    subject: Subject
    task: Correction
    problems: int
    """How many are asked, those that come again in another epoch included; ``task.episodes`` each."""
    kinds: Mapping[str, int] = field(default_factory=dict[str, int])
    """Which baselines traces are made for, each of so many of the problems, the first ones: a round of STaR has fewer
    than the one round of Pair-SFT."""

    def __post_init__(self) -> None:
        require(self, "problems", at_least=1)
        if unknown := [kind for kind in self.kinds if kind not in MAKERS]:
            raise ValueError(f"there are no traces {unknown[0]!r}; there are {', '.join(MAKERS)}")
        if wrong := [kind for kind, count in self.kinds.items() if not 1 <= count <= self.problems]:
            raise ValueError(f"kinds.{wrong[0]} is {self.kinds[wrong[0]]}; {self.problems} problems are asked")

    def execute(self, directory: Path, study: Path) -> bool:
        """Attempt, keep, write."""
        mark = self.subject.fingerprint_in(self.task, self.problems, dict(self.kinds))
        if _read(directory).get("of") == mark:
            return True
        kept: dict[str, list[tuple[Tokens, Tokens]]] = {kind: [] for kind in self.kinds}
        spent: dict[str, dict[str, Metric]] = {kind: {} for kind in self.kinds}
        attempts: list[str] = []
        resources = self.subject.resources()
        reader = self.task.open(resources.seed, resources.codec)
        with posing(self.task, reader, resources) as experience:
            for begun, groups, cost in self._batches(experience):
                for kind in (kind for kind, most in self.kinds.items() if begun < most):
                    kept[kind] += [_pair(row) for group in groups for row in MAKERS[kind](group)]
                    spent[kind] = merge([spent[kind], cost])
                attempts += _attempts(groups, resources.codec)
        for kind, pairs in kept.items():
            write_traces(directory / f"{kind}.npz", pairs)
        write_atomically(directory / "attempts.jsonl", "".join(attempts).encode())
        told = {kind: {name: float(one.total) for name, one in _sums(cost).items()} for kind, cost in spent.items()}
        write_atomically(directory / DONE, json.dumps({"of": mark, "spent": told}).encode())
        return True

    def _batches(
        self, experience: CorrectionExperience
    ) -> Iterator[tuple[int, tuple[EpisodeGroup, ...], dict[str, Metric]]]:
        """Episodes with what they cost, and how many problems came before; no batch reaches over the end of a kind."""
        ends = sorted({*range(AT_A_TIME, self.problems, AT_A_TIME), *self.kinds.values(), self.problems})
        for begun, end in zip([0, *ends], ends, strict=False):
            take = experience.take(end - begun)
            yield begun, take.episodes, dict(_sums(take.metrics))


def spent_on(directory: Path, kind: str) -> dict[str, float]:
    """What collecting the traces of a kind took: attempts and tokens that were sampled, and seconds, by metric."""
    return _read(directory).get("spent", {}).get(kind, {})


def _read(directory: Path) -> dict[str, Any]:
    path = directory / DONE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _sums(metrics: Mapping[str, Metric]) -> dict[str, Sum]:
    return {name: metric for name, metric in metrics.items() if isinstance(metric, Sum)}


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
