"""STaR and Pair-SFT: collect traces, imitate them, collect anew with the model that came of it; then examine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.correction import Collect, Correction, Exam, Subject
from tutelage.correction.collecting import spent_on
from tutelage.evidence.score.work import drop, examine, keep
from tutelage.maths.ranges import require
from tutelage.phases import Steps
from tutelage.record import write_atomically
from tutelage.run import Run
from tutelage.stream import Traces, count_traces
from tutelage.study import Train
from tutelage.trackers import read_metrics
from tutelage.weights import ModelSpec, Pretrained


@dataclass(frozen=True, slots=True)
class TrainOnTraces:
    """Rounds of imitation. Each trains the model that the run names, on the traces of that round alone.

    So does ReST-EM, whose loop the paper takes [P, by its reference]. Every round makes all of the run's updates, so
    that what is examined is as many updates from the base as any other arm; a trace is learnt ``epochs`` times, and
    the size of an update follows. ``metrics.jsonl`` has the updates of all rounds, and what collecting took.
    """

    run: Run
    """One round, of one phase. Its stream is put in its place, ``Traces`` of the round; ``documents_per_step`` is the
    most that an update learns."""
    task: Correction
    """What is attempted to collect traces."""
    kind: str
    """Which traces are kept: ``star``, ``star_plus``, ``pair_sft``, ``pair_sft_plus``."""
    problems: int
    """How many are attempted a round."""
    exams: Mapping[str, Exam]
    rounds: int = 3
    """3 for STaR, 1 for Pair-SFT [P]."""
    epochs: float = 1.0
    """1 for Pair-SFT [P]; not stated for STaR."""
    collected: str | None = None
    """File of traces that the first round takes, where a ``Collect`` of another job made it."""

    def __post_init__(self) -> None:
        require(self, "problems", "rounds", at_least=1)
        require(self, "epochs", above=0)
        if len(self.run.phases) != 1 or not isinstance(self.run.phases[0].until, Steps):
            raise ValueError(f"{self.run.name}: a round of imitation is one phase of a number of steps")

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on with the round that it stopped in."""
        model, rows, owed = self.run.model, list[dict[str, Any]](), dict[str, float]()
        for number in range(1, self.rounds + 1):
            place = directory / f"round-{number}"
            place.mkdir(exist_ok=True)
            traces = self._traces(number, model, place, study)
            owed = _added(owed, spent_on(traces.parent, self.kind))
            count = count_traces(traces)
            if not count:
                continue  # a model that solves nothing has nothing to imitate, and stays what it is
            if not Train(self._round(traces, count)).execute(place / "run", study):
                return False
            model = Pretrained(str(place / "run" / "hf"), self.run.model.precision)
            rows += _behind(rows, read_metrics(place / "run" / "metrics.jsonl"), owed, number)
            owed = {}
        rows += [{"step": 0, **owed}] if owed else []
        write_atomically(directory / "metrics.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode())
        keep(model, self.run, directory / "hf")
        examine(self.run, directory / "hf", self.exams, directory)
        for number in range(1, self.rounds + 1):
            drop(directory / f"round-{number}" / "run", "checkpoints", "ring", "samples")
        return True

    def _round(self, traces: Path, count: int) -> Run:
        (phase,) = self.run.phases
        assert isinstance(phase.until, Steps)
        size = min(phase.documents_per_step, max(1, round(self.epochs * count / phase.until.count)))
        stream = Traces(str(traces), self.task.max_new_tokens)
        return replace(self.run, stream=stream, phases=(replace(phase, documents_per_step=size),))

    def _traces(self, number: int, model: ModelSpec, place: Path, study: Path) -> Path:
        if number == 1 and self.collected is not None:
            return Path(self.collected)
        subject = Subject(model, self.run.tokenizer, self.run.seed + number, self.run.device)
        Collect(subject, self.task, self.problems, {self.kind: self.problems}).execute(place, study)
        return place / f"{self.kind}.npz"


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in (*one, *other)}


def _behind(
    rows: Sequence[Mapping[str, Any]], more: Sequence[dict[str, Any]], owed: Mapping[str, float], number: int
) -> list[dict[str, Any]]:
    """The metrics of a round behind those before it; the first of its updates bears what collecting took."""
    found = [row | {"step": row["step"] + len(rows), "traces/round": number} for row in more]
    return [{**found[0], **_added({name: found[0].get(name, 0.0) for name in owed}, owed)}, *found[1:]]
