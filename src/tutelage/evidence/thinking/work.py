"""Jobs of the study: train an arm, have it answer the questions, and exchange the thoughts of one that is probed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.codec import HFCodec, Tokenizer
from tutelage.evidence.thinking.settings import ThinkingSetting
from tutelage.judges import ExactMatch
from tutelage.policy import Policy
from tutelage.protocols import Resources, Sampler
from tutelage.run import Run
from tutelage.sampler import InProcessSampler
from tutelage.stream import ThoughtStream
from tutelage.study import Train
from tutelage.thinking.probing import KINDS, Probe, TooFewThoughts
from tutelage.weights import Pretrained, load_model
from tutelage.worlds.steps import TAGS, StepsStream, answer

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
        probe = Probe(2 * world.thought_length, world.result_length, TAGS, generic=" a 0 b 0 c 0")
        try:
            return {**probe.match(sampler, codec, judge, chunks, self.run.seed)}
        except TooFewThoughts:  # not defined, which the report says
            return {kind: np.array([np.nan]) for kind in KINDS}


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
