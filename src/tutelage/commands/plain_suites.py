"""What an evaluation tells without a judge: standard tasks, variety, likelihood of documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.commands.evaluate import Measured as Likelihood
from tutelage.commands.evaluate import Question, figures, held_out_texts, measure
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.failing import UsageError
from tutelage.evaluation import (
    STANDARD,
    Beginning,
    Kept,
    Measured,
    Subject,
    SuiteName,
    Written,
    diversity,
    key_of,
    suite_figures,
)
from tutelage.evaluation.local_tasks import write_tasks
from tutelage.evaluation.standard import Tasks, find_lm_eval, hub_tasks, run_tasks

NO_TEXT = "needs two documents or more: name them by --path or --run"


@dataclass(frozen=True, slots=True)
class Plainly:
    """All that these suites are made from."""

    asked: Evaluate
    words: Sequence[str]
    """Settings of the stream."""
    subjects: Sequence[Subject]
    base: Subject | None
    out: Path
    kept: Kept
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    suites: Mapping[str, Any]
    left_out: Mapping[str, str]
    notes: Sequence[str] = ()


def require_possible(wanted: Sequence[SuiteName], asked: Evaluate) -> None:
    """Refuse suites that were named and cannot be measured, before anything is computed.

    Raises:
        UsageError: standard tasks without their data.
        ValueError: no documents, or no lm-eval.
    """
    named = asked.suites or ()
    if "standard" in named and asked.tasks == "none":
        raise UsageError("the standard tasks run in lm-eval: name their data by --tasks local or --tasks hub")
    for name in ("diversity", "likelihood"):
        if name in named and not (asked.path or asked.run):
            raise ValueError(f"{name} cannot be measured: {NO_TEXT}")
    if "standard" in wanted and asked.tasks != "none":
        find_lm_eval()


def plain_suites(
    wanted: Sequence[SuiteName],
    of: Plainly,
    beginnings: Sequence[Beginning],
    written: Mapping[str, Written],
) -> Found:
    """The figures of those that are wanted and can be measured.

    Raises:
        ValueError: lm-eval failed, or the corpus is empty.
    """
    suites: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    notes: list[str] = []
    if "standard" in wanted:
        standard = _standard(of)
        suites |= standard.suites
        left_out |= standard.left_out
        notes += standard.notes
    for name, possible in (("diversity", len(beginnings) > 1), ("likelihood", bool(of.asked.path or of.asked.run))):
        if name not in wanted:
            continue
        if not possible:
            left_out[name] = NO_TEXT
        elif name == "diversity":
            suites[name] = _diversity(of.asked.seed, beginnings, written)
        else:
            suites[name] = {"models": _likelihood(of)}
    return Found(suites, left_out, notes)


def _diversity(seed: int, beginnings: Sequence[Beginning], written: Mapping[str, Written]) -> dict[str, Any]:
    """Of greedy continuations of held-out beginnings, and of the authors' own."""
    texts = {name: [text.text for text in one.continuations["held_out"]] for name, one in written.items()}
    models = {name: diversity(mine, seed=seed) for name, mine in texts.items()}
    return {"models": models, "author": diversity([one.reference for one in beginnings], seed=seed)}


def _standard(of: Plainly) -> Found:
    asked = of.asked
    if asked.tasks == "none":
        return Found({}, {"standard": "--tasks local or --tasks hub runs them in lm-eval"})
    tasks, absent, notes = hub_tasks(), dict[str, str](), list[str]()
    if asked.tasks == "local":
        names, absent = write_tasks(asked.data, of.out / "tasks", asked.items, asked.seed)
        if not names:
            raise ValueError(f"no standard task can be made of {asked.data}: {next(iter(absent.values()))}")
        tasks = Tasks(names, of.out / "tasks")
        notes.append(
            f"The standard tasks are from local files, at most {asked.items} questions of each: figures compare these "
            "models with each other, not with published ones"
        )
    scores: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for one in of.subjects:
        of.say(f"lm-eval asks {one.name}: {', '.join(tasks.names)}")
        folder = of.out / "lm-eval" / key_of(one.folder)[:8]
        scores[one.name] = run_tasks(one.folder, one.digest, tasks, folder, of.kept, asked.tokenizer)
    measured: list[Measured] = []
    for part in STANDARD.parts:
        if part.name in tasks.names:
            keys = tuple(sorted({key for mine in scores.values() for key in mine[part.name]}))
            by_model = {name: tuple(mine[part.name].get(key) for key in keys) for name, mine in scores.items()}
            measured.append(Measured(part, keys, by_model, {}))
    suite = suite_figures(STANDARD, measured, None, asked.seed)
    return Found({"standard": suite}, {f"standard/{name}": why for name, why in absent.items()}, notes)


def _likelihood(of: Plainly) -> dict[str, Any]:
    """As without a folder for results, and kept."""
    asked = replace(of.asked, suites=None, judge=None, server=(), form=None, unsafe=None, tasks="none")
    question = Question.of(asked)
    texts = list(islice(held_out_texts(question, of.words), asked.documents))
    if not texts:
        raise ValueError("the corpus holds no document of this split")
    found: dict[str, Likelihood] = {}
    for one in of.subjects:
        key = key_of("likelihood", one.digest, asked.precision, asked.max_length, texts)
        if key not in of.kept:
            of.say(f"{one.name} reads {len(texts)} documents")
            new = measure(one.folder, texts, question)
            of.kept.put({key: [new.nats.tolist(), new.tokens.tolist(), new.size.tolist()]})
        nats, tokens, size = (np.array(column, np.float64) for column in of.kept[key])
        found[one.name] = Likelihood(one.folder, nats, tokens, size, one.codec.fingerprint)
    against = found[of.base.name] if of.base else None
    return {name: figures(one, against if against is not one else None) for name, one in found.items()}
