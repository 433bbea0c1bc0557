"""RL with verifiable reward on maths behind any models: what their mid-training is worth after one post-training."""

from collections.abc import Mapping
from pathlib import Path

from tutelage.correction import Exam
from tutelage.evidence.score.models import ExamineModels
from tutelage.phases import Phase, Steps
from tutelage.practice import dr_grpo
from tutelage.problems.maths import FOLDER
from tutelage.recipes.real_problems import Book, domain
from tutelage.study import Job, Study, Train

STEPS = 1000
"""Updates of the paper's RLVR [P §2 of 2601.21343 v3]; on DAPO-Math-14k, which is not here."""
SAMPLES, TEMPERATURE = 16, 0.6
"""mean@16 at T = .6 [P]; top-p .95 of the paper is 1 here."""
MADE_HERE = "made_here"


def maths_rlvr(
    models: tuple[str, ...] = (),
    *,
    data: str = FOLDER,
    steps: int | None = None,
    problems: int = 100_000,
    seed: int = 0,
) -> Study:
    """Dr. GRPO on GSM8K and MATH by math-verify, the same behind each model; mean@16 before and after it.

    Name folders of a base, of the same base after SFT on raw text and on thoughts, and after practice: all of one
    tokenizer. Tables of MATH-500 and GSM8K have each before and after. Without any a small model is made on the spot:
    it proves the pipeline. ``problems`` bounds those that are asked in a test.
    """
    named = {_name(model): model for model in models}
    if len(named) < len(models):
        raise ValueError(f"two of the models {', '.join(models)} would be called alike: give their folders other names")
    books = {
        name: Book("math", domain("math", data), model, False, steps, seed, turns=1) for name, model in named.items()
    }
    return study_of(
        books or {MADE_HERE: Book("math", domain("math", data), None, False, steps, seed, turns=1)}, problems
    )


def study_of(books: Mapping[str, Book], problems: int) -> Study:
    """The jobs of all books, and one report."""
    first = next(iter(books.values()))
    jobs = [*first.start()]
    models: dict[str, str] = {}
    for name, book in books.items():
        run = book.run(f"{name}_rlvr", (_phase(book),))
        jobs.append(Job(run.name, Train(run), book.after, effort=100))
        models |= {name: book.base, run.name: f"@{run.name}/hf"}
    exams = {
        name: Exam(first.task(tests, SAMPLES), problems, TEMPERATURE) for name, tests in first.domain.tests.items()
    }
    report = ExamineModels(models, first.tokenizer, exams, device="auto")
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=20))
    return Study(name="maths_rlvr", jobs=tuple(jobs))


def _phase(book: Book) -> Phase:
    task, effort = book.task(), book.effort
    steps = effort.steps if book.steps or book.model is None else STEPS
    return Phase(dr_grpo(task.max_new_tokens), Steps(steps), effort.rate, documents_per_step=effort.problems, task=task)


def _name(model: str) -> str:
    """A model by the last part of its folder that says anything."""
    parts = [part for part in Path(model).parts if part != "hf"]
    return parts[-1] if parts else MADE_HERE
