"""The search for a better recipe: variations on online DPO at equal compute, in corners of the map."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.evidence.arms import Arm, Book
from tutelage.evidence.costs import per_document
from tutelage.evidence.figures import Figures
from tutelage.evidence.settings import Method, Setting
from tutelage.evidence.tuning import MOST_NLL, SHOWN
from tutelage.objectives import RFNLL, SFT, Objective, OnlineDPO
from tutelage.phases import Phase, TrainedTokens
from tutelage.record import write_atomically
from tutelage.report.estimates import plain
from tutelage.sources import SuffixSource
from tutelage.worlds.facts import FactsJudge

CORNERS = ((0, 0), (50, 30))
"""Rewriter error and judge noise, in percent, of the cells that trials are made in."""


@dataclass(frozen=True, slots=True)
class Variation:
    """Online DPO with something changed, at the policy's compute of the tuned one; teachers free."""

    ntp_weight: float = 0.5
    rollouts: int = 8
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
}
"""Each changes one thing, the last two of them. Other references, no NLL term and smaller pools were worse already (X2,
X3, S6); smaller steps when the demo's settings were chosen (docs/log.md)."""


def tokens(setting: Setting, objective: Objective, rollouts: int, share: float = 1.0) -> TrainedTokens:
    """Trained tokens that cost ``share`` of what the tuned online DPO costs, with so many rollouts a pool."""
    hero = per_document(setting, setting.online_dpo.objective)
    ours = per_document(replace(setting, num_rollouts=rollouts), objective)
    if not rollouts:
        ours = replace(ours, sampled=0)
    budget = share * setting.tokens / hero.trained * hero.forwards(teachers=False)
    return TrainedTokens(round(budget / ours.forwards(teachers=False) * ours.trained))


def varied(book: Book, name: str, variation: Variation, noise: float) -> Arm:
    """A variation as an arm that continues the base."""
    s = book.setting
    judges = (FactsJudge(s.world, noise=noise),)
    assert isinstance(s.online_dpo.objective, OnlineDPO)
    objective = replace(s.online_dpo.objective, ntp_weight=variation.ntp_weight)
    method = replace(s.online_dpo, objective=objective)
    warm, share = _warm(book, variation, judges)
    until = tokens(s, objective, variation.rollouts, 1.0 - share)
    phase = book.phase(method, until, book.pool(variation.rollouts), judges)
    return Arm(name, (*warm, phase), book.corpus("continued"), effort=36)


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
    until = tokens(s, first, 0, variation.warm_share)
    return (book.phase(Method(first, rate), until, sources, judges),), variation.warm_share


def recipe_trials(setting: Setting, tried: Mapping[str, Variation] = TRIED) -> Iterator[Arm]:
    """Every variation in every corner, and the rivals of the map at equal compute: ``try-NAME-eERROR-nNOISE``."""
    for error, noise in CORNERS:
        book = Book(replace(setting, rewriter_error=error / 100))
        for name, variation in tried.items():
            arm = varied(book, f"try-{name}-e{error}-n{noise}", variation, noise / 100)
            yield replace(arm, stream=book.corpus("tuning"))
        for name, method in (("sft", setting.sft), ("rf_nll", setting.rf_nll)):
            sources = (book.rewrite(),) if name == "sft" else book.pool()
            judges = () if name == "sft" else (FactsJudge(setting.world, noise=noise / 100),)
            until = tokens(setting, method.objective, 0 if name == "sft" else setting.num_rollouts)
            arm = book.arm(f"try-{name}-e{error}-n{noise}", method, sources, judges, until=until)
            yield replace(arm, stream=book.corpus("tuning"))


@dataclass(frozen=True, slots=True)
class RecipeReport:
    """Writes ``STUDY/recipes.json``: every variation's figures by corner, their means, and which is best.

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
        rows = {arm: {what: plain(figures.mean(arm, what)) for what in SHOWN} for arm in arms}
        means = {name: {what: _mean([rows[arm][what] for arm in own]) for what in SHOWN} for name, own in cells.items()}
        least = min(row["clean_nll"] for row in means.values())
        fit = [name for name, row in means.items() if row["clean_nll"] <= MOST_NLL * least]
        best = max(fit, key=lambda name: means[name]["score_pooled"])
        found = {"rule": self.__doc__, "seeds": self.seeds, "corners": rows, "means": means, "best": best}
        write_atomically(study / "recipes.json", (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
        return True


def _mean(cells: Sequence[Mapping[str, float | None]]) -> float:
    values = [cell["mean"] for cell in cells]
    return math.nan if None in values else sum(value for value in values if value is not None) / len(values)
