"""The report of the demo: every arm, every seed, measured by the ground truth on the same prefixes."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np

from tutelage import rng
from tutelage.record import write_atomically
from tutelage.report.answers import Answers, Prefixes, Sheet, answers, sheet
from tutelage.report.bars import CONTROL, HERO
from tutelage.report.estimates import Draws
from tutelage.report.history import histories
from tutelage.report.marks import Shown, marked, prefix_pieces
from tutelage.report.proving_page import write_page
from tutelage.report.summary import Trained, summarise, summarise_scratch
from tutelage.run import load_run
from tutelage.sources import RolloutSource
from tutelage.types import Chunk, Tokens
from tutelage.worlds.facts import FactsJudge, FactsRewriter, FactsWorld, honest

SHOWN = 8
"""Prefixes whose continuations are shown side by side, drawn by key from all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvingGroundReport:
    """Measures the runs ``{arm}-{seed}`` and ``base-{seed}`` of a study and writes its report.

    ``STUDY/summary.json`` holds every number, ``STUDY/report.html`` shows them; continuations are kept in the job's own
    directory, so that a second report of unchanged runs takes seconds.
    """

    world: FactsWorld
    tokenizer: str
    """Folder of the tokenizer."""
    seeds: tuple[int, ...]
    arms: tuple[str, ...] = ("ntp", "sft_rewrite", "rf_nll", "online_dpo", "grpo")
    scratch: tuple[str, ...] = ()
    """Runs from scratch, the control first: ``{name}-{scratch_seed}``."""
    scratch_seed: int = 0
    natural: int = 400
    """Evaluation prefixes as the corpus comes, the same for all seeds."""
    unsafe: int = 200
    """Evaluation prefixes that carry abuse."""
    clean: int = 200
    """Texts without corruption on which the loss is measured."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Measure, summarise, write."""
        desk = _Desk(self, directory, study, Prefixes.of(self.world, self.natural, self.unsafe, self.clean))
        arms = {name: desk.trained(name, self.seeds) for name in ("base", *self.arms)}
        items = {"natural": self.natural, "unsafe": self.unsafe, "clean": self.clean}
        summary: dict[str, Any] = summarise(
            self.seeds, Draws.make(len(self.seeds), items), arms, desk.yardsticks(arms["base"].sheets[0])
        )
        summary["from_scratch"] = desk.scratch(Draws.make(1, items)) if self.scratch else {}
        summary["setting"] = setting(study, self)
        write_atomically(study / "summary.json", json.dumps(summary, indent=1, allow_nan=False).encode())
        write_page(study / "report.html", summary, desk.shown())
        return True


@dataclass(frozen=True, slots=True)
class _Desk:
    """One report in the making."""

    spec: ProvingGroundReport
    directory: Path
    study: Path
    prefixes: Prefixes

    def answers(self, name: str, seed: int) -> Answers:
        run = f"{name}-{seed}"
        model = self.study / run / "hf"
        if not model.is_dir():
            raise ValueError(f"{model} is not there: the report needs run {run} to be finished")
        keep = self.directory / "answers" / f"{run}.npz"
        return answers(model, self.spec.tokenizer, self.spec.world, self.prefixes, seed=seed, keep=keep)

    def trained(self, name: str, seeds: tuple[int, ...]) -> Trained:
        sheets = [sheet(self.spec.world, self.prefixes, self.answers(name, seed)) for seed in seeds]
        return Trained(sheets, histories([self.study / f"{name}-{seed}" for seed in seeds]))

    def yardsticks(self, like: Sheet) -> dict[str, Sheet]:
        """The corpus's own suffixes, and an author who goes on truthfully; neither has a loss on clean text."""
        world, found = self.spec.world, dict[str, Sheet]()
        nothing = np.full_like(like.clean, np.nan)
        for name in ("corpus", "honest"):

            def write(chunk: Chunk, name: str = name) -> Tokens:
                return chunk.suffix if name == "corpus" else honest(world, chunk)

            natural, unsafe = (tuple(map(write, chunks)) for chunks in (self.prefixes.natural, self.prefixes.unsafe))
            found[name] = sheet(world, self.prefixes, Answers(natural, unsafe, nothing))
        return found

    def scratch(self, draws: Draws) -> dict[str, Any]:
        seeds = (self.spec.scratch_seed,)
        arms = {name: self.trained(name, seeds) for name in self.spec.scratch}
        base = self.trained("base", seeds).sheets[0]
        return summarise_scratch(draws, arms, base, arms[self.spec.scratch[0]].sheets[0])

    def shown(self) -> list[Shown]:
        """Prefixes drawn by key, five natural to three unsafe, with the texts of the first seed's policies."""
        seed, world = self.spec.seeds[0], self.spec.world
        names = [name for name in ("base", CONTROL, HERO) if name in ("base", *self.spec.arms)]
        texts = {name: self.answers(name, seed) for name in names}
        found: list[Shown] = []
        for kind, count in (("natural", 5), ("unsafe", SHOWN - 5)):
            chunks: tuple[Chunk, ...] = getattr(self.prefixes, kind)
            order = sorted(range(len(chunks)), key=lambda i: rng.seed("report", "shown", *chunks[i].key))
            for i in sorted(order[:count]):
                written = tuple(marked(world, chunks[i], name, getattr(texts[name], kind)[i]) for name in names)
                found.append(Shown(kind, prefix_pieces(world, chunks[i]), written))
        return found


def setting(study: Path, spec: ProvingGroundReport) -> dict[str, Any]:
    """What the runs were: from their ``run.yaml``, as far as it says so, and from this machine."""
    path = study / f"{HERO}-{spec.seeds[0]}" / "run.yaml"
    phase = load_run(path).phases[0] if path.is_file() else None
    return {
        "natural_prefixes": spec.natural,
        "unsafe_prefixes": spec.unsafe,
        "clean_texts": spec.clean,
        "interval": "95 %, bootstrap over prefixes and seeds, seeds stretched to Student's, 2000 resamples",
        "win_rate": "against the base of the same seed; win_rate_vs_ntp against the control; natural : unsafe = 2 : 1",
        "scratch_seed": spec.scratch_seed,
        "rewriter_error": next((part.error for part in _parts(phase) if isinstance(part, FactsRewriter)), None),
        "judge_noise": next((part.noise for part in _parts(phase) if isinstance(part, FactsJudge)), None),
        "num_rollouts": next((part.num_rollouts for part in _parts(phase) if isinstance(part, RolloutSource)), None),
        "documents_per_step": phase and phase.documents_per_step,
        "people": spec.world.people,
        "suffix_length": spec.world.suffix_length,
        "corruption": _fields(spec.world.corruption),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "machine": platform.machine(),
    }


def _parts(thing: Any) -> Iterator[Any]:
    """A part of a run and the parts inside it, however deep: a judge may stand in a guard."""
    yield thing
    inner: list[Any] = []
    if is_dataclass(thing):
        inner = [getattr(thing, field.name) for field in fields(thing)]
    elif isinstance(thing, tuple | list):
        inner = list(cast("tuple[Any, ...]", thing))
    for part in inner:
        yield from _parts(part)


def _fields(thing: Any) -> Mapping[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__dataclass_fields__}
