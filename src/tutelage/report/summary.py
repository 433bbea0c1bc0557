"""``summary.json`` of the proving ground: every number of the report, and what is needed to draw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.report.answers import Sheet
from tutelage.report.bars import CONTROL, bars
from tutelage.report.estimates import Draws, Estimate, plain
from tutelage.report.history import History, curves, metric_names, spending, wins_by_source
from tutelage.report.measures import Measured, by_seed, ceiling_shares, drift, gains, measured, tabled

CURVES = ("loss/ntp", "loss/nll", "policy/entropy", "policy/kl", "pool/tie", "pool/score_spread", "dpo/margin")
"""Training curves that are kept, besides the judge's scores of rollouts."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """One arm: its runs, one a seed."""

    sheets: Sequence[Sheet]
    histories: Sequence[History]


def summarise(
    seeds: tuple[int, ...],
    draws: Draws,
    arms: Mapping[str, Trained],
    yardsticks: Mapping[str, Sheet],
) -> dict[str, Any]:
    """Arms, gains, bars and yardsticks.

    Args:
        seeds: of the runs.
        draws: of seeds and prefixes.
        arms: ``base`` and the arms by name, each with one run a seed.
        yardsticks: what is no policy but may be measured on the same prefixes.
    """
    rivals = {"win_rate": arms["base"].sheets}
    if CONTROL in arms:
        rivals["win_rate_vs_ntp"] = arms[CONTROL].sheets
    estimates = {name: measured(draws, arm.sheets, rivals) for name, arm in arms.items()}
    still = {name: measured(draws, [sheet] * len(seeds), rivals) for name, sheet in yardsticks.items()}
    return {
        "seeds": list(seeds),
        "arms": {name: _entry(draws, arm, estimates[name], rivals) for name, arm in arms.items()},
        "gain": {name: _gain(estimates, name) for name in arms if name != "base"},
        "yardsticks": {name: tabled(figures) for name, figures in still.items()},
        "bars": [bar.plain() for bar in bars(estimates)],
    }


def summarise_scratch(draws: Draws, arms: Mapping[str, Trained], base: Sheet, control: Sheet) -> dict[str, Any]:
    """Runs from scratch, one seed; wins against that seed's base, and against the control from scratch."""
    rivals = {"win_rate": [base], "win_rate_vs_ntp": [control]}
    return {name: _entry(draws, arm, measured(draws, arm.sheets, rivals), rivals) for name, arm in arms.items()}


def _entry(draws: Draws, arm: Trained, estimates: Measured, rivals: Mapping[str, Sequence[Sheet]]) -> dict[str, Any]:
    each = by_seed(draws, arm.sheets, rivals)
    scores = metric_names(arm.histories, "score/")
    return {
        **tabled(estimates),
        **spending(arm.histories).plain(),
        "by_seed": {name: [_number(figures[name]) for figures in each] for name in estimates},
        "wins_by_source": wins_by_source(arm.histories),
        "curves": curves(arm.histories, (*CURVES, *(n for n in scores if n.endswith("/rollout")))),
    }


def _gain(estimates: Mapping[str, Measured], name: str) -> dict[str, Any]:
    arm, found = estimates[name], {}
    found["vs_base"] = _gains(gains(arm, estimates["base"], "win_rate"))
    if CONTROL in estimates:
        found["vs_ntp"] = _gains(gains(arm, estimates[CONTROL], "win_rate_vs_ntp"))
        found["drift"] = _plain(drift(arm, estimates[CONTROL]))
        found["ceiling_share"] = _plain(ceiling_shares(arm, estimates[CONTROL]))
    return found


def _gains(found: Measured) -> dict[str, Any]:
    """Relative gains have no bounds, win rates have."""
    return _plain(found) | tabled({name: value for name, value in found.items() if name.startswith("win_rate")})


def _plain(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: plain(estimate) for name, estimate in estimates.items()}


def _number(estimate: Estimate) -> float | None:
    value = float(estimate[0])
    return value if value == value else None
