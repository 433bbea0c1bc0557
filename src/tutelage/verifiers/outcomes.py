"""A verdict with its reason, and what can be said of a program without running it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.episodes import Problem
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers.keys import CodeKey
from tutelage.verifiers.programs import program_in

MOST_CHARACTERS = 100_000
"""A longer program is wrong without being run."""

Wanted = tuple[CodeKey, str]
"""Tests and the program that they are to be run against."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with its reason, for readers."""

    verdict: Verdict
    why: str
    """Why the program is wrong; empty where it is right. An abstention has its reason with it."""


def outcomes_of(
    problems: Sequence[Problem], attempts: Sequence[str], run: Callable[[Sequence[Wanted]], Sequence[Outcome]]
) -> list[Outcome]:
    """The outcome of each attempt; ``run`` is given the distinct programs that must be run."""
    found = [wanted(problem, attempt) for problem, attempt in zip(problems, attempts, strict=True)]
    distinct = list(dict.fromkeys(one for one in found if not isinstance(one, Outcome)))
    known = dict(zip(distinct, run(distinct), strict=True))
    return [one if isinstance(one, Outcome) else known[one] for one in found]


def wanted(problem: Problem, attempt: str) -> Outcome | Wanted:
    """What is to be run, or the outcome where nothing is."""
    try:
        key = CodeKey.read(problem.key)
    except ValueError as error:
        return abstained(f"the key of {problem.id} cannot be read: {error}")
    program = program_in(attempt, key.names)
    if not program.strip():
        return wrong("no program")
    if len(program) > MOST_CHARACTERS:
        return wrong(f"a program of more than {MOST_CHARACTERS} characters")
    return key, program


def outcome_of(said: Mapping[str, Any]) -> Outcome:
    """What the process of the tests said."""
    if "right" in said:
        return Outcome(Scored(1.0), "") if said["right"] is True else wrong(str(said["why"]))
    return abstained(str(said.get("abstained") or said.get("lost")))


def wrong(why: str) -> Outcome:
    """A wrong program."""
    return Outcome(Scored(0.0), why)


def abstained(reason: str) -> Outcome:
    """A check that could not be made."""
    return Outcome(Abstained(reason), reason)
