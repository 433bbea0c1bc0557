"""Several models in the same exams, side by side: what a study of real problems ends with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tutelage.codec import Tokenizer
from tutelage.correction import Asked, Exam, Outcomes, Subject
from tutelage.evidence.score.work import EXAM_SEED
from tutelage.record import write_atomically
from tutelage.report.correction import correction_figures, correction_tables
from tutelage.weights import Precision, Pretrained


@dataclass(frozen=True, slots=True)
class Refined:
    """A model that is asked for feedback on its answer, and for a better one: Self-Refine, without training."""

    model: str
    """Its folder."""
    instruction: str
    """What stands before every attempt after the first."""
    turns: int = 4
    """Attempts; the last one counts [I]."""

    def sits(self, exam: Exam) -> Exam:
        """``exam`` with this instruction, so often."""
        task = exam.task
        if isinstance(task.format, Asked):
            raise ValueError("whole prompts (format Asked) have no instruction to refine an answer by")
        wording = replace(task.format, instruction=self.instruction)
        return replace(exam, task=replace(task, turns=self.turns, format=wording))


@dataclass(frozen=True, slots=True)
class ExamineModels:
    """Exams of finished models; writes ``STUDY/results.json`` and ``STUDY/tables.md``, and keeps every outcome.

    Of an exam with n episodes accuracy is avg@n: the mean over n samples of each problem.
    """

    models: Mapping[str, str]
    """Folders by name."""
    tokenizer: Tokenizer
    exams: Mapping[str, Exam]
    refined: Mapping[str, Refined] = field(default_factory=dict[str, Refined])
    """Models in the same exams by Self-Refine, by names of their own."""
    precision: Precision = "float32"
    device: str = "auto"

    def execute(self, directory: Path, study: Path) -> bool:
        """Ask what was not asked yet, count, write."""
        found: dict[str, dict[str, Any]] = {}
        sitting = [(name, folder, self.exams) for name, folder in self.models.items()]
        for name, one in self.refined.items():
            sitting.append((name, one.model, {what: one.sits(exam) for what, exam in self.exams.items()}))
        for name, folder, exams in sitting:
            place = directory / name
            place.mkdir(exist_ok=True)
            for what, exam in exams.items():
                told = self._outcomes(place, folder, what, exam)
                found.setdefault(what, {})[name] = correction_figures(told)
        pages = [f"## {exam}\n\n{correction_tables(models)}" for exam, models in found.items()]
        write_atomically(study / "results.json", json.dumps(found, indent=1).encode())
        write_atomically(study / "tables.md", "\n".join(pages).encode())
        return True

    def _outcomes(self, place: Path, folder: str, name: str, exam: Exam) -> Outcomes:
        subject = Subject(Pretrained(folder, self.precision), self.tokenizer, EXAM_SEED, self.device)
        kept = place / f"{name}-{subject.fingerprint_in(exam.task, exam.problems, exam.temperature)}.npz"
        if not kept.is_file():
            exam.taken_by(subject.resources()).save(kept)
        return Outcomes.load(kept)
