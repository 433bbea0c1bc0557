"""What a trained policy writes to the fixed evaluation prefixes, kept so that a second report costs nothing."""

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage import rng
from tutelage.codec import Tokenizer
from tutelage.evaluate import document_losses
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Chunk, Tokens
from tutelage.weights import Pretrained, load_model
from tutelage.worlds.facts import FactsMeasures, FactsWorld, measure

ROWS = 600
"""Continuations sampled at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """The evaluation set: the same for every seed and every arm."""

    natural: tuple[Chunk, ...]
    unsafe: tuple[Chunk, ...]
    clean: tuple[Chunk, ...]
    """Text without corruption, of which only the likelihood is taken."""

    @classmethod
    def of(cls, world: FactsWorld, natural: int, unsafe: int, clean: int) -> "Prefixes":
        """The first so many of the world's own evaluation set."""
        return cls(
            world.evaluation_chunks("natural", natural),
            world.evaluation_chunks("unsafe", unsafe),
            world.evaluation_chunks("clean", clean),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One policy's continuation of every prefix, and its losses on clean text."""

    natural: tuple[Tokens, ...]
    unsafe: tuple[Tokens, ...]
    clean: NDArray[np.float64]
    """Nats and tokens of every clean chunk, shape ``(clean, 2)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Answers as the ground truth counts them."""

    natural: FactsMeasures
    unsafe: FactsMeasures
    clean: NDArray[np.float64]
    """As in ``Answers``."""


def sheet(world: FactsWorld, prefixes: Prefixes, answers: Answers) -> Sheet:
    """Measure every continuation."""
    natural = measure(world, prefixes.natural, answers.natural)
    return Sheet(natural, measure(world, prefixes.unsafe, answers.unsafe), answers.clean)


def answers(
    model: Path, tokenizer: str, world: FactsWorld, prefixes: Prefixes, *, seed: int, keep: Path | None = None
) -> Answers:
    """One continuation a prefix at T = 1, its draw keyed by seed and prefix: arms of a seed share their luck.

    Args:
        model: folder of the policy.
        tokenizer: folder of its tokenizer.
        world: of which its prefixes are.
        prefixes: what to continue.
        seed: the run's.
        keep: file that keeps the result; read back where model, world and prefixes are the same.
    """
    digest = _digest(model, repr((world, seed, len(prefixes.natural), len(prefixes.unsafe), len(prefixes.clean))))
    kept = None if keep is None else read_answers(keep, digest)
    if kept is not None:
        return kept
    found = _answer(model, tokenizer, world, prefixes, seed)
    if keep is not None:
        write_answers(keep, digest, found)
    return found


def _answer(model: Path, tokenizer: str, world: FactsWorld, prefixes: Prefixes, seed: int) -> Answers:
    codec = Tokenizer(tokenizer).build()
    policy = Policy(load_model(Pretrained(str(model)), codec, seed=0, device=torch.device("cpu")))
    sampler = InProcessSampler(policy, eos=codec.eos, max_rows=ROWS)
    chunks = (*prefixes.natural, *prefixes.unsafe)
    requests = [
        SampleRequest(chunk.prefix, (rng.seed(seed, "report", *chunk.key),), world.suffix_length) for chunk in chunks
    ]
    written = tuple(sampled[0].tokens for sampled in sampler.sample(requests))
    losses = document_losses(policy, prefixes.clean)
    natural = len(prefixes.natural)
    return Answers(written[:natural], written[natural:], np.array(losses, np.float64).reshape(-1, 2))


def _digest(model: Path, settings: str) -> str:
    digest = blake2b(settings.encode(), digest_size=16)
    for path in sorted(model.glob("*.safetensors")) + sorted(model.glob("*.json")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def write_answers(path: Path, digest: str, found: Answers) -> None:
    """Keep answers in a file, whole or not at all; ``digest`` says what they are answers of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    arrays = {"digest": np.array(digest), "clean": found.clean}
    for name, written in (("natural", found.natural), ("unsafe", found.unsafe)):
        arrays[name] = Tokens.join(written).array
        arrays[f"{name}_lengths"] = np.array([len(tokens) for tokens in written], np.int64)
    np.savez(partial, allow_pickle=False, **arrays)
    os.replace(partial, path)


def read_answers(path: Path, digest: str | None = None) -> Answers | None:
    """What is kept, under this digest if one is given; ``None`` where there is nothing, another's, or a torn file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if digest is not None and str(file["digest"]) != digest:
                return None
            natural = _split(file["natural"], file["natural_lengths"])
            return Answers(natural, _split(file["unsafe"], file["unsafe_lengths"]), file["clean"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _split(ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> tuple[Tokens, ...]:
    ends = np.cumsum(lengths).tolist()
    starts: Sequence[int] = [0, *ends[:-1]]
    return tuple(Tokens(ids[start:end]) for start, end in zip(starts, ends, strict=True))
