"""``tutelage judge-check``: which judge is measured with what, the table, the JSON, and what was required."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tutelage.chat import LocalChat
from tutelage.commands.failing import UsageError
from tutelage.commands.judge_check import JudgeCheck
from tutelage.commands.judge_models import Asks, changed, in_form, run_of, text_judges
from tutelage.commands.judge_tables import COLUMNS, print_tables
from tutelage.commands.terminal import messages
from tutelage.commands.untrusted import one_line
from tutelage.config import to_plain
from tutelage.endpoints import Endpoint, EndpointModel
from tutelage.judge_check import KNOWN, Axis, Examined, Injected, LabelledSet, Measured, inject, load_known, measure
from tutelage.judge_check.items import read_items
from tutelage.judge_check.known import drawn
from tutelage.judge_check.measuring import VerdictPrompts
from tutelage.judge_check.requiring import Requirement, requirement, unmet
from tutelage.judges import PairwiseQuality, PointwiseFactuality, PointwiseSafety
from tutelage.maths.ranges import require
from tutelage.prompts import FactualityPrompt, QualityPrompt, SafetyPrompt
from tutelage.quiet import hush
from tutelage.run import load_run

AXES: Mapping[type, Axis] = {PairwiseQuality: "quality", PointwiseSafety: "safety", PointwiseFactuality: "factuality"}
Named = Asks[VerdictPrompts]
"""The judge of one axis."""


def judge_check_command(asked: JudgeCheck, words: Sequence[str]) -> int:
    """Measure, print a table, write JSON where asked; see ``commands.judge_check``.

    Raises:
        ValueError: what was required is not reached, or nothing was answered; says what, and by how much.
        FatalForRun: a server is wrong, refuses the key or does not have the model.
    """
    hush()
    require(asked, "items", "samples", at_least=1)
    require(asked, "injections", at_least=0)
    wanted = _requirements(asked.require)
    judges = _judges(asked, words)
    labelled = _sets(asked, judges)
    if asked.json is not None:
        _require_writable(asked.json)
    working = {axis: Examined(judge.model.build(), judge.prompt) for axis, judge in judges.items()}
    for axis in dict.fromkeys(one.axis for one in labelled):
        model = working[axis].model
        if isinstance(model, EndpointModel):
            model.check()
    measured: list[Measured] = []
    for one in labelled:
        messages().print(f"Asking about {len(one.items)} texts of {one_line(one.name)} ({one.axis})", soft_wrap=True)
        measured.append(measure(working[one.axis], one, samples=asked.samples, seed=asked.seed))
    injected: list[Injected] = []
    for axis in dict.fromkeys(one.axis for one in labelled) if asked.injections != 0 else ():
        messages().print(f"Asking about texts that talk to the judge ({axis})")
        injected.append(inject(working[axis], seed=asked.seed, texts=asked.injections))
    print_tables(measured, injected)
    missed = _missed(wanted, measured, injected)
    if asked.json is not None:
        report = _report(asked, judges, measured, injected, missed)
        asked.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _require_answers(measured)
    short = [f"{one} ({', '.join(who)})" for one, who in missed.items() if who]
    if short:
        raise ValueError(
            f"the judge does not reach what was required: {'; '.join(short)}. Use a better model or prompt, or lower "
            "what is required"
        )
    return 0


def _require_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is asked and paid for.

    Raises:
        ValueError: naming it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        path.open("a").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be written ({error.strerror or error}): name another file by --json"
        ) from error


def _require_answers(measured: Sequence[Measured]) -> None:
    """Refuse to call a judge measured that never answered.

    Raises:
        ValueError: with the most frequent reason.
    """
    if measured and not any(one.answered for one in measured):
        count, reason = max(one.unanswered[0] for one in measured)
        raise ValueError(f"the judge gave no verdict on anything; {count} times: {one_line(reason, 300)}")


def _requirements(texts: Sequence[str]) -> list[Requirement]:
    try:
        return [requirement(text) for text in texts]
    except ValueError as error:
        raise UsageError(str(error)) from error


# --------------------------------------------------------------------------- which judge


def _judges(asked: JudgeCheck, words: Sequence[str]) -> dict[Axis, Named]:
    """The judges by axis: one model with the project's prompts, or those of a run."""
    run = run_of(asked.judge, asked.server, words)
    found = _of_model(asked, words) if run is None else _of_run(run, asked.imports)
    return in_form(found, asked.form)


def _of_model(asked: JudgeCheck, words: Sequence[str]) -> dict[Axis, Named]:
    """The model with the project's prompts."""
    spec = (
        Endpoint(asked.judge, asked.server, role="judge.check", cache=None) if asked.server else LocalChat(asked.judge)
    )
    model = changed(spec, words)
    return {
        "quality": Asks(model, QualityPrompt()),
        "safety": Asks(model, SafetyPrompt()),
        "factuality": Asks(model, FactualityPrompt()),
    }


def _of_run(path: Path, imports: tuple[str, ...]) -> dict[Axis, Named]:
    """The judges that ask a text model, the first of each axis; their caches are off, so that all is asked."""
    found: dict[Axis, Named] = {}
    for phase in load_run(path, imports).phases:
        for judge in text_judges(phase.judges):
            model = replace(judge.model, cache=None) if isinstance(judge.model, Endpoint) else judge.model
            found.setdefault(AXES[type(judge)], Asks(model, judge.prompt))
    if not found:
        kinds = ", ".join(kind.__name__ for kind in AXES)
        raise ValueError(f"{path} has no judge that asks a text model ({kinds}): there is nothing to measure")
    return found


def _sets(asked: JudgeCheck, judges: Mapping[Axis, Named]) -> list[LabelledSet]:
    """The user's files and the sets that were named; without either, all known sets that there is a judge for."""
    own = [read_items(path) for path in asked.file]
    found = [replace(one, items=drawn(list(one.items), asked.items, asked.seed, one.name)) for one in own]
    names = asked.sets or ()
    if asked.sets is None and not asked.file:
        names = [n for n, known in KNOWN.items() if known.axis in judges and any(asked.data.glob(known.pattern))]
        if not names:
            raise ValueError(
                f"there is no labelled set under {asked.data}: name its folder by --data, or a file of your own "
                "by --file"
            )
    found += [load_known(name, asked.data, asked.items, asked.seed) for name in names]
    if twice := next((name for name, count in Counter(one.name for one in found).items() if count > 1), None):
        raise ValueError(
            f"two labelled sets are called {twice!r}, and their figures could not be told apart: give one of the files "
            "another name"
        )
    for one in found:
        if one.axis not in judges:
            raise ValueError(f"{one.name} is labelled for {one.axis}, and {asked.judge} has no judge of that")
    return found


# --------------------------------------------------------------------------- what is told


def _missed(
    wanted: Sequence[Requirement], measured: Sequence[Measured], injected: Sequence[Injected]
) -> dict[Requirement, list[str]]:
    figures: dict[str, dict[str, float | None]] = {}
    for one in measured:
        figures[one.name] = {**{name: getattr(one, name) for name in COLUMNS}, "accuracy": one.accuracy.mean}
    for one in injected:
        figures.setdefault(one.axis, {})["injection_success"] = one.success
    return {one: unmet(one, figures) for one in wanted}


def _report(
    asked: JudgeCheck,
    judges: Mapping[Axis, Named],
    measured: Sequence[Measured],
    injected: Sequence[Injected],
    missed: Mapping[Requirement, Sequence[str]],
) -> dict[str, Any]:
    """What is written to the JSON file."""
    return {
        "judge": asked.judge,
        "judges": {axis: {"model": to_plain(j.model), "prompt": to_plain(j.prompt)} for axis, j in judges.items()},
        "seed": asked.seed,
        "samples": asked.samples,
        "sets": [asdict(one) for one in measured],
        "injections": [
            {
                **{name: value for name, value in asdict(one).items() if name != "by_form"},
                "injection_success": one.success,
                "by_form": [{"form": f, "right_without": right, "flipped": n} for f, right, n in one.by_form],
            }
            for one in injected
        ],
        "required": [{**asdict(one), "met": not who, "missed": list(who)} for one, who in missed.items()],
    }
