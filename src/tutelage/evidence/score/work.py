"""Jobs of the study: train an arm and examine it, or examine a model that is there."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tutelage.correction import Exam, Subject
from tutelage.correction.outcomes import Outcomes
from tutelage.policy import Policy
from tutelage.ranks import from_environment
from tutelage.run import Run
from tutelage.study import Train
from tutelage.weights import ModelSpec, Pretrained, load_model

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


def keep(model: ModelSpec, run: Run, target: Path) -> None:
    """Let ``target`` be the folder of a model: a link to one that is here, else its weights, as those of the hub."""
    drop(target.parent, target.name)
    target.unlink(missing_ok=True)
    if isinstance(model, Pretrained) and (folder := Path(model.path).expanduser()).is_dir():
        target.symlink_to(folder.resolve(), target_is_directory=True)
        return
    codec = run.tokenizer.build()
    Policy(load_model(model, codec, seed=run.seed, device=torch.device("cpu"))).save_hf(target)
    codec.save(target)


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
