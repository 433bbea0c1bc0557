"""The figures of a report from what policies wrote, as estimates over seeds and prefixes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tutelage.maths.statistics import effective_number
from tutelage.report.answers import Sheet
from tutelage.report.estimates import Draws, Estimate, centred, plain, ratio
from tutelage.worlds.facts import FactsMeasures

UNSAFE_SHARE = 1 / 3
"""Of the prefixes that a pooled win rate is about: natural and unsafe ones stand 2 : 1, whatever was sampled."""

COLUMNS = (
    *("stated", "right", "new", "safe", "sentences", "sound", "repeated", "on_topic", "length", "ended"),
    *("factuality_score", "quality", "score"),
)

SHARES = ("factuality", "safety", "well_formed", "repetition", "on_topic", "ended")
WINS = ("win_rate", "other_win_rate", "quality_win_rate")
"""How the names of win rates begin."""

Measured = Mapping[str, Estimate]
"""Estimates by the names that ``summary.json`` gives them."""


def measured(draws: Draws, sheets: Sequence[Sheet], rivals: Mapping[str, Sequence[Sheet]]) -> dict[str, Estimate]:
    """All figures of one arm, averaged over its seeds.

    Args:
        draws: of seeds and items.
        sheets: one a seed.
        rivals: name of a win rate → whom it is won against, one a seed. Each name gives three figures: pooled,
            ``NAME_natural`` and ``NAME_unsafe``.
    """
    each = by_seed(draws, sheets, rivals)
    return {name: draws.average([figures[name] for figures in each]) for name in each[0]}


def by_seed(draws: Draws, sheets: Sequence[Sheet], rivals: Mapping[str, Sequence[Sheet]]) -> list[dict[str, Estimate]]:
    """The figures of every seed; resampled over items only."""
    return [
        _figures(draws, ours) | _wins(draws, ours, {name: theirs[i] for name, theirs in rivals.items()})
        for i, ours in enumerate(sheets)
    ]


def _figures(draws: Draws, sheet: Sheet) -> dict[str, Estimate]:
    natural = _means(draws, "natural", sheet.natural)
    unsafe = _means(draws, "unsafe", sheet.unsafe)
    clean = draws.means("clean", sheet.clean)
    return {
        "factuality": ratio(natural["right"], natural["stated"]),
        "factuality_unsafe_prefix": ratio(unsafe["right"], unsafe["stated"]),
        "factuality_score": natural["factuality_score"],
        "factuality_score_unsafe_prefix": unsafe["factuality_score"],
        "facts_stated": natural["new"],
        "safety": natural["safe"],
        "safety_unsafe_prefix": unsafe["safe"],
        "quality": natural["quality"],
        "quality_unsafe_prefix": unsafe["quality"],
        "well_formed": ratio(natural["sound"], natural["sentences"]),
        "repetition": ratio(natural["repeated"], natural["sentences"]),
        "on_topic": ratio(natural["on_topic"], natural["sound"]),
        "effective_entities": centred(effective_number(draws.means("natural", sheet.natural.people))),
        "clean_nll": ratio(clean[:, 0], clean[:, 1]),
        "length": natural["length"],
        "ended": natural["ended"],
        "score": natural["score"],
    }


def _means(draws: Draws, stratum: str, measures: FactsMeasures) -> dict[str, Estimate]:
    table = np.stack([getattr(measures, name) for name in COLUMNS], axis=1)
    means = draws.means(stratum, table)
    return {name: means[:, i] for i, name in enumerate(COLUMNS)}


def _wins(draws: Draws, ours: Sheet, rivals: Mapping[str, Sheet]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, theirs in rivals.items():
        natural = draws.means("natural", points(ours.natural.score, theirs.natural.score))[:, 0]
        unsafe = draws.means("unsafe", points(ours.unsafe.score, theirs.unsafe.score))[:, 0]
        found[name] = natural + UNSAFE_SHARE * (unsafe - natural)
        found[f"{name}_natural"], found[f"{name}_unsafe"] = natural, unsafe
    return found


def points(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where ours is worth more than theirs, 0.5 for a draw, 0 elsewhere; shape ``(items, 1)``."""
    lead = ours - theirs
    return np.where(np.abs(lead) < 1e-9, 0.5, (lead > 0).astype(np.float64))[:, None]


def tabled(figures: Measured) -> dict[str, dict[str, float | None]]:
    """Figures of an arm for a file; intervals of shares end where shares do."""
    return {name: plain(value, *((0.0, 1.0) if _is_share(name) else ())) for name, value in figures.items()}


def _is_share(name: str) -> bool:
    return name.removesuffix("_unsafe_prefix") in SHARES or name.startswith(WINS)


def gains(arm: Measured, against: Measured, win_rate: str) -> dict[str, Estimate]:
    """Relative gains in facts and natural safety, and how often the arm wins under the name ``win_rate``."""
    relative = {name: ratio(np.clip(arm[name], 0, 1), against[name]) - 1 for name in ("factuality", "safety")}
    return relative | {"win_rate": arm[win_rate], "win_rate_natural": arm[f"{win_rate}_natural"]}


def drift(arm: Measured, control: Measured) -> dict[str, Estimate]:
    """What must not move, against the control: ratios; the share on the topic as a difference."""
    ratios = {name: ratio(arm[name], control[name]) for name in ("clean_nll", "facts_stated", "effective_entities")}
    return ratios | {"on_topic": arm["on_topic"] - control["on_topic"]}


def ceiling_shares(arm: Measured, control: Measured) -> dict[str, Estimate]:
    """Share of what the control leaves to perfection that the arm closes: ``(arm - control) / (1 - control)``.

    Resamples that the stretching of few seeds carries beyond a share count as the end that they passed.
    """
    return {
        name: ratio(np.clip(arm[name], 0, 1) - control[name], 1 - control[name]) for name in ("factuality", "safety")
    }
