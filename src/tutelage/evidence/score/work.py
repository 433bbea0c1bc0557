"""Jobs of the study: train an arm and examine it; imitate traces in rounds and examine that."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.correction import Collect, Correction, Exam, Subject
from tutelage.correction.outcomes import Outcomes
from tutelage.maths.ranges import require
from tutelage.ranks import from_environment
from tutelage.run import Run
from tutelage.stream import Traces, count_traces
from tutelage.study import Train
from tutelage.weights import ModelSpec, Pretrained

EXAM_SEED = 0
"""Of every exam: all arms and seeds meet the same problems in the same order, with the same random numbers."""


@dataclass(frozen=True, slots=True)
class TrainAndExamine:
    """Train one run; keep its weights, its metrics and what became of its episodes in every exam."""

    run: Run
    exams: Mapping[str, Exam]
    """By the name of their file, ``NAME.npz``."""

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on."""
        if not Train(self.run).execute(directory, study):
            return False
        if from_environment().rank == 0:
            examine(self.run, directory / "hf", self.exams, directory)
            drop(directory, "checkpoints", "ring", "samples")
        return True


@dataclass(frozen=True, slots=True)
class TrainOnTraces:
    """STaR and Pair-SFT: collect traces, imitate them, collect anew with the model that came of it; then examine.

    Every round trains the model that the run names, on the traces of that round alone, as ReST-EM does, whose loop the
    paper takes [P, by its reference].
    """

    run: Run
    """One round; its stream is put in its place, ``Traces`` of the round."""
    task: Correction
    """What is attempted to collect traces."""
    kind: str
    """Which traces are kept: ``star``, ``star_plus``, ``pair_sft``, ``pair_sft_plus``."""
    problems: int
    """How many are attempted a round."""
    exams: Mapping[str, Exam]
    rounds: int = 3
    """3 for STaR, 1 for Pair-SFT [P]."""
    collected: str | None = None
    """File of traces that the first round takes, where they were collected by another job."""

    def __post_init__(self) -> None:
        require(self, "problems", "rounds", at_least=1)

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on with the round that it stopped in."""
        model = self.run.model
        for number in range(1, self.rounds + 1):
            place = directory / f"round-{number}"
            place.mkdir(exist_ok=True)
            traces = self._traces(number, model, place, study)
            if not count_traces(Path(traces)):
                continue  # a model that solves nothing has nothing to imitate, and stays what it is
            stream = Traces(traces, self.task.max_new_tokens)
            if not Train(replace(self.run, stream=stream)).execute(place / "run", study):
                return False
            model = Pretrained(str(place / "run" / "hf"), self.run.model.precision)
        assert isinstance(model, Pretrained)
        link(model, directory / "hf")
        examine(self.run, directory / "hf", self.exams, directory)
        for number in range(1, self.rounds + 1):
            finished = directory / f"round-{number}" / "run"
            drop(finished, "checkpoints", "ring", "samples")
            if (finished / "metrics.jsonl").is_file():
                shutil.copy(finished / "metrics.jsonl", directory / "metrics.jsonl")
        return True

    def _traces(self, number: int, model: ModelSpec, place: Path, study: Path) -> str:
        if number == 1 and self.collected is not None:
            return self.collected
        subject = Subject(model, self.run.tokenizer, self.run.seed + number, self.run.device)
        Collect(subject, self.task, self.problems, (self.kind,)).execute(place, study)
        return str(place / f"{self.kind}.npz")


@dataclass(frozen=True, slots=True)
class Examine:
    """Exams of a model that another job trained."""

    subject: Subject
    exams: Mapping[str, Exam]

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``NAME.npz`` of every exam."""
        _examine(self.subject, self.exams, directory)
        return True


def examine(run: Run, model: Path, exams: Mapping[str, Exam], directory: Path) -> None:
    """Write what becomes of the episodes of a run's policy, ``NAME.npz`` of every exam."""
    _examine(Subject(Pretrained(str(model)), run.tokenizer, EXAM_SEED, run.device), exams, directory)


def _examine(subject: Subject, exams: Mapping[str, Exam], directory: Path) -> None:
    resources = subject.resources()
    for name, exam in exams.items():
        exam.taken_by(resources).save(directory / f"{name}.npz")


def link(model: Pretrained, target: Path) -> None:
    """Let ``target`` be the folder of a model."""
    if not Path(model.path).is_dir():
        raise ValueError(f"{model.path} is no folder here, and nothing was trained: there were no traces to imitate")
    target.unlink(missing_ok=True)
    target.symlink_to(Path(model.path).resolve(), target_is_directory=True)


def drop(directory: Path, *names: str) -> None:
    """Remove what a finished run keeps to go on: hundreds of them would fill a disk."""
    for name in names:
        shutil.rmtree(directory / name, ignore_errors=True)


def outcomes(study: Path, job: str, exam: str) -> Outcomes:
    """What a job left of an exam.

    Raises:
        ValueError: nothing; the report needs that job to be finished.
    """
    return Outcomes.load(study / job / f"{exam}.npz")
