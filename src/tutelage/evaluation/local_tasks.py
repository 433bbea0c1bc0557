"""The paper's standard tasks from files at hand: questions with answers to choose from, as lm-eval reads them.

Wording follows lm-eval's own tasks where the files allow it. BoolQ has no passage in these files, HellaSwag a tenth of
its rows: figures compare models with each other, not with those of the full sets.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import rng
from tutelage.config import dump_yaml
from tutelage.evaluation.items import MissingSet
from tutelage.evaluation.kept import key_of
from tutelage.judge_check.known import csv_rows
from tutelage.record import write_atomically

SHOTS = 5
"""Examples before a question of MMLU [P]."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a task."""

    query: str
    choices: tuple[str, ...]
    gold: int
    """Index of the right one."""


@dataclass(frozen=True, slots=True)
class LocalTask:
    """A task that can be made from files in a folder of data."""

    path: str
    """A file, or the folder of MMLU."""
    read: Callable[[Path], Iterator[Question]]


def write_tasks(data: Path, folder: Path, items: int, seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """Write every task whose files are there; (lm-eval's name by ours, why the others are not there).

    At most ``items`` questions of each, drawn by ``seed``: of MMLU from all its subjects.

    Raises:
        ValueError: a file of another form.
    """
    written: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, task in LOCAL.items():
        try:
            written[name] = _write(name, _drawn(_questions(name, task, data), items, seed, name), folder)
        except MissingSet as error:
            left_out[name] = str(error)
    return written, left_out


def _drawn(questions: list[Question], items: int, *key: rng.Key) -> list[Question]:
    chosen = rng.generator(*key, "questions").permutation(len(questions))[:items].tolist()
    return [questions[i] for i in sorted(chosen)]


def _questions(name: str, task: LocalTask, data: Path) -> list[Question]:
    path = data / task.path
    if not path.exists():
        raise MissingSet(f"no file {path}")
    try:
        found = list(task.read(path))
    except (ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
        raise ValueError(f"{path} is not of the form that {name} has ({type(error).__name__}: {error})") from error
    if not found:
        raise ValueError(f"{path} holds no question of {name}")
    return found


def _write(name: str, questions: list[Question], folder: Path) -> str:
    """The task's file of questions and its description; its name carries a digest of them."""
    rows = [{"query": one.query, "choices": list(one.choices), "gold": one.gold} for one in questions]
    task = f"tutelage_{name}_{key_of(rows)[:8]}"
    file = folder / f"{task}.jsonl"
    write_atomically(file, "".join(json.dumps(row) + "\n" for row in rows).encode())
    settings: dict[str, Any] = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file.absolute())}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{query}}",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }
    write_atomically(folder / f"{task}.yaml", dump_yaml(settings).encode())
    return task


# --------------------------------------------------------------------------- the files


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Instruction and answer of every row."""
    for row in json.loads(path.read_text("utf-8")):
        yield row["instruction"], row["answer"]


def _boolq(path: Path) -> Iterator[Question]:
    for said, answer in _rows(path):
        asked = _between(said, "true or false, question: ", "\n\nAnswer format").rstrip("?")
        yield Question(f"Question: {asked}?\nAnswer:", ("no", "yes"), ("false", "true").index(answer))


def _piqa(path: Path) -> Iterator[Question]:
    for said, answer in _rows(path):
        asked, *choices = re.split(r"\n\nSolution\d: ", _between(said, "to the question: ", "\n\nAnswer format"))
        yield Question(f"Question: {asked}\nAnswer:", _stripped(choices), _index(answer))


def _numbered(shape: str) -> Callable[[Path], Iterator[Question]]:
    def read(path: Path) -> Iterator[Question]:
        for said, answer in _rows(path):
            inner = _between(said, "to the question: ", "\n\nAnswer format")
            asked, *choices = re.split(r"\s+Answer\d: ", inner)
            yield Question(shape.format(asked.strip()), _stripped(choices), _index(answer))

    return read


def _hellaswag(path: Path) -> Iterator[Question]:
    for line in path.read_text("utf-8").split("\n"):
        if line.strip():
            row = json.loads(line)
            query = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
            yield Question(_tidy(query), tuple(_tidy(ending) for ending in row["endings"]), int(row["label"]))


def _tidy(text: str) -> str:
    """As lm-eval rids HellaSwag of the marks of its source."""
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def _mmlu(path: Path) -> Iterator[Question]:
    """Each question after five examples of its subject."""
    for test in sorted(path.glob("test/*_test.csv")):
        subject = test.stem.removesuffix("_test")
        dev = path / "dev" / f"{subject}_dev.csv"
        if not dev.is_file():
            raise ValueError(f"{dev} is missing: it has the examples")
        told = subject.replace("_", " ")
        shots = [f"{_mmlu_question(row)} {'ABCD'[int(row['answer'])]}" for row in list(csv_rows(dev))[:SHOTS]]
        head = "\n\n".join([f"The following are multiple choice questions (with answers) about {told}.", *shots])
        for row in csv_rows(test):
            yield Question(f"{head}\n\n{_mmlu_question(row)}", ("A", "B", "C", "D"), int(row["answer"]))


def _mmlu_question(row: Mapping[str, str]) -> str:
    choices = "\n".join(f"{letter}. {row[f'choice{i}']}" for i, letter in enumerate("ABCD"))
    return f"{row['question'].strip()}\n{choices}\nAnswer:"


def _between(text: str, start: str, end: str) -> str:
    """What stands after the first ``start`` and before the last ``end``."""
    return text[text.index(start) + len(start) : text.rindex(end)]


def _stripped(choices: list[str]) -> tuple[str, ...]:
    return tuple(choice.strip() for choice in choices)


def _index(answer: str) -> int:
    """``solution2`` → 1."""
    return int(answer[-1]) - 1


LOCAL: Mapping[str, LocalTask] = {
    "boolq": LocalTask("eval/commonsense/boolq.json", _boolq),
    "piqa": LocalTask("eval/commonsense/piqa.json", _piqa),
    "hellaswag": LocalTask("eval/hellaswag_1k/hellaswag.jsonl", _hellaswag),
    "arc_easy": LocalTask("eval/commonsense/arc_easy.json", _numbered("Question: {}\nAnswer:")),
    "arc_challenge": LocalTask("eval/commonsense/arc_challenge.json", _numbered("Question: {}\nAnswer:")),
    "openbookqa": LocalTask("eval/commonsense/openbookqa.json", _numbered("{}")),
    "siqa": LocalTask("eval/commonsense/siqa.json", _numbered("Q: {}\nA:")),
    "mmlu": LocalTask("eval/mmlu", _mmlu),
}
"""The eight tasks of the paper's Table 3, in its order."""
