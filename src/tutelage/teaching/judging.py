"""What a judge is trained by: labelled texts as problems, and the verifier that holds the labels.

The reward is 1 where the verdict is the label's and 0 where it is another or none (arXiv 2601.21343 B.1 [P]). Questions
and verdicts are those of the judge in later runs: the same prompts, the same parsers.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, assert_never, get_args

from tutelage.correction import question_of
from tutelage.episodes import Problem
from tutelage.judge_check import Axis, Item, Pair, VerdictPrompts, question_about
from tutelage.problems.contract import ProblemSet
from tutelage.prompts import FactualityPrompt, QualityPrompt, SafetyPrompt, code_of
from tutelage.teaching.items import ItemSource, require_both_verdicts
from tutelage.types import Abstained, Scored, Verdict


@dataclass(frozen=True, slots=True)
class JudgePrompts:
    """How the judge will be asked on each axis, in training as in the runs that it judges for."""

    quality: QualityPrompt = field(default_factory=QualityPrompt)
    safety: SafetyPrompt = field(default_factory=SafetyPrompt)
    factuality: FactualityPrompt = field(default_factory=FactualityPrompt)

    def of(self, axis: Axis) -> VerdictPrompts:
        """The prompt of an axis."""
        match axis:
            case "quality":
                return self.quality
            case "safety":
                return self.safety
            case "factuality":
                return self.factuality
            case _:
                assert_never(axis)


@dataclass(frozen=True, slots=True)
class JudgeProblems:
    """Labelled texts as problems: the question is the judge's prompt, the key its right verdict.

    A pair is asked in both orders [P], so that no place is right more often than the other.
    """

    items: ItemSource
    """The labelled texts."""
    prompts: JudgePrompts = field(default_factory=JudgePrompts)
    """Those of the runs that the judge is for."""

    def read(self) -> ProblemSet:
        """One problem a text, two a pair.

        Raises:
            ValueError: there are none, or all of an axis have one label.
        """
        items = self.items.read()
        require_both_verdicts(items)
        problems = tuple(
            self._problem(number, item, first)
            for number, item in enumerate(items)
            for first in ((0, 1) if isinstance(item, Pair) else (0,))
        )
        return ProblemSet(problems, (None,) * len(problems))

    def _problem(self, number: int, item: Item, first: int) -> Problem:
        """The question about an item; of a pair with candidate ``first`` as option 1."""
        name = f"{number}-{first}" if isinstance(item, Pair) else str(number)
        asked = question_about(self.prompts.of(item.axis), item, first, "judge problem", number)
        label = 1.0 - item.label if first else item.label
        key = json.dumps(asdict(LabelKey(item.axis, label, code_of(asked))))
        return Problem(name, question_of(asked), key, (("axis", item.axis),))


@dataclass(frozen=True, slots=True)
class LabelKey:
    """The key of a judge's problem."""

    axis: Axis
    label: float
    """The verdict that is right."""
    code: str

    @classmethod
    def read(cls, text: str) -> "LabelKey | None":
        """The key in ``text``; ``None`` where it is none."""
        try:
            found: dict[str, Any] = json.loads(text)
            axis, label, code = found["axis"], float(found["label"]), str(found["code"])
        except (ValueError, KeyError, TypeError):
            return None
        return cls(axis, label, code) if axis in get_args(Axis) else None


@dataclass(frozen=True, slots=True)
class LabelVerifier:
    """Right is the verdict that the label names, read as the judge's verdicts are read; no verdict is wrong."""

    prompts: JudgePrompts = field(default_factory=JudgePrompts)
    """Those of the problems."""

    def build(self) -> AbstractContextManager["LabelVerifier"]:
        """Itself; it has nothing to close."""
        return nullcontext(self)

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 where the verdict is the label's, else 0; an abstention where the key is none of ``JudgeProblems``."""
        return [self._check(*both) for both in zip(problems, attempts, strict=True)]

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """The verdict of each attempt as a number."""
        found = [self._said(LabelKey.read(one.key), attempt) for one, attempt in zip(problems, attempts, strict=True)]
        return [None if said is None else f"{said:g}" for said in found]

    def _check(self, problem: Problem, attempt: str) -> Verdict:
        key = LabelKey.read(problem.key)
        if key is None:
            return Abstained(f"the key of problem {problem.id} names no axis and label: {problem.key[:60]!r}")
        return Scored(float(self._said(key, attempt) == key.label))

    def _said(self, key: LabelKey | None, attempt: str) -> float | None:
        """The verdict in an attempt; ``None`` where it holds none."""
        said = None if key is None else self.prompts.of(key.axis).read(attempt, key.code)
        return None if isinstance(said, Abstained) else said
