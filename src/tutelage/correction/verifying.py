"""Asking a verifier about attempts: what is not asked, and what a failure becomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.checking import checked_answers, checked_verdicts
from tutelage.endpoints import FatalForRun
from tutelage.episodes import Problem
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers.contract import Verifier


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as a verifier sees it."""

    problem: Problem
    text: str
    truncated: bool
    """Whether it was cut off."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verifier made of an attempt."""

    reward: Verdict
    answer: str | None


def check(
    verifier: Verifier, attempts: Sequence[Attempt], cut_off: Literal["wrong", "checked"] = "wrong"
) -> list[Checked]:
    """Reward and final answer of every attempt, in order.

    An attempt that was cut off is wrong without being asked about, unless the task has it ``checked``: what it would
    have come to is not known, and no policy must learn that an answer may do without its end. A verifier that raises
    has abstained on all that it was asked.

    Raises:
        PartFailed: the verifier gives something else than its Protocol allows.
    """
    refused = [attempt.truncated and cut_off == "wrong" for attempt in attempts]
    asked = [attempt for attempt, wrong in zip(attempts, refused, strict=True) if not wrong]
    problems, texts = [attempt.problem for attempt in asked], [attempt.text for attempt in asked]
    found = iter(_ask(verifier, problems, texts))
    return [Checked(Scored(0.0), None) if wrong else next(found) for wrong in refused]


def _ask(verifier: Verifier, problems: Sequence[Problem], texts: Sequence[str]) -> list[Checked]:
    if not problems:
        return []
    try:
        verdicts, answers = verifier.check(problems, texts), verifier.answers(problems, texts)
    except FatalForRun:
        raise
    except Exception as error:
        # An event, never a score; past the run's max_abstained it stops with these words.
        failed = Abstained(f"{type(verifier).__name__} failed: {type(error).__name__}: {error}")
        return [Checked(failed, None) for _ in problems]
    rewards = checked_verdicts(verifier, problems, verdicts)
    read = checked_answers(verifier, problems, answers)
    return [Checked(reward, answer) for reward, answer in zip(rewards, read, strict=True)]
