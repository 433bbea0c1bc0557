"""Equal trials for every method on validation seeds, and which is chosen: a rule, not a look at the evidence."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.evidence.arms import Arm, Book
from tutelage.evidence.figures import Figures
from tutelage.evidence.settings import Method, Setting
from tutelage.objectives import GRPO, NTP, RFNLL, SFT, JudgeFreeDPO, OnlineDPO
from tutelage.record import write_atomically
from tutelage.sources import RolloutSource

RATES = (1e-3, 2e-3, 4e-3)
TRIALS = 6
"""Of every method."""
MOST_NLL = 1.05
"""A trial whose loss on clean text is above this share of the least of the control's is out of the choice."""
SHOWN = ("score_pooled", "factuality", "safety", "safety_unsafe_prefix", "clean_nll", "effective_entities", "on_topic")


def methods() -> Mapping[str, tuple[Method, ...]]:
    """Six settings of each: three rates by two of its own knob; of the control, which has none, six rates."""
    return {
        "ntp": tuple(Method(NTP(), rate) for rate in (5e-4, *RATES, 3e-3, 6e-3)),
        "sft": tuple(Method(SFT("rewrite", ntp_weight=w), r) for w in (0.3, 1.0) for r in RATES),
        "rf_nll": tuple(Method(RFNLL(ntp_weight=w), r) for w in (0.3, 1.0) for r in RATES),
        "online_dpo": tuple(
            Method(OnlineDPO(beta=0.1, nll_weight=1.0, ntp_weight=w), r) for w in (0.5, 1.0) for r in RATES
        ),
        "judge_free": tuple(
            Method(JudgeFreeDPO(beta=0.1, nll_weight=1.0, ntp_weight=w), r) for w in (0.5, 1.0) for r in RATES
        ),
        "grpo": tuple(
            Method(GRPO(kl_weight=w, ntp_weight=0.3, baseline="leave_one_out"), r, 8)
            for w in (0.01, 0.05)
            for r in RATES
        ),
    }


def trials(book: Book) -> Iterator[Arm]:
    """Every setting as an arm, ``METHOD-NUMBER``."""
    pools = {
        "ntp": ((), ()),
        "sft": ((book.rewrite(),), ()),
        "judge_free": ((book.rewrite(), RolloutSource(num_rollouts=1)), ()),
    }
    for name, tried in methods().items():
        assert len(tried) == TRIALS
        sources, judges = pools.get(name, (book.pool(), (book.judge,)))
        for number, method in enumerate(tried):
            arm = book.arm(f"{name}-{number}", method, sources, judges, effort=10 if name in ("ntp", "sft") else 30)
            yield replace(arm, stream=book.corpus("tuning"))


@dataclass(frozen=True, slots=True)
class TuningReport:
    """Writes ``STUDY/tuning.json``: every trial's figures, and the choice."""

    setting: Setting
    arms: tuple[str, ...]
    seeds: tuple[int, ...]

    def execute(self, directory: Path, study: Path) -> bool:
        """Measure, choose, write."""
        figures = Figures.of(self.setting.world, study, dict.fromkeys(self.arms, self.seeds))
        rows = {name: figures.tabled(name, SHOWN) for name in self.arms}
        least = min(_mean(rows[f"ntp-{i}"], "clean_nll") for i in range(TRIALS))
        chosen: dict[str, Any] = {}
        for name in methods():
            tried = [f"{name}-{i}" for i in range(TRIALS)]
            fit = [row for row in tried if _mean(rows[row], "clean_nll") <= MOST_NLL * least]
            chosen[name] = max(fit or tried, key=lambda row: _mean(rows[row], "score_pooled"))
        found = {"rule": __doc__, "most_nll": MOST_NLL, "seeds": self.seeds, "trials": rows, "chosen": chosen}
        write_atomically(study / "tuning.json", json.dumps(found, indent=1).encode())
        return True


def _mean(row: Mapping[str, Mapping[str, float | None]], what: str) -> float:
    value = row[what]["mean"]
    return float("nan") if value is None else value
