"""Every verdict of a judge that was really asked, put down: ``python -m benchmarks.recording``.

The judge is the small teacher of ``benchmarks.served_demo``, trained on the oracle's verdicts and asked in this
process; pools are like those of its demo: suffix, rewrite and rollouts of the base. About every two candidates of a
pool it is asked in both orders. ``benchmarks.recorded`` plays schedules on what it said.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.served_demo import PROMPTS, TEACHER_STEPS, WORLD, prepare
from tutelage import rng
from tutelage.chat import LocalChat
from tutelage.codec import Tokenizer
from tutelage.policy import Policy
from tutelage.prompts import code_of, fence
from tutelage.protocols import Codec, SampleRequest, TextModel
from tutelage.sampler import InProcessSampler
from tutelage.types import Absent, Abstained, Chunk, Tokens
from tutelage.weights import Pretrained, load_model
from tutelage.worlds.facts import FactsRewriter, score_all
from tutelage.worlds.facts.lessons import text_of
from tutelage.worlds.facts.rewriter import Editor
from tutelage.worlds.facts.schooling import conversation

OUT = Path(__file__).resolve().parent / "results" / "schedules" / "verdicts.npz"
POOLS, CANDIDATES = 160, 16
REWRITER_ERROR = 0.3
TOP_P = 0.6
"""As an ``Endpoint`` asks where it is told nothing else; at temperature 1."""
LOST, WON, SILENT, ALIKE = 0, 1, 2, 3
"""Of the candidate shown first: it lost, it won, no verdict could be read, both read alike and nothing was asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrices:
    """What a judge said about P pools of K candidates; ``[p, i, j]`` is of candidate i shown first and j second."""

    verdict: NDArray[np.int8]
    prompt_tokens: NDArray[np.uint16]
    answer_tokens: NDArray[np.uint8]
    truth: NDArray[np.float32]
    """The oracle's total of every candidate, 0 to 3, shape ``(P, K)``. Candidate 0 is the suffix, 1 the rewrite."""


def write(path: Path, found: Matrices) -> None:
    """Put down, packed."""
    arrays = {name: getattr(found, name) for name in Matrices.__slots__}
    np.savez_compressed(path, **arrays)


def read(path: Path = OUT) -> Matrices:
    """What was put down.

    Raises:
        ValueError: arrays are missing, or their shapes do not go together.
    """
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in Matrices.__slots__ if name not in file]
        if missing:
            raise ValueError(f"{path} holds no {missing[0]}: record it anew by python -m benchmarks.recording")
        found = Matrices(**{name: file[name] for name in Matrices.__slots__})
    pools, num = found.truth.shape
    if any(getattr(found, name).shape != (pools, num, num) for name in Matrices.__slots__ if name != "truth"):
        raise ValueError(f"{path}: its arrays are not of the same pools")
    return found


def candidates_of(base: Path, tokenizer: Path, chunks: Sequence[Chunk], num: int) -> list[list[Tokens]]:
    """Suffix, the oracle's rewrite with its errors, and rollouts of the policy in ``base``."""
    codec = Tokenizer(str(tokenizer)).build()
    policy = Policy(load_model(Pretrained(str(base)), codec, seed=0, device=torch.device("cpu")))
    draws = [tuple(rng.seed(0, "recorded", *chunk.key, k) for k in range(num - 2)) for chunk in chunks]
    asked = [SampleRequest(c.prefix, seeds, WORLD.suffix_length) for c, seeds in zip(chunks, draws, strict=True)]
    written = InProcessSampler(policy, eos=WORLD.lexicon.end).sample(asked)
    rewrites = [_text_of(one) for one in Editor(FactsRewriter(WORLD, REWRITER_ERROR), 0).rewrite(chunks)]
    return [
        [chunk.suffix, rewrite, *(sampled.tokens for sampled in rollouts)]
        for chunk, rewrite, rollouts in zip(chunks, rewrites, written, strict=True)
    ]


def _text_of(rewrite: Tokens | Absent) -> Tokens:
    assert isinstance(rewrite, Tokens)
    return rewrite


def ask(judge: TextModel, codec: Codec, chunk: Chunk, candidates: Sequence[Tokens]) -> Matrices:
    """Every two candidates of one pool, in both orders; tokens are counted by the judge's own tokenizer."""
    prefix, texts = text_of(WORLD, chunk.prefix), [text_of(WORLD, tokens) for tokens in candidates]
    code, num = fence((prefix, *texts), "recorded", *chunk.key), len(texts)
    verdict = np.full((num, num), ALIKE, np.int8)
    prompt, answer = np.zeros((num, num), np.uint16), np.zeros((num, num), np.uint8)
    pairs = [(i, j) for i in range(num) for j in range(num) if texts[i] != texts[j]]
    prompts = [PROMPTS.quality.ask(prefix, texts[i], texts[j], code=code) for i, j in pairs]
    seeds = [rng.seed(0, "recorded", *chunk.key, "verdict", i, j) for i, j in pairs]
    for (i, j), asked, said in zip(pairs, prompts, judge.answer(prompts, seeds), strict=True):
        prompt[i, j] = len(codec.encode(conversation(asked)))
        won = PROMPTS.quality.read(said, code_of(asked)) if isinstance(said, str) else Abstained(said.reason)
        verdict[i, j] = SILENT if isinstance(won, Abstained) else int(won)
        answer[i, j] = len(codec.encode(said)) + 1 if isinstance(said, str) else 0  # its end is written too
    truth = np.array([one.total for one in score_all(WORLD, chunk, candidates)], np.float32)
    return Matrices(verdict[None], prompt[None], answer[None], truth[None])


def record(directory: Path, pools: int, candidates: int, teacher_steps: int) -> Matrices:
    """Train judge and policy in ``directory`` where they are not there, and ask about everything."""
    made = prepare(directory, teacher_steps=teacher_steps)
    judge = LocalChat(str(made.teacher), top_p=TOP_P, max_batch=256, device="cpu").build()
    codec = Tokenizer(str(directory / "teacher-tokenizer")).build()
    chunks = [WORLD.cut(WORLD.document("facts-continued", f"recorded-{number}")) for number in range(pools)]
    found: list[Matrices] = []
    for number, (chunk, own) in enumerate(
        zip(chunks, candidates_of(made.policy, made.tokenizer, chunks, candidates), strict=True), start=1
    ):
        found.append(ask(judge, codec, chunk, own))
        if not number % 10:
            print(f"{number} of {pools} pools", flush=True)
    return Matrices(*(np.concatenate([getattr(one, name) for one in found]) for name in Matrices.__slots__))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--directory", type=Path, default=Path("runs/teachers/recorded"), help="of judge and policy")
    parser.add_argument("--out", type=Path, default=OUT, help="where the verdicts go")
    parser.add_argument("--pools", type=int, default=POOLS)
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="of a pool")
    parser.add_argument("--teacher-steps", type=int, default=TEACHER_STEPS, help="how long the judge is trained")
    chosen = parser.parse_args(arguments)
    write(chosen.out, record(chosen.directory, chosen.pools, chosen.candidates, chosen.teacher_steps))


if __name__ == "__main__":
    main()
