"""Putting questions to a text model, and making verdicts of its answers.

A question that was not answered, or not to the point, is left out and counted. It never becomes a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tutelage import rng
from tutelage.prompts import VerdictPrompt, ending, fence
from tutelage.protocols import Answered, Codec, EndTelling, Prompt, TextModel
from tutelage.types import NOT_ASKED, Absent, Abstained, Pool, Rollout

T = TypeVar("T")

WORDS = 400
"""Characters of an answer, at its end, that a judgement keeps for readers."""
COMPARED = 120
"""As many of an answer that stands at both candidates it compares."""


@dataclass(frozen=True, slots=True)
class PoolTexts:
    """A pool as a judge reads it."""

    prefix: str
    suffix: str
    candidates: tuple[str, ...]
    code: str
    """The fence's code, the same for all questions about the pool."""


def read_pool(pool: Pool, codec: Codec, seed: int, judge_prefix: int) -> PoolTexts:
    """Decode all texts of ``pool``, of the prefix its last ``judge_prefix`` tokens, and draw their fence."""
    chunk = pool.chunk
    prefix, suffix = ending(chunk.prefix, codec, judge_prefix), codec.decode(chunk.suffix)
    candidates = tuple(codec.decode(candidate.tokens) for candidate in pool.candidates)
    return PoolTexts(prefix, suffix, candidates, fence((prefix, suffix, *candidates), seed, *chunk.key))


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt with the seed of its answer; equal questions are asked once."""

    prompt: Prompt
    seed: int


def about(prompt: Prompt, pool: Pool, *shown: int) -> Prompt:
    """``prompt`` with what helps to serve it: its document, and whether a candidate it shows is the policy's."""
    on_policy = any(isinstance(pool.candidates[i], Rollout) for i in shown)
    return replace(prompt, document="/".join(map(str, pool.chunk.document.key)), on_policy=on_policy)


def ask(model: TextModel, questions: Sequence[Question]) -> dict[Question, Answered | Absent]:
    """The answer to every distinct question, all in one call; of a model that does not tell ends, all are whole.

    Raises:
        ValueError: the model gave another number of answers.
    """
    distinct = list(dict.fromkeys(questions))
    if not distinct:
        return {}
    prompts, seeds = [question.prompt for question in distinct], [question.seed for question in distinct]
    answers = model.answered(prompts, seeds) if isinstance(model, EndTelling) else _whole(model.answer(prompts, seeds))
    if len(answers) != len(distinct):
        raise ValueError(
            f"the text model {model.name!r} gave {len(answers)} answers to {len(distinct)} prompts; "
            "its answer() must return one a prompt, Absent where it has none"
        )
    return dict(zip(distinct, answers, strict=True))


def _whole(answers: Sequence[str | Absent]) -> list[Answered | Absent]:
    return [one if isinstance(one, Absent) else Answered(one, cut=False) for one in answers]


def understand(answer: str | Absent, parse: Callable[[str], T | Abstained]) -> T | Abstained:
    """What ``parse`` reads in ``answer``; where there is none, an abstention that says why."""
    if not isinstance(answer, Absent):
        return parse(answer)
    failed = Abstained(answer.reason)
    return failed if failed.refused else Abstained(f"no answer: {answer.reason}")


def excerpt(answer: str | Absent, length: int = WORDS) -> str:
    """The end of ``answer``, where its verdict stands, on one line."""
    text = f"[{answer.reason}]" if isinstance(answer, Absent) else " ".join(answer.split())
    return text if len(text) <= length else "…" + text[-length:]


def missing(answers: int, failures: Sequence[str], least: int) -> Abstained | None:
    """Why fewer than ``least`` valid answers are no verdict, refusals first where they prevail; else ``None``."""
    if answers >= least:
        return None
    asked = answers + len(failures)
    if not asked:
        return Abstained(f"{NOT_ASKED}: nobody to compare with")
    if not failures:
        return Abstained(f"{asked} answers, fewer than {least}")
    refusals = [reason for reason in failures if Abstained(reason).refused]
    others = [reason for reason in failures if not Abstained(reason).refused]
    reason = refusals[0] if len(refusals) >= len(others) else others[0]
    return Abstained(f"{reason} ({len(failures)} of {asked} answers failed)" if asked > 1 else reason)


def candidate_key(pool: Pool, index: int) -> tuple[rng.Key, ...]:
    """What identifies a candidate's text in keyed draws, wherever it stands in the pool."""
    return (*pool.chunk.key, pool.candidates[index].tokens.digest)


def require_draws(spec: Any, prompt: VerdictPrompt) -> None:
    """Refuse several draws of what is not drawn.

    Raises:
        ValueError: more than one sample of a comparison of likelihoods.
    """
    if prompt.form == "likelihood" and spec.samples > 1:
        raise ValueError(
            f"{type(spec).__name__} has samples {spec.samples} and a prompt of the form 'likelihood', which gives the "
            "same verdict each time: set samples to 1"
        )
