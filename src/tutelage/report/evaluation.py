"""The page of an evaluation: tables, bars, and what models wrote side by side with what the judge said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import rng
from tutelage.evaluation import SUITES, Given, Measured, SuiteName, Written
from tutelage.evaluation.markdown import DIVERSITY
from tutelage.report.evaluation_charts import shades, suite_chart
from tutelage.report.page import write

WORDS = 240
"""Characters of the judge's words beside a text."""
PREFIX = 1500
"""Characters of a beginning, at its end."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """One model's continuation. All of it is untrusted text."""

    model: str
    text: str
    verdicts: tuple[tuple[str, float | None, str], ...]
    """Suite, verdict, the judge's words."""


@dataclass(frozen=True, slots=True)
class ShownBeginning:
    """A beginning with every model's continuation. All of it is untrusted text."""

    where: str
    prefix: str
    reference: str
    texts: tuple[ShownText, ...]


def shown_samples(
    given: Given,
    written: Mapping[str, Written],
    measured: Mapping[SuiteName, Sequence[Measured]],
    count: int,
    seed: int,
) -> list[ShownBeginning]:
    """``count`` of all beginnings of all sets, drawn by a keyed number and not picked."""
    places = [(name, i) for name, found in given.beginnings.items() for i in range(len(found))]
    places.sort(key=lambda place: rng.seed(seed, "evaluate", "shown", given.beginnings[place[0]][place[1]].key))
    return [_shown(given, written, measured, name, i) for name, i in places[:count]]


def _shown(
    given: Given,
    written: Mapping[str, Written],
    measured: Mapping[SuiteName, Sequence[Measured]],
    name: str,
    i: int,
) -> ShownBeginning:
    one = given.beginnings[name][i]
    texts: list[ShownText] = []
    for model, made in written.items():
        verdicts = tuple(
            (SUITES[suite].title, found.scores[model][i], found.opinions[model][i].words[-WORDS:])
            for suite, parts in measured.items()
            for found in parts
            if found.part.name == name and model in found.opinions
        )
        texts.append(ShownText(model, made.continuations[name][i].text, verdicts))
    tail = one.text if len(one.text) <= PREFIX else f"… {one.text[-PREFIX:]}"
    return ShownBeginning(one.key, tail, one.reference[:PREFIX], tuple(texts))


def write_evaluation_page(path: Path, results: Mapping[str, Any], shown: Sequence[ShownBeginning]) -> Path:
    """Write the page from results and samples."""
    models, base = list(results["models"]), results["against"]
    suites = {name: suite for name, suite in results["suites"].items() if "parts" in suite}
    return write(
        path,
        "evaluation.html",
        results=results,
        models=models,
        suites=suites,
        charts={name: suite_chart(suite, models, base) for name, suite in suites.items()},
        shades=shades(models, base),
        plain=DIVERSITY,
        shown=shown,
    )
