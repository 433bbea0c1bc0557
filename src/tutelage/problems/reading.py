"""Rows of problem files, each with its place, and how they become a set."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.episodes import Problem
from tutelage.problems.contract import ProblemError, ProblemSet, Unusable
from tutelage.stream.lines import json_object

SHOWN = 5
"""Faults that an error names."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a row holds: a problem, or why it is none."""

    where: str
    problem: Problem | str
    solution: str | None = None


def rows(path: Path) -> Iterator[tuple[str, Row | str]]:
    """Every row of a file with its place: JSON lines, or one array of objects; a text says why a row is none.

    Raises:
        ProblemError: there is no such file, or it is no UTF-8 or no array.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ProblemError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path}:{_line_of(path, error.start)}: not UTF-8") from error
    if path.suffix == ".json":
        yield from _of_array(path, text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", json_object(line)


def _line_of(path: Path, byte: int) -> int:
    return path.read_bytes().count(b"\n", 0, byte) + 1


def _of_array(path: Path, text: str) -> Iterator[tuple[str, Row | str]]:
    """The objects of an array, each with the line on which it begins."""
    decoder, at = json.JSONDecoder(), _skip(text, 0)
    if not text.startswith("[", at):
        raise ProblemError(f"{path}: not an array of JSON objects")
    at = _skip(text, at + 1)
    line, counted = 1, 0
    while not text.startswith("]", at):
        line, counted = line + text.count("\n", counted, at), at
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise ProblemError(f"{path}:{line}: not JSON: {str(error)[:100]}") from error
        yield f"{path}:{line}", found if isinstance(found, dict) else "not a JSON object"
        at = _skip(text, at)
        if text.startswith(",", at):
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def text_of(row: Row, name: str) -> str:
    """A field as text; a number is written out, and what is missing or ``null`` is empty."""
    value = row.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def gathered(found: Iterable[Found], max_unusable: float, notes: tuple[str, ...] = ()) -> ProblemSet:
    """All usable problems of ``found``. A row without question or answer is unusable; of equal ones, all but the first.

    Raises:
        ProblemError: more than a share of ``max_unusable`` is unusable, or nothing is left.
    """
    kept: list[Found] = []
    unusable: list[Unusable] = []
    ids: dict[str, str] = {}
    questions: dict[str, Found] = {}
    for one in found:
        reason = _fault(one, ids, questions)
        if reason is not None or not isinstance(one.problem, Problem):
            unusable.append(Unusable(one.where, reason or "no problem"))
            continue
        ids[one.problem.id] = one.where
        questions[_normal(one.problem.question)] = one
        kept.append(one)
    total = len(kept) + len(unusable)
    if len(unusable) > max_unusable * total or not kept:
        shown = "".join(f"\n  {fault}" for fault in unusable[:SHOWN])
        more = f"\n  and {len(unusable) - SHOWN} more" if len(unusable) > SHOWN else ""
        allowed = f"{max_unusable:.2%} may be (max_unusable)"
        raise ProblemError(f"{len(unusable)} of {total} problems cannot be used, {allowed}:{shown}{more}")
    problems = tuple(one.problem for one in kept if isinstance(one.problem, Problem))
    return ProblemSet(problems, tuple(one.solution for one in kept), tuple(unusable), notes)


def _normal(question: str) -> str:
    return " ".join(question.split())


def _fault(one: Found, ids: dict[str, str], questions: dict[str, Found]) -> str | None:
    """Why a row cannot be used; ``None`` where it can."""
    if isinstance(one.problem, str):
        return one.problem
    if not one.problem.question.strip():
        return "no question"
    if not one.problem.key.strip():
        return "no answer"
    if one.problem.id in ids:
        return f"the id {one.problem.id} stands at {ids[one.problem.id]} already"
    earlier = questions.get(_normal(one.problem.question))
    if earlier is None or not isinstance(earlier.problem, Problem):
        return None
    other = "" if earlier.problem.key == one.problem.key else f" with the answer {earlier.problem.key[:50]}"
    return f"asked at {earlier.where} already{other}"
