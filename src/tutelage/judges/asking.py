"""Putting questions to a text model, and making verdicts of its answers.

A question that was not answered, or not to the point, is left out and counted. It never becomes a number.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tutelage import rng
from tutelage.prompts import fence
from tutelage.protocols import Codec, Prompt, TextModel
from tutelage.types import Absent, Abstained, Pool, Scored, Verdict

T = TypeVar("T")

WORDS = 400
"""Characters of an answer, at its end, that a judgement keeps for readers."""


@dataclass(frozen=True, slots=True)
class PoolTexts:
    """A pool as a judge reads it."""

    prefix: str
    suffix: str
    candidates: tuple[str, ...]
    code: str
    """The fence's code, the same for all questions about the pool."""


def read_pool(pool: Pool, codec: Codec, seed: int) -> PoolTexts:
    """Decode all texts of ``pool`` and draw their fence."""
    chunk = pool.chunk
    prefix, suffix = codec.decode(chunk.prefix), codec.decode(chunk.suffix)
    candidates = tuple(codec.decode(candidate.tokens) for candidate in pool.candidates)
    return PoolTexts(prefix, suffix, candidates, fence((prefix, suffix, *candidates), seed, *chunk.key))


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt with the seed of its answer; equal questions are asked once."""

    prompt: Prompt
    seed: int


def ask(model: TextModel, questions: Sequence[Question]) -> dict[Question, str | Absent]:
    """The answer to every distinct question, all in one call.

    Raises:
        ValueError: the model gave another number of answers.
    """
    distinct = list(dict.fromkeys(questions))
    if not distinct:
        return {}
    answers = model.answer([question.prompt for question in distinct], [q.seed for q in distinct])
    if len(answers) != len(distinct):
        raise ValueError(
            f"the text model {model.name!r} gave {len(answers)} answers to {len(distinct)} prompts; "
            "its answer() must return one a prompt, Absent where it has none"
        )
    return dict(zip(distinct, answers, strict=True))


def understand(answer: str | Absent, parse: Callable[[str], T | Abstained]) -> T | Abstained:
    """What ``parse`` reads in ``answer``; where there is none, an abstention that says why."""
    return Abstained(f"no answer: {answer.reason}") if isinstance(answer, Absent) else parse(answer)


def excerpt(answer: str | Absent) -> str:
    """The end of ``answer``, where its verdict stands."""
    text = f"[{answer.reason}]" if isinstance(answer, Absent) else answer.strip()
    return text if len(text) <= WORDS else "…" + text[-WORDS:]


@dataclass(slots=True)
class Tally:
    """What was answered about one candidate so far."""

    values: list[float] = field(default_factory=list[float])
    failures: list[str] = field(default_factory=list[str])

    def verdict(self, least: int) -> Verdict:
        """The mean of at least ``least`` values, or why there is none: refusals first where they prevail."""
        if len(self.values) >= max(least, 1):
            return Scored(math.fsum(self.values) / len(self.values), len(self.values))
        asked = len(self.values) + len(self.failures)
        if not self.failures:
            return Abstained(f"{asked} comparisons, fewer than {max(least, 1)}")
        refusals = [reason for reason in self.failures if reason.startswith("refus")]
        others = [reason for reason in self.failures if not reason.startswith("refus")]
        reason = refusals[0] if len(refusals) >= len(others) else others[0]
        return Abstained(f"{reason} ({len(self.failures)} of {asked} answers failed)" if asked > 1 else reason)


def candidate_key(pool: Pool, index: int) -> tuple[rng.Key, ...]:
    """What identifies a candidate's text in keyed draws, wherever it stands in the pool."""
    return (*pool.chunk.key, pool.candidates[index].tokens.digest)
