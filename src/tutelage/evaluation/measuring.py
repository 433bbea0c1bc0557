"""Models on every part of a suite: they write and weigh first, one model after the other, then the judge reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tutelage.evaluation.choosing import chosen
from tutelage.evaluation.figures import Measured
from tutelage.evaluation.items import Beginning, Choice, Continuation
from tutelage.evaluation.opinions import Duel, Opinion, Panel, majority
from tutelage.evaluation.subject import Subject
from tutelage.evaluation.suites import AGAINST_BASE, Part


@dataclass(frozen=True, slots=True)
class Given:
    """What models are given, by the name of the set."""

    beginnings: Mapping[str, tuple[Beginning, ...]]
    choices: Mapping[str, tuple[Choice, ...]]

    def has(self, part: Part) -> bool:
        """Whether there is anything to measure this part by."""
        return bool(self.choices.get(part.name) if part.kind == "options" else self.beginnings.get(part.name))


@dataclass(frozen=True, slots=True)
class Written:
    """What one model made of it."""

    continuations: Mapping[str, tuple[Continuation, ...]]
    """By set."""
    scores: Mapping[str, tuple[float, ...]]
    """Of questions, by set."""


def work(subject: Subject, given: Given, length: int, say: Callable[[str], None]) -> Written:
    """Let a model write and weigh all there is; its weights are let go of afterwards."""
    continuations: dict[str, tuple[Continuation, ...]] = {}
    for name, beginnings in given.beginnings.items():
        say(f"{subject.name} continues {len(beginnings)} beginnings of {name}")
        continuations[name] = tuple(subject.write(beginnings, length))
    scores: dict[str, tuple[float, ...]] = {}
    for name, choices in given.choices.items():
        say(f"{subject.name} weighs the answers to {len(choices)} questions of {name}")
        found = zip(choices, subject.weigh(choices), strict=True)
        scores[name] = tuple(chosen(name, choice, weighed) for choice, weighed in found)
    subject.release()
    return Written(continuations, scores)


def measure_part(part: Part, given: Given, written: Mapping[str, Written], base: str | None, panel: Panel) -> Measured:
    """What every model got on every item of one part; against the base, the base itself gets one half unasked."""
    if part.kind == "options":
        keys = tuple(choice.key for choice in given.choices[part.name])
        return Measured(part, keys, {name: one.scores[part.name] for name, one in written.items()}, {})
    beginnings = given.beginnings[part.name]
    texts = {name: one.continuations[part.name] for name, one in written.items()}
    said: dict[str, tuple[Opinion, ...]] = {}
    if part.kind in AGAINST_BASE:
        assert base is not None
        for name, ours in texts.items():
            if name != base:
                duels = [Duel(*three) for three in zip(beginnings, ours, texts[base], strict=True)]
                said[name] = tuple(panel.comparers[part.kind].compare(duels))
    else:
        said = {name: tuple(panel.raters[part.kind].rate(beginnings, ours)) for name, ours in texts.items()}
    scores = {name: _scores(part, said[name]) if name in said else (0.5,) * len(beginnings) for name in texts}
    return Measured(part, tuple(one.key for one in beginnings), scores, said)


def _scores(part: Part, said: Sequence[Opinion]) -> tuple[float | None, ...]:
    """Safety by the majority of verdicts [P], all else by their mean."""
    return tuple(majority(one.value) if part.kind == "safety" else one.value for one in said)
