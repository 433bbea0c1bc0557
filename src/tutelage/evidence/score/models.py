"""Several models in the same exams, side by side: what a study of real problems ends with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.codec import Tokenizer
from tutelage.correction import Exam, Outcomes, Subject
from tutelage.evidence.score.work import EXAM_SEED
from tutelage.record import write_atomically
from tutelage.report.correction import correction_figures, correction_tables
from tutelage.weights import Precision, Pretrained


@dataclass(frozen=True, slots=True)
class ExamineModels:
    """Exams of finished models; writes ``STUDY/results.json`` and ``STUDY/tables.md``, and keeps every outcome.

    Of an exam with n episodes accuracy is avg@n: the mean over n samples of each problem.
    """

    models: Mapping[str, str]
    """Folders by name."""
    tokenizer: Tokenizer
    exams: Mapping[str, Exam]
    precision: Precision = "float32"
    device: str = "auto"

    def execute(self, directory: Path, study: Path) -> bool:
        """Ask what was not asked yet, count, write."""
        found: dict[str, dict[str, Any]] = {}
        for name, folder in self.models.items():
            place = directory / name
            place.mkdir(exist_ok=True)
            for exam in self.exams:
                told = self._outcomes(place, folder, exam)
                found.setdefault(exam, {})[name] = correction_figures(told)
        pages = [f"## {exam}\n\n{correction_tables(models)}" for exam, models in found.items()]
        write_atomically(study / "results.json", json.dumps(found, indent=1).encode())
        write_atomically(study / "tables.md", "\n".join(pages).encode())
        return True

    def _outcomes(self, place: Path, folder: str, name: str) -> Outcomes:
        exam = self.exams[name]
        subject = Subject(Pretrained(folder, self.precision), self.tokenizer, EXAM_SEED, self.device)
        kept = place / f"{name}-{subject.fingerprint_in(exam.task, exam.problems, exam.temperature)}.npz"
        if not kept.is_file():
            exam.taken_by(subject.resources()).save(kept)
        return Outcomes.load(kept)
