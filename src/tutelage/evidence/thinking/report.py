"""The verdicts on T1-T5, and the figures of every arm before and after RL with verifiable reward."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.evidence.claims import Contrast
from tutelage.evidence.thinking.arms import PRACTISED, RLVR
from tutelage.evidence.thinking.claims import CLAIMS
from tutelage.evidence.thinking.settings import ThinkingSetting
from tutelage.evidence.thinking.work import read
from tutelage.evidence.verdicts import row
from tutelage.record import write_atomically
from tutelage.report.estimates import Draws, Estimate, plain
from tutelage.thinking.probing import KINDS

SHARES = ("before", "after", "thinks")
COMMAND = "tutelage train thinking --directory runs/thinking"
LEARNED = ("raw_sft", "thought_sft", PRACTISED, "compute_matched_sft", "paraphrase_sft", "rlvr_instead")
"""What ``learned.json`` tells of."""


@dataclass(frozen=True, slots=True)
class ThinkingReport:
    """Reads a study's runs; writes ``STUDY/thinking.json``, the rows.

    ``STUDY/thinking_arms.json`` has the figures of every arm, ``STUDY/learned_thinking.json`` what goes into
    ``learned.json``.
    """

    setting: ThinkingSetting
    seeds: tuple[int, ...]
    arms: tuple[str, ...]

    def execute(self, directory: Path, study: Path) -> bool:
        """Count, judge, write."""
        figures = ThinkingFigures.of(self.setting, study, self.seeds)
        names = [name for name in self.arms if not name.endswith(RLVR)]
        arms = {name: figures.plain(name) for name in names}
        probe = {kind: plain(figures.mean(kind, "match"), 0.0, 1.0) for kind in KINDS}
        augmented: Any = json.loads((study / "augment" / "augment.json").read_text("utf-8"))
        learned = {name: {f"{when}_rlvr": arms[name][when] for when in ("before", "after")} for name in LEARNED}
        rows = [row(claim, figures, COMMAND) for claim in CLAIMS]
        claims = {one["claim"]: {"verdict": one["verdict"], "why": one["why"]} for one in rows}
        _write(study / "thinking.json", rows)
        _write(study / "thinking_arms.json", {"seeds": list(self.seeds), "arms": arms, "probe": probe})
        found = {"seeds": list(self.seeds), "thinking": learned, "claims": claims, "probe": probe}
        _write(study / "learned_thinking.json", {**found, "augment": augmented})
        return True


@dataclass(frozen=True, slots=True, eq=False)
class ThinkingFigures:
    """Every figure of every arm and seed, with its resamples over seeds and questions."""

    study: Path
    seeds: tuple[int, ...]
    draws: Draws
    _cells: dict[tuple[str, str, int], Estimate] = field(default_factory=dict[tuple[str, str, int], Estimate])

    @classmethod
    def of(cls, setting: ThinkingSetting, study: Path, seeds: tuple[int, ...]) -> "ThinkingFigures":
        """Questions are the same for all arms and seeds; the documents of a probe are each seed's own."""
        probed = {f"probe-{seed}": len(_probe(study, seed)["own"]) for seed in seeds}
        return cls(study, seeds, Draws.make(len(seeds), {"questions": setting.questions} | probed))

    def contrast(self, test: Contrast) -> Estimate:
        """The weighted sum over arms, paired by seed and question."""
        each = [
            sum((weight * self.cell(arm, test.measure, seed) for arm, weight in test.weights), np.zeros(1))
            for seed in self.seeds
        ]
        return self.draws.average(each)

    def count(self, test: Contrast) -> int:
        """Seeds that a contrast is over."""
        return len(self.seeds)

    def mean(self, arm: str, measure: str) -> Estimate:
        """One figure of one arm over its seeds."""
        return self.draws.average([self.cell(arm, measure, seed) for seed in self.seeds])

    def plain(self, arm: str) -> Mapping[str, dict[str, float | None]]:
        """All figures of one arm."""
        measures = ("before", "after", "thinks", "thought_tokens", "thought_tokens_after")
        return {name: plain(self.mean(arm, name), 0.0, 1.0 if name in SHARES else math.inf) for name in measures}

    def cell(self, arm: str, measure: str, seed: int) -> Estimate:
        """One figure of one arm and seed; of the probe an arm is a kind of thought."""
        key = (arm, measure, seed)
        if key not in self._cells:
            self._cells[key] = self._cell(*key)
        return self._cells[key]

    def _cell(self, arm: str, measure: str, seed: int) -> Estimate:
        if measure == "match":
            return self.draws.means(f"probe-{seed}", _probe(self.study, seed)[arm][:, None])[:, 0]
        late = measure in ("after", "thought_tokens_after")
        found = read(self.study / f"{arm}{RLVR if late else ''}-{seed}" / "answers.npz")
        match measure:
            case "before" | "after":
                values = found["right"]
            case "thinks":
                values = found["thought"] > 0
            case _:
                values = found["thought"]
        return self.draws.means("questions", values.mean(axis=1, dtype=np.float64)[:, None])[:, 0]


def _probe(study: Path, seed: int) -> Mapping[str, Any]:
    return read(study / f"{PRACTISED}-{seed}" / "probe.npz")


def _write(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
