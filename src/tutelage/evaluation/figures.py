"""From scores of items to figures: means with intervals, averages by weight, paired differences between models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.evaluation.opinions import Opinion
from tutelage.evaluation.suites import AGAINST_BASE, Part, Suite
from tutelage.maths.strata import sign_flip_test, weighted_mean


@dataclass(frozen=True, slots=True)
class Measured:
    """One part: what every model got on every item."""

    part: Part
    keys: tuple[str, ...]
    """Of the items."""
    scores: Mapping[str, tuple[float | None, ...]]
    """By model, in ``[0, 1]``; ``None`` where there was no verdict."""
    opinions: Mapping[str, tuple[Opinion, ...]]
    """What the judge said, by model; empty where no judge is asked."""


def suite_figures(suite: Suite, measured: Sequence[Measured], base: str | None, seed: int) -> dict[str, Any]:
    """All figures of a suite. An average is over the parts that are there, and what is not is named."""
    missing = missing_parts(suite, [one.part.name for one in measured])
    found: dict[str, Any] = {
        "title": suite.title,
        "parts": {one.part.name: part_figures(one, base, seed) for one in measured},
        "missing": [part.title for part in missing],
    }
    weighed = [one for one in measured if one.part.weight]
    if suite.average and weighed:
        weights = [one.part.weight for one in weighed]
        models = [name for name in weighed[0].scores if all(len(_known(one.scores[name])) for one in weighed)]
        found["average"] = {
            name: asdict(weighted_mean([_known(one.scores[name]) for one in weighed], weights, seed=seed))
            for name in models
        }
        found["pairs"] = _pairs(models, lambda a, b: [_differences(one, a, b) for one in weighed], weights, seed)
    return found


def part_figures(one: Measured, base: str | None, seed: int) -> dict[str, Any]:
    """Mean and interval of every model, how many verdicts are missing, and the differences between models."""
    models: dict[str, Any] = {}
    for name, scores in one.scores.items():
        values, said = _known(scores), one.opinions.get(name, ())
        interval = asdict(weighted_mean([values], [1.0], seed=seed)) if len(values) else _NOTHING
        models[name] = {
            **interval,
            "items": len(values),
            "without": len(scores) - len(values),
            "answers": sum(opinion.answers for opinion in said),
            "abstained": sum(opinion.abstained for opinion in said),
            "by_construction": one.part.kind in AGAINST_BASE and name == base,
        }
    known = [name for name in one.scores if models[name]["items"]]
    return {
        "title": one.part.title,
        "kind": one.part.kind,
        "weight": one.part.weight,
        "items": len(one.keys),
        "models": models,
        "pairs": _pairs(known, lambda a, b: [_differences(one, a, b)], [1.0], seed),
    }


_NOTHING: Mapping[str, None] = {"mean": None, "low": None, "high": None}


def missing_parts(suite: Suite, there: Sequence[str]) -> list[Part]:
    """The parts of a suite that count and are not there: a stand-in is missed by nobody, nor what it stands in for."""
    replaced = {name for part in suite.parts if part.name in there for name in part.stands_in}
    return [
        part
        for part in suite.parts
        if part.weight and part.name not in there and not part.stands_in and part.name not in replaced
    ]


Differences = Callable[[str, str], list[NDArray[np.float64]]]


def _pairs(
    models: Sequence[str], differences: Differences, weights: Sequence[float], seed: int
) -> list[dict[str, Any]]:
    """First less second, on the items that both have: what is hard about an item cancels."""
    found: list[dict[str, Any]] = []
    for first, second in combinations(models, 2):
        tables = differences(first, second)
        if all(len(table) for table in tables):
            apart = asdict(weighted_mean(tables, weights, seed=seed))
            p = sign_flip_test(tables, weights, seed=seed)
            found.append({"first": first, "second": second, **apart, "p": p, "items": sum(map(len, tables))})
    return found


def _differences(one: Measured, first: str, second: str) -> NDArray[np.float64]:
    both = zip(one.scores[first], one.scores[second], strict=True)
    return np.array([a - b for a, b in both if a is not None and b is not None], np.float64)


def _known(scores: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([score for score in scores if score is not None], np.float64)
