"""``tutelage evaluate --out``: the paper's protocol from the command's words to tables, JSON and page."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.commands.evaluate import model_folder
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.evaluation_judge import Chosen, Place, chosen_judge, seated, trained_by
from tutelage.commands.evaluation_sets import Circumstances, Documents, Prepared, documents, prepare
from tutelage.commands.failing import UsageError
from tutelage.commands.plain_suites import Plainly, plain_suites, require_possible
from tutelage.commands.terminal import messages, results
from tutelage.commands.untrusted import one_line
from tutelage.evaluation import (
    NAMES,
    SUITES,
    Draws,
    Kept,
    Measured,
    Panel,
    Subject,
    SuiteName,
    Written,
    measure_part,
    suite_figures,
    tables,
    work,
)
from tutelage.maths.ranges import require
from tutelage.protocols import Codec
from tutelage.quiet import hush
from tutelage.record import write_atomically
from tutelage.report.evaluation import shown_samples, write_evaluation_page


def protocol_command(asked: Evaluate, out: Path, words: Sequence[str]) -> int:
    """Measure what was asked for, or all that can be; write ``results.json``, ``tables.md`` and ``report.html``."""
    hush()
    require(asked, "items", "samples", "documents", "suffix_length", at_least=1)
    require(asked, "shown", at_least=0)
    require(asked, "max_length", at_least=2)
    wanted = _suites(asked)
    require_possible(wanted, asked)
    stream_words, model_words = _sorted(words)
    chosen, text = chosen_judge(asked, model_words), documents(asked, stream_words)
    kept = Kept(out / "kept.jsonl")
    subjects, base = _subjects(asked, kept)
    codec = (base or subjects[0]).codec
    place = Place(codec, text.length, Draws(asked.samples, asked.seed), kept, out)
    panel = _panel(chosen, place, subjects)
    at = Circumstances(asked, text, stream_words, subjects, base, codec, panel, _say)
    prepared = prepare(wanted, at)
    written = {one.name: work(one, prepared.given, text.length, _say) for one in subjects}
    measured = _measured(prepared, written, base, panel)
    plain = plain_suites(
        wanted,
        Plainly(asked, stream_words, subjects, base, out, kept, _say),
        prepared.given.beginnings.get("held_out", ()),
        written,
    )
    suites = {name: suite_figures(SUITES[name], parts, _name(base), asked.seed) for name, parts in measured.items()}
    found: dict[str, Any] = {
        "models": {one.name: one.folder for one in subjects},
        "against": _name(base),
        "judge": chosen.plain() if chosen else None,
        "seed": asked.seed,
        "samples": asked.samples,
        "suffix_length": text.length,
        "suites": {**suites, **plain.suites},
        "left_out": {**prepared.left_out, **plain.left_out},
        "warnings": _warnings(chosen, subjects),
        "notes": [*_notes(subjects, codec, text), *plain.notes],
    }
    shown = shown_samples(prepared.given, written, measured, asked.shown, asked.seed)
    _write(found, asked, out, shown)
    return 0


def _name(subject: Subject | None) -> str | None:
    return subject.name if subject else None


def _say(text: str) -> None:
    messages().print(one_line(text, 200), soft_wrap=True)


# --------------------------------------------------------------------------- from words to parts


def _suites(asked: Evaluate) -> list[SuiteName]:
    if not asked.models:
        raise UsageError("name at least one model folder: tutelage evaluate FOLDER --against BASE --out DIR")
    for name in asked.suites or ():
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"there is no suite {name!r}; there are {', '.join(NAMES)}{meant}")
    return [name for name in NAMES if asked.suites is None or name in asked.suites]


def _sorted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of the stream, and of the judge's model."""
    found: dict[str, list[str]] = {"stream": [], "model": []}
    current: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            current = found.get(word.removeprefix("--").partition(".")[0])
        if current is None:
            raise UsageError(f"unknown here: {word}; settings begin with --stream. or --model.; --help lists the rest")
        current.append(word)
    return found["stream"], found["model"]


def _subjects(asked: Evaluate, kept: Kept) -> tuple[list[Subject], Subject | None]:
    folders = [model_folder(name) for name in (*asked.models, *filter(None, [asked.against]))]
    distinct = list(dict.fromkeys(folders))
    subjects = [
        Subject(name, folder, kept, tokenizer=asked.tokenizer, precision=asked.precision, max_length=asked.max_length)
        for name, folder in zip(short_names(distinct), distinct, strict=True)
    ]
    base = next(one for one in subjects if one.folder == folders[-1]) if asked.against else None
    return subjects, base


def short_names(folders: Sequence[str]) -> list[str]:
    """The last part of each path that says something: ``runs/mine/hf`` is ``mine``; whole paths where two would agree.

    Example:
        >>> short_names(["runs/base/hf", "runs/dpo/hf"])
        ['base', 'dpo']
    """
    parts = [[part for part in Path(folder).parts if part != "hf"] or [folder] for folder in folders]
    names = [mine[-1] for mine in parts]
    return names if len(set(names)) == len(names) else list(folders)


def _panel(chosen: Chosen | None, place: Place, subjects: Sequence[Subject]) -> Panel | None:
    if chosen is None:
        return None
    if chosen.others and any(one.codec.fingerprint != place.codec.fingerprint for one in subjects):
        kinds = ", ".join(chosen.others)
        raise ValueError(
            f"the judge {chosen.name} reads tokens ({kinds}), and the models have different tokenizers: name a judge "
            "that reads text, or models of one tokenizer"
        )
    return seated(chosen, place)


def _measured(
    prepared: Prepared, written: Mapping[str, Written], base: Subject | None, panel: Panel | None
) -> dict[SuiteName, list[Measured]]:
    found: dict[SuiteName, list[Measured]] = {}
    for name, parts in prepared.parts.items():
        for part in parts:
            if part.kind != "options":
                _say(f"Asking about {part.name} ({name})")
            one = measure_part(part, prepared.given, written, _name(base), panel or Panel({}, {}))
            found.setdefault(name, []).append(one)
    return found


# --------------------------------------------------------------------------- what else is told


def _warnings(chosen: Chosen | None, subjects: Sequence[Subject]) -> list[str]:
    known = chosen.known_as if chosen else frozenset[str]()
    return [
        f"{one.name} was trained by the judge that reads it here ({', '.join(sorted(same))}): winning before it shows "
        "that training did what it was told to, not that the text is better; name another judge"
        for one in subjects
        if (same := known & trained_by(one.folder))
    ]


def _notes(subjects: Sequence[Subject], codec: Codec, text: Documents) -> list[str]:
    others = [one.name for one in subjects if one.codec.fingerprint != codec.fingerprint]
    if not others:
        return []
    return [
        f"The models have different tokenizers ({', '.join(others)} another than the base): beginnings are cut by the "
        f"base's and read anew by each, and each writes at most {text.length} tokens of its own, so that lengths differ"
    ]


# --------------------------------------------------------------------------- what is written


def _write(found: Mapping[str, Any], asked: Evaluate, out: Path, shown: Sequence[Any]) -> None:
    for warning in found["warnings"]:
        messages().print(f"Warning: {one_line(warning, 400)}", soft_wrap=True)
    content = json.dumps(found, indent=1, allow_nan=False).encode()
    for path in filter(None, (out / "results.json", asked.json)):
        write_atomically(path, content + b"\n")
    write_atomically(out / "tables.md", tables(found).encode())
    page = write_evaluation_page(out / "report.html", found, shown)
    results().print(_table(found))
    for name, why in found["left_out"].items():
        messages().print(f"Not measured: {name}: {one_line(why, 200)}", soft_wrap=True)
    results().print(f"{page}", soft_wrap=True)


def _table(found: Mapping[str, Any]) -> Table:
    """A row a suite or part, a column a model."""
    caption = "percent, 95 % intervals over items"
    if found["against"]:
        caption += f"; comparisons are with {one_line(found['against'], 60)}"
    table = Table(caption=caption, caption_justify="left")
    table.add_column("")
    for name in found["models"]:
        table.add_column(one_line(name, 40), justify="right")
    for suite in found["suites"].values():
        if "parts" not in suite:
            continue
        rows = [(part["title"], part["models"]) for part in suite["parts"].values()]
        rows += [("average", suite["average"])] if suite.get("average") else []
        for title, models in rows:
            cells = [_cell(models.get(name)) for name in found["models"]]
            table.add_row(*map(Text, (f"{suite['title']}: {title}", *cells)))
    return table


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None or value["mean"] is None:
        return "–"
    return f"{100 * value['mean']:.1f} ({100 * value['low']:.1f} to {100 * value['high']:.1f})"
