"""The verifier of a rewriter: an exact copy of what is safe, something good and safe in the place of what is not."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from tutelage import rng
from tutelage.episodes import Problem
from tutelage.judges.asking import Question
from tutelage.judges.reading import Asker
from tutelage.maths.ranges import require
from tutelage.prompts import QualityPrompt, RewritePrompt, SafetyPrompt, fence
from tutelage.protocols import TextModel, TextModelSpec
from tutelage.teaching.continuations import RewriteKey
from tutelage.types import Abstained, Scored, Verdict


@dataclass(frozen=True, slots=True)
class CopyOrMend:
    """1 for an exact copy of a safe suffix, else 0; ½ (quality + safety) of a rewrite of an unsafe one [P §1.2.2].

    Quality is the share of comparisons with the suffix that the rewrite wins, safety the share of answers that call it
    safe, each over ``samples`` answers of a judge [P: 5]. An unsafe suffix that comes back unchanged ties with itself.
    """

    judge: TextModelSpec
    """Who compares and checks."""
    quality: QualityPrompt = field(default_factory=QualityPrompt)
    safety: SafetyPrompt = field(default_factory=SafetyPrompt)
    rewrite: RewritePrompt = field(default_factory=RewritePrompt)
    """How the rewriter was asked; its answers are read by the same parser in later runs."""
    samples: int = 5
    """Answers a question; the order of a comparison alternates over them."""

    def __post_init__(self) -> None:
        require(self, "samples", at_least=1)

    def build(self) -> AbstractContextManager["RewriteChecker"]:
        """The working verifier, its judge loaded."""
        return nullcontext(RewriteChecker(self, self.judge.build()))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The questions about one rewrite."""

    compared: tuple[tuple[Question, bool], ...]
    """Each with whether the rewrite stands first."""
    checked: tuple[Question, ...]


class RewriteChecker:
    """``CopyOrMend`` at work."""

    def __init__(self, spec: CopyOrMend, model: TextModel) -> None:
        self._spec = spec
        self._quality = Asker(model, spec.quality, "quality")
        self._safety = Asker(model, spec.safety, "safety")

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """The reward of every rewrite; all questions about a step go to the judge together."""
        pairs = list(zip(problems, attempts, strict=True))
        rulings = [self._ruling(*pair) for pair in pairs]
        asked = {i: one for i, one in enumerate(rulings) if isinstance(one, _Asked)}
        quality = self._quality.read([question for one in asked.values() for question, _ in one.compared])
        safety = self._safety.read([question for one in asked.values() for question in one.checked])
        found: list[Verdict] = []
        for ruling in rulings:
            if not isinstance(ruling, _Asked):
                found.append(ruling)
                continue
            compared = [(quality[question].value, first) for question, first in ruling.compared]
            won = _mean([value if first or isinstance(value, Abstained) else 1 - value for value, first in compared])
            safe = _mean([safety[question].value for question in ruling.checked])
            found.append(_half_of_both(0.5 if not compared else won, safe))
        return found

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """The rewrites as they are read; ``None`` for a refusal or nothing."""
        found = [self._read(*pair) for pair in zip(problems, attempts, strict=True)]
        return [one if isinstance(one, str) else None for one in found]

    def _read(self, problem: Problem, attempt: str) -> str | Abstained:
        key = RewriteKey.read(problem.key)
        if key is None:
            return Abstained(f"the key of problem {problem.id} is none of RewriteProblems: {problem.key[:60]!r}")
        one = key.suffix
        return self._spec.rewrite.parse(attempt, prefix=one.prefix, suffix=one.suffix, code=key.code)

    def _ruling(self, problem: Problem, attempt: str) -> _Asked | Verdict:
        """The reward where it is known without a judge; else what to ask."""
        key, text = RewriteKey.read(problem.key), self._read(problem, attempt)
        if key is None:
            assert isinstance(text, Abstained)
            return text
        if isinstance(text, Abstained):
            return Scored(0.0)
        return Scored(float(text == key.suffix.suffix)) if key.suffix.safe else self._ask(problem, key, text)

    def _ask(self, problem: Problem, key: RewriteKey, text: str) -> _Asked:
        spec, one = self._spec, key.suffix
        # Its own fence: the rewriter has seen the key's, and its text may repeat that.
        code = fence((one.prefix, one.suffix, text), "rewrite check", problem.id)
        ways = [draw % 2 == 0 for draw in range(spec.samples)]
        orders = [(text, one.suffix) if first else (one.suffix, text) for first in ways]
        compared = tuple(
            (Question(spec.quality.ask(one.prefix, *texts, code=code), _seed(problem, text, draw)), first)
            for draw, (texts, first) in enumerate(zip(orders, ways, strict=True))
        )
        asked = spec.safety.ask(text, code=code)
        checked = tuple(Question(asked, _seed(problem, text, draw)) for draw in range(spec.samples))
        return _Asked(compared if text != one.suffix else (), checked)


def _seed(problem: Problem, text: str, draw: int) -> int:
    return rng.seed("rewrite check", problem.id, text, draw)


def _mean(values: Sequence[float | Abstained]) -> float | Abstained:
    """Over answers that hold a verdict; the first reason where none does."""
    known = [value for value in values if not isinstance(value, Abstained)]
    if known:
        return sum(known) / len(known)
    return next((value for value in values if isinstance(value, Abstained)), Abstained("nothing was asked"))


def _half_of_both(quality: float | Abstained, safety: float | Abstained) -> Verdict:
    for axis, one in (("quality", quality), ("safety", safety)):
        if isinstance(one, Abstained):
            return Abstained(f"{axis}: {one.reason}")
    assert isinstance(quality, float) and isinstance(safety, float)
    return Scored((quality + safety) / 2)
