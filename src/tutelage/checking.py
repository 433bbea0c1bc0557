"""What a part answered, checked before it is recorded: a part that breaks its Protocol is named, not its traceback.

A record is replayed on resume. So whatever could not be trained on must be found before it is written: scores that are
not numbers, verdicts that are too few, ids that are not in the vocabulary, text that is no Unicode.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tutelage.episodes import Problem
from tutelage.types import Absent, Abstained, Candidate, Chunk, Floats, Judgement, Pool, Rollout, Scored, Verdict


class PartFailed(ValueError):
    """A source or judge answered something that its Protocol does not allow."""


def checked_proposals(
    author: object, chunks: Sequence[Chunk], proposals: Any, *, suffix_length: int, vocab_size: int
) -> list[tuple[Candidate | Absent, ...]]:
    """A source's candidates: one tuple a chunk, clipped to ``suffix_length``; ids outside the vocabulary are absent.

    Raises:
        PartFailed: not one tuple of candidates a chunk; names the source's class.
    """
    name = type(author).__name__
    _require_one_each(name, "chunk", len(chunks), proposals)
    checked: list[tuple[Candidate | Absent, ...]] = []
    for proposal in proposals:
        if not isinstance(proposal, tuple | list) or any(not isinstance(c, Candidate | Absent) for c in proposal):
            raise PartFailed(f"{name} proposed {proposal!r}; a proposal is a tuple of candidates or Absent")
        checked.append(tuple(_usable(c, suffix_length, vocab_size) for c in proposal))
    return checked


def _usable(candidate: Candidate | Absent, suffix_length: int, vocab_size: int) -> Candidate | Absent:
    if isinstance(candidate, Absent) or not len(candidate.tokens):
        return candidate
    ids = candidate.tokens.array
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab_size:
        return Absent(candidate.source, f"token {low if low < 0 else high} is not in the vocabulary of {vocab_size}")
    if len(ids) <= suffix_length:
        return candidate
    kept = candidate.tokens[:suffix_length]
    if isinstance(candidate, Rollout):
        return replace(candidate, tokens=kept, logprobs=Floats(candidate.logprobs.array[:suffix_length]))
    return replace(candidate, tokens=kept)


def checked_judgements(author: object, pools: Sequence[Pool], ruled: Any) -> list[tuple[Judgement, ...]]:
    """A judge's verdicts: one tuple of judgements a pool, one verdict a candidate, every score a finite number.

    Raises:
        PartFailed: names the judge's class, the axis and the document.
    """
    name = type(author).__name__
    _require_one_each(name, "pool", len(pools), ruled)
    return [
        tuple(_judgement(name, pool, judgement) for judgement in judgements)
        for pool, judgements in zip(pools, ruled, strict=True)
    ]


def _judgement(name: str, pool: Pool, judgement: Any) -> Judgement:
    where = f"of document {pool.chunk.document.id!r}"
    if not isinstance(judgement, Judgement):
        raise PartFailed(f"{name} gave {judgement!r} as a judgement {where}; it must be a Judgement")
    if len(judgement.verdicts) != len(pool.candidates):
        raise PartFailed(
            f"{name} gave {len(judgement.verdicts)} verdicts on {judgement.axis!r} for {len(pool.candidates)} "
            f"candidates {where}"
        )
    verdicts = tuple(_verdict(name, judgement.axis, where, verdict) for verdict in judgement.verdicts)
    return replace(judgement, verdicts=verdicts, words=tuple(_unicode(words) for words in judgement.words))


def _verdict(name: str, axis: str, where: str, verdict: Any) -> Verdict:
    match verdict:
        case Abstained(reason):
            return Abstained(_unicode(reason))
        case Scored(value, comparisons):
            number = float(value)
            if not math.isfinite(number):
                raise PartFailed(f"{name} scored {number} on {axis!r} {where}; what cannot be scored is Abstained")
            return Scored(number, int(comparisons))
        case _:
            raise PartFailed(
                f"{name} gave {verdict!r} as a verdict on {axis!r} {where}; it must be Scored or Abstained"
            )


def require_distinct_axes(judgements: Sequence[Judgement]) -> None:
    """Refuse two judgements on one axis: their abstentions would hide in each other, and one would cover the other.

    Raises:
        PartFailed: naming the axis.
    """
    axes = [judgement.axis for judgement in judgements]
    for axis in axes:
        if axes.count(axis) > 1:
            raise PartFailed(f"two judges of this phase judge {axis!r}; give one of them another axis")
        if not axis or "/" in axis:
            raise PartFailed(f"an axis is called {axis!r}; its name must be a word without a slash")


def _require_one_each(name: str, what: str, expected: int, answers: Any) -> None:
    got = len(answers) if isinstance(answers, tuple | list) else None
    if got != expected:
        found = f"{got} answers" if got is not None else f"a {type(answers).__name__}"
        raise PartFailed(f"{name} gave {found} for {expected} {what}s; it must give one a {what}, in order")


def _unicode(text: str) -> str:
    """Lone surrogates, which no file can hold, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def checked_verdicts(author: object, problems: Sequence[Problem], verdicts: Any) -> list[Verdict]:
    """A verifier's verdicts: one an attempt, in order, each score between 0 and 1.

    Raises:
        PartFailed: names the verifier's class and the problem.
    """
    name = type(author).__name__
    _require_one_each(name, "attempt", len(problems), verdicts)
    checked: list[Verdict] = []
    for problem, verdict in zip(problems, verdicts, strict=True):
        where = f"of an attempt at problem {problem.id!r}"
        known = _verdict(name, "verifier", where, verdict)
        if isinstance(known, Scored) and not 0.0 <= known.value <= 1.0:
            raise PartFailed(
                f"{name} gave {known.value} as the reward {where}; it lies between 0 (wrong) and 1 (right)"
            )
        checked.append(known)
    return checked


def checked_answers(author: object, problems: Sequence[Problem], answers: Any) -> list[str | None]:
    """The final answers as a verifier reads them: a text or ``None`` an attempt, in order.

    Raises:
        PartFailed: names the verifier's class.
    """
    name = type(author).__name__
    _require_one_each(name, "attempt", len(problems), answers)
    if bad := next((answer for answer in answers if not isinstance(answer, str | None)), None):
        raise PartFailed(f"{name} gave {bad!r} as an answer; it must be text, or None where there is none")
    return [None if answer is None else _unicode(answer) for answer in answers]
