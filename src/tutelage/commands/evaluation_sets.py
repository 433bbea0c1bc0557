"""What an evaluation can measure with what it was given, and why it leaves out the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.commands.directories import run_directory
from tutelage.commands.evaluate import stream_with
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.failing import UsageError
from tutelage.evaluation import (
    JUDGED,
    Beginning,
    Choice,
    Given,
    MissingSet,
    Panel,
    Part,
    Subject,
    SuiteName,
    held_out,
    load_beginnings,
    load_choices,
    unanimously_unsafe,
)
from tutelage.evaluation.suites import AGAINST_BASE
from tutelage.protocols import Codec, StreamSpec
from tutelage.run import load_run
from tutelage.stream import Corpus, Splits, TextStream

LENGTH = 128
"""Tokens of a continuation [P]."""
LOOKED_AT = 4
"""So many times the beginnings that are wanted are searched for unsafe ones [I]."""
READABLE = 0.5
"""Of a set's words the least share that a tokenizer must give back, or the set is not for its model [I]."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Where held-out documents come from, and how long continuations of them are."""

    spec: StreamSpec | None
    seed: int
    split: str
    length: int


def documents(asked: Evaluate, words: Sequence[str]) -> Documents:
    """The corpus or run that was named; ``words`` are settings of its stream.

    Raises:
        UsageError: both, or settings of a stream that has none.
    """
    if asked.path is not None and asked.run is not None:
        raise UsageError("name the text by --path CORPUS or by --run RUN_DIRECTORY, not by both")
    if asked.path is not None:
        return _of_path(asked, asked.path, words)
    if asked.run is None:
        if words:
            raise UsageError(f"{words[0]} is about a stream of documents: name it by --path or --run")
        return Documents(None, asked.seed, "test", asked.suffix_length or LENGTH)
    run = load_run(run_directory(asked.run) / "run.yaml", asked.imports)
    spec = run.stream
    if isinstance(spec, TextStream):
        spec = stream_with(spec, words)
        spec = spec if asked.suffix_length is None else replace(spec, suffix_length=asked.suffix_length)
    elif words or asked.suffix_length not in (None, spec.suffix_length):
        raise UsageError(f"the stream of this run, {type(spec).__name__}, has no settings here")
    return Documents(spec, run.seed, asked.split or "validation", spec.suffix_length)


def _of_path(asked: Evaluate, path: str, words: Sequence[str]) -> Documents:
    length = asked.suffix_length or LENGTH
    whole = Splits(policy=0.0, validation=0.0, test=1.0) if asked.split is None else Splits()
    least = min(16, length)
    stream = TextStream(
        (Corpus(path),),
        suffix_length=length,
        max_length=max(asked.max_length, length + 1),
        min_suffix=least,
        deduplicate=None,
        splits=whole,
    )
    spec = stream_with(stream, words)
    return Documents(spec, asked.seed, asked.split or "test", spec.suffix_length)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is measured, and what is not."""

    given: Given
    parts: dict[SuiteName, list[Part]]
    left_out: dict[str, str]
    """Why, by suite or ``SUITE/PART``."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that decides whether a part can be measured."""

    asked: Evaluate
    text: Documents
    words: Sequence[str]
    subjects: Sequence[Subject]
    base: Subject | None
    codec: Codec
    panel: Panel | None
    say: Callable[[str], None]


def prepare(wanted: Sequence[SuiteName], at: Circumstances) -> Prepared:
    """Load every set that is needed, once.

    Raises:
        ValueError: a file of another form, an empty one, or a suite that was named and has no part.
    """
    sets: dict[str, tuple[Any, ...] | str] = {}
    parts: dict[SuiteName, list[Part]] = {}
    left_out: dict[str, str] = {}
    for suite in JUDGED:
        if suite.name not in wanted:
            continue
        reasons: dict[str, str] = {}
        there: list[Part] = []
        for part in suite.parts:
            why = _cannot(part, at) or _replaced(part, there)
            if why is None:
                if part.name not in sets:
                    sets[part.name] = _load(part, at)
                found = sets[part.name]
                why = found if isinstance(found, str) else None
            if why is None:
                there.append(part)
            elif why:
                reasons[f"{suite.name}/{part.name}"] = why
        left_out |= reasons
        if there:
            parts[suite.name] = there
        elif at.asked.suites is not None:
            raise ValueError(f"{suite.name} cannot be measured: {'; '.join(dict.fromkeys(reasons.values()))}")
    if "diversity" in wanted and "held_out" not in sets:
        sets["held_out"] = _load(JUDGED[0].parts[0], at)
    return Prepared(_given(sets), parts, left_out)


def _given(sets: dict[str, tuple[Any, ...] | str]) -> Given:
    loaded = {name: found for name, found in sets.items() if not isinstance(found, str)}
    beginnings: dict[str, tuple[Beginning, ...]] = {}
    choices: dict[str, tuple[Choice, ...]] = {}
    for name, found in loaded.items():
        if isinstance(found[0], Choice):
            choices[name] = found
        else:
            beginnings[name] = found
    return Given(beginnings, choices)


def _cannot(part: Part, at: Circumstances) -> str | None:
    """Why a part cannot be measured whatever its set holds, if so."""
    if part.kind == "options":
        return None
    if part.kind in AGAINST_BASE and at.base is None:
        return "needs a base to be compared with: name it by --against"
    if part.kind in AGAINST_BASE and len(at.subjects) < 2:
        return "needs a model besides the base"
    if at.panel is None:
        return "needs a judge: name it by --judge"
    return None if at.panel.can(part.kind) else f"the judge {at.asked.judge} gives no verdict of this kind"


def _replaced(part: Part, there: Sequence[Part]) -> str | None:
    """An empty reason where a stand-in is not needed: nothing is missing then."""
    return "" if any(one.name in part.stands_in for one in there) else None


def _load(part: Part, at: Circumstances) -> tuple[Any, ...] | str:
    """The items of a part's set, or why there are none."""
    items = min(part.size, at.asked.items)
    try:
        if part.name == "held_out":
            return _held_out(at, items)
        if part.name == "unsafe":
            return _unsafe(at, items)
        load = load_choices if part.kind == "options" else load_beginnings
        found = load(part.name, at.asked.data, items, at.asked.seed)
    except MissingSet as error:
        return str(error)
    for subject in at.subjects:
        share = readable(subject.codec, [one.text for one in found[:50]])
        if share < READABLE:
            return f"the tokenizer of {subject.name} gives back only {share:.0%} of its words"
    return found


def readable(codec: Codec, texts: Sequence[str]) -> float:
    """The share of words, of any case, that survive being tokenised."""
    kept = total = 0
    for text in texts:
        words = set(text.lower().split())
        kept += len(words & set(codec.decode(codec.encode(text)).lower().split()))
        total += len(words)
    return kept / total if total else 0.0


def _held_out(at: Circumstances, items: int) -> tuple[Beginning, ...] | str:
    text = at.text
    if text.spec is None:
        return "needs documents: name them by --path or --run"
    return held_out(text.spec, at.codec, seed=text.seed, split=text.split, items=items)


def _unsafe(at: Circumstances, items: int) -> tuple[Beginning, ...] | str:
    """Beginnings that the judge finds unsafe every time, among those of a corpus or of the held-out documents."""
    where = at.asked.unsafe
    if where is None:
        return "needs documents that may be unsafe: name them by --unsafe PATH, or --unsafe held-out"
    rater = None if at.panel is None else at.panel.raters.get("safety")
    if rater is None:
        return "needs a judge of safety, who says which beginnings are unsafe"
    text = at.text if where == "held-out" else _of_path(at.asked, where, at.words)
    if text.spec is None:
        return "--unsafe held-out needs documents: name them by --path or --run"
    found = held_out(text.spec, at.codec, seed=text.seed, split=text.split, items=LOOKED_AT * items)
    at.say(f"Looking for unsafe beginnings among {len(found)}")
    named = [replace(one, key=one.key.replace("held_out/", "unsafe/", 1)) for one in found]
    unsafe = unanimously_unsafe(named, rater, at_most=items)
    return unsafe or f"the judge finds none of {len(found)} beginnings unsafe every time"
