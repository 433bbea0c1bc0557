"""``tutelage doctor``: the machine, and a run's data, tokenizer, model and memory, before anything is spent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table
from rich.text import Text

from tutelage.codec import Tokenizer
from tutelage.commands.choosing import Plan, choose
from tutelage.commands.machine import Finding, available_memory, machine
from tutelage.commands.memory_plan import Shape, memory_plan, shape_of
from tutelage.commands.problems import asked_problems
from tutelage.commands.rollouts import looked_at_rollouts
from tutelage.commands.servers import Survey, surveyed
from tutelage.commands.teachers import (
    Jobs,
    Teacher,
    examined,
    is_made,
    planned_model,
    planned_vocabulary,
    shown_size,
    teachers,
    width_of,
)
from tutelage.commands.terminal import results
from tutelage.commands.trial import asked_teachers
from tutelage.commands.untrusted import one_line
from tutelage.endpoints import survey
from tutelage.protocols import Codec, StreamSpec, Vocabulary
from tutelage.quiet import hush
from tutelage.run import Run
from tutelage.stream import Corpus, NoDocuments, TextStream, inspect_corpus
from tutelage.study import Study, Train
from tutelage.types import Chunk
from tutelage.weights import Pretrained

T = TypeVar("T")
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "note": "dim"}
SAMPLE = 60
"""Characters shown on either side of a cut."""


def doctor_command(what: str | None, words: Sequence[str], *, imports: tuple[str, ...] = ()) -> int:
    """Print a table of findings; 1 where there is a problem. See ``cli.Doctor``."""
    hush()
    findings = machine(Path("runs"))
    if what is not None:
        findings += examine(choose(what, words, imports))
    table = Table(show_lines=False)
    for title in ("", "subject", "finding"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        mark = Text(finding.verdict, STYLES[finding.verdict])
        table.add_row(mark, Text(one_line(finding.subject, 40)), Text(one_line(finding.told, 600)))
    console = results()
    console.print(table)
    problems = sum(finding.verdict == "problem" for finding in findings)
    if problems:
        console.print(f"{problems} problem{'s' if problems > 1 else ''} to mend first")
    return 1 if problems else 0


def examine(plan: Plan) -> list[Finding]:
    """What is found out about every run of a plan; equal findings are told once."""
    room = cache(_available)  # asked once, or equal runs would differ by what the machine did meanwhile
    look = cache(survey)
    match plan:
        case Run():
            return list(_run(plan, {}, room, look))
        case Study():
            jobs = {job.name: job.work for job in plan.jobs}
            runs = [job.work.run for job in plan.jobs if isinstance(job.work, Train)]
            return list(dict.fromkeys(finding for run in runs for finding in _run(run, jobs, room, look)))


def _run(run: Run, jobs: Jobs, room: Callable[[str], float | None], look: Survey) -> Iterator[Finding]:
    codec, found = _tokenizer(run.tokenizer)
    yield found
    known = [run.stream, *(phase.stream for phase in run.phases if phase.stream not in (None, run.stream))]
    streams = [spec for spec in known if not isinstance(spec, NoDocuments)]
    usable = True
    for spec in streams:
        for finding in _corpora(spec):
            usable = usable and finding.verdict != "problem"
            yield finding
        if codec is not None and usable:
            for finding in _sample(run, spec, codec):
                usable = usable and finding.verdict != "problem"
                yield finding
    if codec is not None:
        yield from asked_problems(run, codec)
    yield from surveyed(run, look)
    if codec is not None and usable:
        yield from asked_teachers(run, codec, look)
    taught = [_teacher(teacher, jobs) for teacher in teachers(run)]
    yield from (finding for finding, _ in taught)
    made = planned_vocabulary(run.tokenizer.path, jobs) if is_made(run.tokenizer.path) else None
    shape, finding = _model(run, codec or made, jobs)
    yield finding
    yield from looked_at_rollouts(run, codec if usable else None, shape, look)
    if shape is None:
        return
    if codec is not None and codec.vocab_size > shape.vocab:
        told = (
            f"the tokenizer has {codec.vocab_size} ids, the model embeds {shape.vocab}: use the model's own tokenizer"
        )
        yield Finding("model", "problem", told)
    yield from (found for spec in streams if (found := _context(spec, shape)) is not None)
    # Parts that name one folder share its weights.
    yield from _memory(run, shape, sum(dict(taught).values()), room(run.device))


def _tried(subject: str, look: Callable[[], T]) -> tuple[T | None, Finding | None]:
    """What ``look`` gives, or its complaint as a problem."""
    try:
        return look(), None
    except (ValueError, OSError) as error:
        return None, Finding(subject, "problem", str(error))


def _tokenizer(tokenizer: Tokenizer) -> tuple[Codec | None, Finding]:
    if is_made(tokenizer.path):
        return None, Finding("tokenizer", "note", f"{tokenizer.path} is made by the study itself")
    codec, complaint = _tried("tokenizer", tokenizer.build)
    if codec is None or complaint is not None:
        return None, complaint or Finding("tokenizer", "problem", "cannot be loaded")
    return codec, Finding("tokenizer", "ok", f"{tokenizer.path}, {codec.vocab_size:,} ids")


def _corpora(spec: StreamSpec) -> Iterator[Finding]:
    if not isinstance(spec, TextStream):
        yield Finding("documents", "note", f"{type(spec).__name__} writes or reads them by itself")
        return
    for corpus in spec.corpora:
        if corpus.streaming or corpus.format == "datasets":
            yield Finding(f"corpus {corpus.name}", "note", f"{corpus.path} is on the hub and was not looked at")
        else:
            yield _corpus(corpus, spec)


def _corpus(corpus: Corpus, spec: TextStream) -> Finding:
    subject = f"corpus {corpus.name}"
    report, complaint = _tried(subject, lambda: inspect_corpus(corpus))
    if report is None or complaint is not None:
        return complaint or Finding(subject, "problem", "cannot be read")
    told = [
        f"{corpus.path}: {len(report.files)} files, {len(report.skipped)} left out",
        f"{report.rows_seen} rows looked at",
        f"{report.mean_length:,.0f} characters on average",
        f"columns {', '.join(report.columns)}" if report.columns else "plain text",
    ]
    if not report.broken:
        return Finding(subject, "ok", "; ".join(told))
    told.append(f"{len(report.broken)} broken, the first {report.broken[0]}")
    stops = spec.strict or len(report.broken) > spec.max_broken
    return Finding(subject, "problem" if stops else "warning", "; ".join(told))


def _sample(run: Run, spec: StreamSpec, codec: Codec) -> Iterator[Finding]:
    """A document cut as the run would cut it; duplicates are not looked for, which takes long."""
    fast = replace(spec, deduplicate=None) if isinstance(spec, TextStream) else spec

    def read() -> tuple[Chunk, dict[str, int]]:
        stream = fast.build(run.seed, codec, run.split)
        chunks, _ = stream.read(stream.start(), 8)
        return chunks[0], dict(stream.counts())

    found, complaint = _tried("a cut", read)
    if complaint is not None:
        yield complaint
    if found is None:
        return
    chunk, counts = found
    before, after = codec.decode(chunk.prefix)[-SAMPLE:], codec.decode(chunk.suffix)[:SAMPLE]
    told = f"{len(chunk.prefix)} + {len(chunk.suffix)} tokens: …{before} ‖ {after}…"
    yield Finding("a cut", "ok", told)
    short = counts.get("too_short", 0)
    if short > 8:
        yield Finding("documents", "warning", f"{short} were too short to cut before 8 were found")


def _teacher(teacher: Teacher, jobs: Jobs) -> tuple[Finding, float]:
    """What is found of a model that teaches, and the bytes of its weights; one to be made goes by its settings."""
    if not is_made(teacher.path):
        return examined(teacher)
    told = f"{teacher.path} is made by the study itself"
    spec, made = planned_model(Pretrained(teacher.path), jobs), planned_vocabulary(teacher.path, jobs)
    if spec is None or made is None:
        return Finding(teacher.field, "note", told), 0.0
    shape, complaint = _tried(teacher.field, lambda: shape_of(spec, made))
    if shape is None:
        return complaint or Finding(teacher.field, "problem", "cannot be built"), 0.0
    size = float(shape.parameters * width_of(teacher.spec, spec.precision))
    return Finding(teacher.field, "note", f"{told}: {_parameters(shape)}, {shown_size(size)}"), size


def _parameters(shape: Shape) -> str:
    return f"{shape.parameters / 1e6:,.2f} M parameters"


def _model(run: Run, codec: Vocabulary | None, jobs: Jobs) -> tuple[Shape | None, Finding]:
    spec = planned_model(run.model, jobs)
    name = run.model.path if isinstance(run.model, Pretrained) else run.model.architecture
    if spec is None:
        return None, Finding("model", "note", f"{name} is made by the study itself")
    if codec is None:
        return None, Finding("model", "note", f"{name}; not looked at without its tokenizer")
    shape, complaint = _tried("model", lambda: shape_of(spec, codec))
    if shape is None:
        return None, complaint or Finding("model", "problem", "cannot be built")
    return shape, Finding("model", "ok", f"{name}, {_parameters(shape)}, {run.model.precision}")


def _context(spec: StreamSpec, shape: Shape) -> Finding | None:
    length: Any = getattr(spec, "max_length", None)
    if length is None or shape.context is None:
        return None
    fits = length <= shape.context
    told = f"prefix and suffix take up to {length} tokens, the model up to {shape.context}"
    return Finding("context", "ok" if fits else "problem", told if fits else f"{told}: lower stream.max_length")


def _memory(run: Run, shape: Shape, taught_by: float, there: float | None) -> Iterator[Finding]:
    plan = memory_plan(run, shape, taught_by)
    parts = " + ".join(f"{name} {shown_size(size)}" for name, size in plan.parts() if size)
    told = f"{parts} = {shown_size(plan.total)}, besides activations"
    if there is None:
        yield Finding("memory plan", "note", told)
        return
    share = plan.total / there
    verdict = "problem" if share > 1 else "warning" if share > 0.7 else "ok"
    yield Finding("memory plan", verdict, f"{told}; {shown_size(there)} available")


def _available(device: str) -> float | None:
    import torch

    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return float(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else None
    return available_memory()
