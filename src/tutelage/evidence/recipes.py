"""The search for a better recipe: variations on online DPO at equal compute, in corners of the map."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.evidence.arms import Arm, Book, base
from tutelage.evidence.better import ABLATED, BEST, CELLS, CONTROL, START, TUNED, WITHOUT, better
from tutelage.evidence.costs import ALL_PAIRS, equal_compute_tokens
from tutelage.evidence.figures import Figures
from tutelage.evidence.settings import Method, Setting
from tutelage.evidence.tuning import MOST_NLL, SHOWN
from tutelage.objectives import RFNLL, SFT, Objective, OnlineDPO
from tutelage.phases import Phase, TrainedTokens
from tutelage.record import write_atomically
from tutelage.schedules import Adaptive, KnockOut, Schedule
from tutelage.sources import SuffixSource
from tutelage.worlds.facts import FactsJudge

CORNERS = ((0, 0), (50, 30))
"""Rewriter error and judge noise, in percent, of the cells that trials are made in."""


@dataclass(frozen=True, slots=True)
class Variation:
    """Online DPO with something changed, at the compute of the tuned one: of the policy, or ``total``."""

    ntp_weight: float = 0.5
    rollouts: int = 8
    schedule: Schedule = ALL_PAIRS
    """Of the judge's comparisons."""
    total: bool = False
    """Whether the teachers count: who asks them less makes more updates."""
    warm_up: Objective | None = None
    """Learnt first, from suffix and rewrite alone."""
    warm_share: float = 0.2
    """Of the compute, on that."""


RF_NLL_FIRST = RFNLL(ntp_weight=0.3)
TRIED: Mapping[str, Variation] = {
    "as_tuned": Variation(),
    "light_anchor": Variation(ntp_weight=0.2),
    "large_pool": Variation(rollouts=16),
    "warm_sft": Variation(warm_up=SFT("rewrite", ntp_weight=0.3)),
    "warm_rf_nll": Variation(warm_up=RF_NLL_FIRST),
    "warm_light": Variation(warm_up=RF_NLL_FIRST, ntp_weight=0.2),
    "large_light": Variation(rollouts=16, ntp_weight=0.2),
    "larger_light": Variation(rollouts=32, ntp_weight=0.2),
}
"""At the policy's compute. Each changes one thing, the last three two; the last two came after a look at the others.

Other references, no NLL term and smaller pools were worse already (X2, X3, S6); smaller steps when the demo's settings
were chosen (docs/log.md).
"""
TRIED_IN_ALL: Mapping[str, Variation] = {
    "knock_out": Variation(schedule=KnockOut(), total=True),
    "adaptive": Variation(schedule=Adaptive(budget=0.3), total=True),
    "knock_out_light": Variation(schedule=KnockOut(), total=True, ntp_weight=0.2),
    "knock_out_large": Variation(schedule=KnockOut(), total=True, rollouts=16),
    "knock_out_large_light": Variation(schedule=KnockOut(), total=True, rollouts=16, ntp_weight=0.2),
    "knock_out_small": Variation(schedule=KnockOut(), total=True, rollouts=4),
    "knock_out_small_light": Variation(schedule=KnockOut(), total=True, rollouts=4, ntp_weight=0.2),
    "small": Variation(total=True, rollouts=4),
    "small_light": Variation(total=True, rollouts=4, ntp_weight=0.2),
}
"""At the compute of all, with ``as_tuned`` and ``light_anchor``, which cost that too.

The last three were tried after a look at the others. Of ten candidates ``adaptive`` asks as many questions
as ``knock_out``, and the same ones.
"""
TRIED_AT_ALL: Mapping[str, Variation] = {**TRIED, **TRIED_IN_ALL}
AT_TOTAL = ("as_tuned", "light_anchor", *TRIED_IN_ALL)


def varied(book: Book, name: str, variation: Variation, noise: float) -> Arm:
    """A variation as an arm that continues the base."""
    s = book.setting
    judges = (FactsJudge(s.world, schedule=variation.schedule, noise=noise),)
    assert isinstance(s.online_dpo.objective, OnlineDPO)
    objective = replace(s.online_dpo.objective, ntp_weight=variation.ntp_weight)
    method = replace(s.online_dpo, objective=objective)
    warm, share = _warm(book, variation, judges)
    until = equal_compute_tokens(
        s,
        objective,
        teachers=variation.total,
        rollouts=variation.rollouts,
        schedule=variation.schedule,
        share=1.0 - share,
    )
    phase = book.phase(method, TrainedTokens(until), book.pool(variation.rollouts), judges)
    return Arm(name, (*warm, phase), book.corpus("continued"), effort=until / 8e3)


def _warm(book: Book, variation: Variation, judges: tuple[FactsJudge, ...]) -> tuple[tuple[Phase, ...], float]:
    """The phase before, with its share of the compute; none where there is no warm-up."""
    s = book.setting
    match variation.warm_up:
        case None:
            return (), 0.0
        case SFT() as first:
            sources, judges, rate = (book.rewrite(),), (), s.sft.learning_rate
        case first:
            sources, rate = (SuffixSource(), book.rewrite()), s.rf_nll.learning_rate
    until = equal_compute_tokens(s, first, rollouts=0, share=variation.warm_share)
    return (book.phase(Method(first, rate), TrainedTokens(until), sources, judges),), variation.warm_share


def recipe_trials(setting: Setting, tried: Mapping[str, Variation] = TRIED_AT_ALL) -> Iterator[Arm]:
    """Every variation in every corner, and the rivals of the map at equal compute: ``try-NAME-eERROR-nNOISE``."""
    for error, noise in CORNERS:
        book = Book(replace(setting, rewriter_error=error / 100))
        for name, variation in tried.items():
            arm = varied(book, f"try-{name}-e{error}-n{noise}", variation, noise / 100)
            yield replace(arm, stream=book.corpus("tuning"))
        for name, method in (("sft", setting.sft), ("rf_nll", setting.rf_nll)):
            sources = (book.rewrite(),) if name == "sft" else book.pool()
            judges = () if name == "sft" else (FactsJudge(setting.world, noise=noise / 100),)
            until = TrainedTokens(equal_compute_tokens(setting, method.objective))
            arm = book.arm(f"try-{name}-e{error}-n{noise}", method, sources, judges, until=until)
            yield replace(arm, stream=book.corpus("tuning"))


def better_arms(book: Book) -> Iterator[Arm]:
    """The better recipe, the tuned one, and the better without each of its changes, in cells of the map."""
    yield replace(base(book), name=START)
    yield replace(book.arm(CONTROL, book.setting.ntp, effort=9), start=START)
    for name, cells in ((BEST, CELLS), (TUNED, CELLS), *((name, ABLATED) for name in WITHOUT.values())):
        for error, noise in cells:
            cell = Book(replace(book.setting, rewriter_error=error / 100))
            arm = varied(cell, better(name, error, noise), TRIED_AT_ALL[name], noise / 100)
            yield replace(arm, start=START)


@dataclass(frozen=True, slots=True)
class RecipeReport:
    """Writes ``STUDY/recipes.json``: figures of every variation by corner and in the mean; the best at either cost.

    Best is the highest score, mean over corners, among those whose loss on clean text stays within ``MOST_NLL`` of the
    least of all.
    """

    setting: Setting
    names: tuple[str, ...]
    seeds: tuple[int, ...]

    def execute(self, directory: Path, study: Path) -> bool:
        """Measure, choose, write."""
        cells = {name: [f"try-{name}-e{error}-n{noise}" for error, noise in CORNERS] for name in self.names}
        arms = [arm for own in cells.values() for arm in own]
        figures = Figures.of(self.setting.world, study, dict.fromkeys(arms, self.seeds))
        rows = {arm: figures.tabled(arm, SHOWN) for arm in arms}
        means = {name: {what: _mean([rows[arm][what] for arm in own]) for what in SHOWN} for name, own in cells.items()}
        least = min(row["clean_nll"] for row in means.values())
        fit = [name for name, row in means.items() if row["clean_nll"] <= MOST_NLL * least]
        best = {
            kind: max((name for name in fit if name in names), key=lambda name: means[name]["score_pooled"])
            for kind, names in (("best", [*TRIED, "sft", "rf_nll"]), ("best_at_total", AT_TOTAL))
        }
        found = {
            "rule": self.__doc__,
            "seeds": self.seeds,
            "at_total": AT_TOTAL,
            "corners": rows,
            "means": means,
        } | best
        write_atomically(study / "recipes.json", (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
        return True


def _mean(cells: Sequence[Mapping[str, float | None]]) -> float:
    values = [cell["mean"] for cell in cells]
    return math.nan if None in values else sum(value for value in values if value is not None) / len(values)
