"""``tutelage evaluate --correction``: how well models solve problems and correct themselves, turn by turn."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.codec import Tokenizer
from tutelage.commands.directories import run_directory
from tutelage.commands.evaluate import model_folder
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.failing import UsageError
from tutelage.commands.terminal import messages, results
from tutelage.commands.untrusted import one_line
from tutelage.config import ConfigError, fingerprint, parse_arguments, to_plain, with_settings
from tutelage.correction import Asked, Chat, Correction, Exam, FirstAttempts, Outcomes, Plain, Subject
from tutelage.correction.served import taken_by_text
from tutelage.correction.wording import CODE, MATHS, NEUTRAL
from tutelage.endpoints import Endpoint
from tutelage.problems import Gsm8k, HumanEval, JsonLines, Math, Mbpp, ProblemSource
from tutelage.quiet import hush
from tutelage.report.correction import correction_figures, correction_tables
from tutelage.run import load_run
from tutelage.verifiers import Code, Maths, VerifierSpec
from tutelage.weights import Pretrained

ROLE = "policy.evaluation"
SETS: Mapping[str, tuple[Callable[[str], ProblemSource], VerifierSpec, str]] = {
    "gsm8k": (lambda folder: Gsm8k("test", folder), Maths(), MATHS),
    "math": (lambda folder: Math("test", folder), Maths(), MATHS),
    "mbpp": (lambda folder: Mbpp("test", folder), Code(), CODE),
    "humaneval": (lambda folder: HumanEval(folder), Code(), CODE),
}
"""Problem sets by name: their test problems below a folder, who verifies them, how they are asked."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """One model in one exam."""

    name: str
    model: Pretrained | Endpoint
    tokenizer: Tokenizer | None
    """None for a server, which has its own."""
    exam: Exam
    seed: int

    def take(self) -> Outcomes:
        """Ask the model."""
        match self.model:
            case Endpoint():
                return taken_by_text(self.exam, self.model.build(), seed=self.seed)
            case Pretrained():
                assert self.tokenizer is not None
                return self.exam.taken_by(Subject(self.model, self.tokenizer, self.seed).resources())

    @property
    def digest(self) -> str:
        """Of all that decides the outcome."""
        exam, settings = self.exam, (self.exam.problems, self.exam.temperature, self.seed)
        match self.model:
            case Endpoint():
                first = exam.task.first_attempts and exam.task.first_attempts.fingerprint
                told = {"model": to_plain(self.model), "task": to_plain(exam.task), "at": settings, "first": first}
                return fingerprint(told)
            case Pretrained():
                assert self.tokenizer is not None
                return Subject(self.model, self.tokenizer, self.seed).fingerprint_in(exam.task, *settings)


def correction_command(asked: Evaluate, words: Sequence[str]) -> int:
    """Ask every model, print tables, write JSON where asked; what is kept in ``--out`` is not asked again."""
    hush()
    if not asked.models:
        raise UsageError("name at least one model: tutelage evaluate --correction MODEL --problems gsm8k")
    found: dict[str, Any] = {}
    for sitting in sittings(asked, words):
        found[sitting.name] = correction_figures(_outcomes(sitting, asked.out))
    tables = correction_tables({one_line(name, 60): told for name, told in found.items()})
    results().print(tables, soft_wrap=True)
    if asked.out is not None:
        (asked.out / "tables.md").write_text(tables, "utf-8")
    for path in filter(None, (asked.json, asked.out and asked.out / "results.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seed": asked.seed, "models": found}, indent=1) + "\n", "utf-8")
    return 0


def _outcomes(sitting: Sitting, out: Path | None) -> Outcomes:
    kept = None if out is None else out / f"{sitting.digest}.npz"
    if kept is not None and kept.is_file():
        return Outcomes.load(kept)
    task = sitting.exam.task
    episodes = 1 if sitting.exam.temperature == 0 else task.episodes
    messages().print(
        f"{one_line(sitting.name)}: at most {sitting.exam.problems} problems, {episodes} × {task.turns} attempts each",
        soft_wrap=True,
    )
    told = sitting.take()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        told.save(kept)
    return told


def _temperature(asked: Evaluate) -> float:
    return 0.0 if asked.temperature is None else asked.temperature


def sittings(asked: Evaluate, words: Sequence[str]) -> Iterator[Sitting]:
    """Every model with its own and, where asked for, with fixed first attempts and with a neutral instruction.

    Raises:
        UsageError: words that make no sense together.
    """
    pairs = _pairs(words)
    if asked.first_attempts is not None and asked.turns < 2:
        raise UsageError("--first-attempts are to be corrected: --turns must be at least 2")
    if asked.neutral is not None and asked.turns < 2:
        raise UsageError("--neutral stands before the second attempt: --turns must be at least 2")
    temperature = _temperature(asked)
    if asked.episodes > 1 and temperature == 0:
        raise UsageError("greedy episodes of a problem are all the same: give --temperature above 0 with --episodes")
    for name in asked.models:
        model, tokenizer = _model(name, asked, pairs["model"])
        task = _task(asked, tokenizer, pairs["task"])
        for label, one in _variants(task, asked):
            exam = Exam(one, asked.items, temperature)
            yield Sitting(f"{name}{label}", model, tokenizer, exam, asked.seed)


def _variants(task: Correction, asked: Evaluate) -> Iterator[tuple[str, Correction]]:
    yield "", task
    if asked.first_attempts is not None:
        given = FirstAttempts(str(asked.first_attempts), share=1.0, author=asked.first_attempts.stem)
        yield f", first attempts of {given.author}", replace(task, first_attempts=given)
    if asked.neutral is not None:
        text = NEUTRAL if asked.neutral == "default" else asked.neutral
        text = f"\n{text}\n" if isinstance(task.format, Plain) and asked.neutral == "default" else text
        yield ", neutral instruction", replace(task, format=replace(task.format, instruction=text))


def _pairs(words: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """``--task.… VALUE`` and ``--model.… VALUE``."""
    found: dict[str, list[tuple[str, str]]] = {"task": [], "model": []}
    try:
        for path, value in parse_arguments(words):
            root, _, rest = path.partition(".")
            if root not in found or not rest:
                raise UsageError(f"--{path} is unknown here: settings begin with --task. or --model.")
            found[root].append((rest, value))
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return found


def _model(
    name: str, asked: Evaluate, pairs: Sequence[tuple[str, str]]
) -> tuple[Pretrained | Endpoint, Tokenizer | None]:
    if asked.server:
        model = Endpoint(name, asked.server, role=ROLE, temperature=_temperature(asked), top_p=1.0)
        return _changed(model, pairs), None
    folder = model_folder(name)
    return _changed(Pretrained(folder, asked.precision), pairs), Tokenizer(asked.tokenizer or folder)


def _task(asked: Evaluate, tokenizer: Tokenizer | None, pairs: Sequence[tuple[str, str]]) -> Correction:
    if (asked.problems is None) == (asked.run is None):
        raise UsageError(f"name the problems: --problems {'|'.join(SETS)}|FILE, or --run DIR for those of a run")
    task = _of_run(asked.run, asked.imports) if asked.run is not None else _of_set(asked, tokenizer)
    if isinstance(task.format, Asked) and (asked.turns > 1 or asked.server):
        raise UsageError(
            f"{asked.run} asks whole prompts (format Asked), without an instruction to correct: give --turns 1, and a "
            "folder in place of --server"
        )
    task = replace(task, turns=asked.turns, episodes=asked.episodes, first_attempts=None)
    return _changed(task, pairs, asked.imports)


def _of_run(directory: Path, imports: tuple[str, ...]) -> Correction:
    """The task of a run's last phase that corrects; its problems are those that were trained on."""
    phases = load_run(run_directory(directory) / "run.yaml", imports).phases
    tasks = [phase.task for phase in phases if isinstance(phase.task, Correction)]
    if not tasks:
        raise UsageError(f"{directory} is no run that corrects: name the problems by --problems")
    return tasks[-1]


def _of_set(asked: Evaluate, tokenizer: Tokenizer | None) -> Correction:
    assert asked.problems is not None
    folder = str(asked.data / "score")
    if asked.problems in SETS:
        make, verifier, question = SETS[asked.problems]
        problems = make(folder)
    elif Path(asked.problems).is_file():
        problems, verifier, question = JsonLines(asked.problems), Maths(), MATHS
    else:
        raise UsageError(f"there are no problems {asked.problems!r}: name {', '.join(SETS)}, or a file of JSON lines")
    codec = None if tokenizer is None else tokenizer.build()
    chat = codec is None or codec.has_chat_template
    asked_as = Chat(question=question) if chat else Plain(question=f"{question}\n")
    return Correction(problems, verifier, asked_as)


def _changed(thing: Any, pairs: Sequence[tuple[str, str]], imports: tuple[str, ...] = ()) -> Any:
    try:
        return with_settings(thing, pairs, imports=imports)
    except ConfigError as error:
        raise UsageError(str(error)) from error
