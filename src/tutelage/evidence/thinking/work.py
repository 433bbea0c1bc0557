"""Jobs of the study: train an arm, have it answer the questions, and exchange the thoughts of one that is probed."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.codec import HFCodec, Tokenizer
from tutelage.evidence.thinking.settings import ThinkingSetting
from tutelage.judges import ExactMatch
from tutelage.phases import TrainedTokens
from tutelage.policy import Policy
from tutelage.protocols import Resources, Sampler
from tutelage.run import Run
from tutelage.sampler import InProcessSampler
from tutelage.stream import ThoughtStream
from tutelage.study import Train
from tutelage.thinking.probing import KINDS, Probe, TooFewThoughts
from tutelage.trackers import read_metrics
from tutelage.weights import Pretrained, load_model
from tutelage.worlds.steps import TAGS, StepsStream, StepsWorld, answer

KEPT = ("hf", "metrics.jsonl", "run.yaml", "done.json", "fingerprints.json", "answers.npz", "probe.npz")


@dataclass(frozen=True, slots=True)
class TrainAndAnswer:
    """Train one run, answer the test questions, and keep weights, metrics and what came of it."""

    run: Run
    setting: ThinkingSetting
    probed: bool = False
    """Whether to exchange thoughts, too."""

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on."""
        if not Train(self.run).execute(directory, study):
            return False
        codec = Tokenizer(self.run.tokenizer.path).build()
        model = load_model(Pretrained(str(directory / "hf")), codec, seed=0, device=torch.device("cpu"))
        sampler = InProcessSampler(Policy(model.requires_grad_(False)), eos=codec.eos)
        _save(directory / "answers.npz", self._answers(codec, sampler))
        if self.probed:
            _save(directory / "probe.npz", self._probe(codec, sampler, directory))
        for path in directory.iterdir():
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return True

    def _answers(self, codec: HFCodec, sampler: Sampler) -> dict[str, NDArray[Any]]:
        world = self.setting.world
        found = answer(world, codec, sampler, world.problems("test", self.setting.questions), seed=self.run.seed)
        return {"right": found.right, "thought": found.thought}

    def _probe(self, codec: HFCodec, sampler: Sampler, directory: Path) -> dict[str, NDArray[Any]]:
        """On documents of the validation split, which no policy was trained on."""
        world = self.setting.world
        stream = ThoughtStream(
            StepsStream(world, self.setting.teacher),
            "rl",
            TAGS,
            after=world.result_length,
            thought_length=2 * world.thought_length,
            max_length=4 * world.text_length,
        ).build(self.run.seed, codec, "validation")
        chunks, _ = stream.read(stream.start(), self.setting.probed)
        judge = ExactMatch(world.result_length, TAGS).build(
            Resources(self.run.seed, codec, sampler, world.result_length, directory)
        )
        probe = Probe(2 * world.thought_length, world.result_length, TAGS, generic=names_alone(world))
        try:
            return {**probe.match(sampler, codec, judge, chunks, self.run.seed)}
        except TooFewThoughts:  # not defined, which the report says
            return {kind: np.array([np.nan]) for kind in KINDS}


@dataclass(frozen=True, slots=True)
class AsCostly:
    """As ``TrainAndAnswer``, for as many tokens as take the operations that another arm took."""

    run: Run
    """Of one phase; where that ends is replaced."""
    setting: ThinkingSetting
    other: str
    """The metrics of the other arm."""

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on."""
        until = TrainedTokens(costs(self.setting, read_metrics(Path(self.other))))
        (phase,) = self.run.phases
        run = replace(self.run, phases=(replace(phase, until=until),))
        return TrainAndAnswer(run, self.setting).execute(directory, study)


def costs(setting: ThinkingSetting, rows: Sequence[Mapping[str, float]]) -> int:
    """Supervised tokens that take the operations of a run with these metrics.

    A token takes F forward and 3 F with its backward pass: what was sampled, learnt from or not, counts a third.
    """
    trained = sum(row.get("tokens/trained", 0.0) for row in rows)
    updates = sum(row.get("tokens/sampled", 0.0) > 0 for row in rows)
    return round(trained + updates * setting.sampled_a_step / 3)


def names_alone(world: StepsWorld) -> str:
    """A thought that fits every chain and says nothing of any: names that all of them have, without a value."""
    return "".join(f" {name}" for name in ascii_lowercase[: world.fewest + 1])


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)  # pyright: ignore[reportArgumentType]
    os.replace(part, path)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """What a job left.

    Raises:
        ValueError: nothing is there.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: the report needs this job to be finished")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
