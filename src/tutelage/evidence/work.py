"""Jobs of the study: train an arm and write to the fixed prefixes; write once more, decoded otherwise."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.codec import Tokenizer
from tutelage.collate import collate
from tutelage.policy import Policy
from tutelage.ranks import from_environment
from tutelage.report.answers import Answers, Prefixes, answers, read_answers, write_answers
from tutelage.report.decoding import Decoding, decode
from tutelage.run import Run
from tutelage.study import Train
from tutelage.types import Chunk, Group, Row, Segment, Tokens
from tutelage.weights import Pretrained, load_model
from tutelage.worlds.facts import FactsWorld, score_all

NATURAL, UNSAFE, CLEAN = 400, 200, 200
"""Evaluation prefixes, the same for all arms and seeds."""
KEPT = ("hf", "metrics.jsonl", "run.yaml", "done.json", "answers.npz", "liked.npy", "fingerprints.json")


def prefixes(world: FactsWorld) -> Prefixes:
    """The evaluation set."""
    return Prefixes.of(world, NATURAL, UNSAFE, CLEAN)


@dataclass(frozen=True, slots=True)
class TrainAndMeasure:
    """Train one run, write to the fixed prefixes, and keep weights, metrics and what was written."""

    run: Run
    world: FactsWorld
    reader: str | None = None
    """Folder of a language model that says how likely each continuation is; none asks nobody."""

    def execute(self, directory: Path, study: Path) -> bool:
        """False if asked to stop; a later call goes on."""
        if not Train(self.run).execute(directory, study):
            return False
        if from_environment().rank:
            return True
        measured(self, directory)
        for path in directory.iterdir():  # hundreds of runs: their checkpoints would fill a disk
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return True


def measured(work: TrainAndMeasure, directory: Path) -> None:
    """Write what the policy wrote into ``directory``, and how likely the reader finds it."""
    found = answers(
        directory / "hf",
        work.run.tokenizer.path,
        work.world,
        prefixes(work.world),
        seed=work.run.seed,
        keep=directory / "answers.npz",
    )
    keep_liking(work.reader, work.run.tokenizer.path, work.world, found, directory)


@dataclass(frozen=True, slots=True)
class Measured:
    """The weights of another job, decoded otherwise."""

    model: str
    tokenizer: str
    world: FactsWorld
    seed: int
    decoding: Decoding
    reader: str | None = None
    """As in ``TrainAndMeasure``."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Write to the fixed prefixes."""
        asked = prefixes(self.world)
        chunks = (*asked.natural, *asked.unsafe)
        written = decode(
            Path(self.model),
            self.tokenizer,
            chunks,
            self.decoding,
            seed=self.seed,
            suffix_length=self.world.suffix_length,
            scorer=self._score if self.decoding.best_of > 1 else None,
        )
        natural = len(asked.natural)
        nothing = np.full((len(asked.clean), 2), np.nan)
        found = Answers(written[:natural], written[natural:], nothing)
        write_answers(directory / "answers.npz", "", found)
        keep_liking(self.reader, self.tokenizer, self.world, found, directory)
        return True

    def _score(self, chunks: Sequence[Chunk], written: Sequence[Tokens]) -> list[float]:
        """The judge's own total: best-of-n may use what the training used."""
        return [score_all(self.world, c, [text])[0].total for c, text in zip(chunks, written, strict=True)]


def keep_liking(reader: str | None, tokenizer: str, world: FactsWorld, found: Answers, directory: Path) -> None:
    """Write ``liked.npy``: mean log-probability of every continuation, nats a token; NaN for an empty one."""
    if reader is None:
        return
    asked = prefixes(world)
    codec = Tokenizer(tokenizer).build()
    policy = Policy(load_model(Pretrained(reader), codec, seed=0, device=torch.device("cpu")).requires_grad_(False))
    chunks, written = (*asked.natural, *asked.unsafe), (*found.natural, *found.unsafe)
    part = directory / "liked.part.npy"
    np.save(part, mean_logprobs(policy, chunks, written), allow_pickle=False)
    os.replace(part, directory / "liked.npy")


@torch.no_grad()
def mean_logprobs(policy: Policy, chunks: tuple[Chunk, ...], written: tuple[Tokens, ...]) -> NDArray[np.float64]:
    """Mean log-probability a token of each continuation behind its prefix, in nats."""
    liked = np.full(len(chunks), np.nan)
    asked = [i for i, text in enumerate(written) if len(text)]
    groups = [Group((Row((Segment(chunks[i].prefix), Segment(written[i], trained=True))),)) for i in asked]
    for batch in collate(groups, max_tokens=16_384, layout=policy.layout, tree_limit=policy.tree_limit):
        found = policy.score(batch).logprobs.double().cpu().numpy()
        rows = batch.row.numpy()
        means = np.bincount(rows, weights=found, minlength=batch.num_rows) / np.bincount(rows, minlength=batch.num_rows)
        for number, mean in zip(batch.items, means.tolist(), strict=True):
            liked[asked[number]] = mean
    return liked


def kept(directory: Path) -> tuple[Answers, NDArray[np.float64] | None]:
    """What a job of this module left.

    Raises:
        ValueError: nothing is there.
    """
    found = read_answers(directory / "answers.npz")
    if found is None:
        raise ValueError(f"{directory / 'answers.npz'} is missing or torn: the report needs this job to be finished")
    path = directory / "liked.npy"
    return found, np.load(path, allow_pickle=False) if path.is_file() else None
