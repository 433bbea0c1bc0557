"""A world, a model and a run so small that a step takes milliseconds; subprocesses build them by the same names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from tutelage.codec import Tokenizer
from tutelage.evaluate import Evaluation, HeldOut
from tutelage.loop import StepReport, train
from tutelage.objectives import NTP, Objective, OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps, Synced, WhenAbove
from tutelage.protocols import JudgeSpec, Resources, SourceSpec
from tutelage.ranks import OneRank, Ranks
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording, read_samples
from tutelage.session import RunSession
from tutelage.sources import RewriteSource, RolloutSource, SuffixSource
from tutelage.trackers import read_metrics
from tutelage.types import Abstained, Judgement, Pool, Scored
from tutelage.weights import FromConfig
from tutelage.worlds.facts import FactsJudge, FactsRewriter, FactsStream, FactsWorld

WORLD = FactsWorld(people=8, sections=(3, 4), prefix_length=24, suffix_length=12)
LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
SOURCES: tuple[SourceSpec, ...] = (SuffixSource(), RewriteSource(FactsRewriter(WORLD, error=0.3)), RolloutSource(3))
RATE = LearningRate(5e-3, warmup_steps=2)


@dataclass(frozen=True, slots=True)
class LengthJudge:
    """Likes many different tokens; cheap, deterministic, rarely tied."""

    def build(self, resources: Resources) -> "LengthJudge":
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [
            (
                Judgement(
                    "variety", tuple(Scored(len(set(c.tokens.tolist())) + c.tokens[0] / 1000) for c in pool.candidates)
                ),
            )
            for pool in pools
        ]


@dataclass(frozen=True, slots=True)
class SilentJudge:
    """Abstains on everything."""

    def build(self, resources: Resources) -> "SilentJudge":
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [(Judgement("quality", tuple(Abstained("I would rather not") for _ in p.candidates)),) for p in pools]


def tiny_phase(objective: Objective | None = None, steps: int = 4, **changes: Any) -> Phase:
    settings: dict[str, Any] = {
        "until": Steps(steps),
        "learning_rate": RATE,
        "sources": SOURCES,
        "judges": (FactsJudge(WORLD),),
        "documents_per_step": 4,
    }
    return Phase(objective or OnlineDPO(ntp_weight=0.5), **(settings | changes))


def tiny_run(tokenizer: Path, *phases: Phase, **changes: Any) -> Run:
    """One phase of online DPO unless others are given."""
    settings: dict[str, Any] = {
        "phases": phases or (tiny_phase(),),
        "stream": FactsStream(WORLD),
        "tokenizer": Tokenizer(str(tokenizer)),
        "model": FromConfig("llama", LLAMA),
        "checkpoint": Checkpointing(every=100_000),
        "device": "cpu",
    }
    return Run(**(settings | changes))


def resumable_run(tokenizer: Path, depth: int = 0, **changes: Any) -> Run:
    """Two phases, a measured rule, a synced reference, an anchor, untaught documents, evaluation, a budget of text.

    With a queue the first phase ends before ``at_most``, at a checkpoint, and what was proposed for a seventh step is
    dropped.
    """
    judges: tuple[JudgeSpec, ...] = (FactsJudge(WORLD, noise=0.1),)
    rule = WhenAbove("pool/taught", 0.0, window=6, at_most=9) if depth else WhenAbove("chosen/rollout", 0.9, 3, 7)
    queued: dict[str, Any] = {"queue_depth": depth, "judges": judges}
    objective = OnlineDPO(ntp_weight=0.5, nll_weight=0.1)
    first = tiny_phase(objective, until=rule, reference=Synced(3), taught_share=0.7, **queued)
    second = tiny_phase(OnlineDPO(ntp_weight=0.5), steps=9, reference=Synced(4), **queued)
    held_out = HeldOut(FactsStream(WORLD, clean=True), documents=3)
    settings: dict[str, Any] = {
        "evaluations": (Evaluation(held_out, every=4),),
        "checkpoint": Checkpointing(every=3, keep_last=2),
        "samples": Recording(text_every=2, text_bytes=5000),
    }
    return tiny_run(tokenizer, first, second, **(settings | changes))


def train_all(run: Run, directory: Path, ranks: Ranks | None = None) -> tuple[RunSession, list[StepReport]]:
    """Train to the end; the session is closed by then."""
    session = RunSession(run, directory, ranks or OneRank())
    return session, list(train(session))


def plain_run(tokenizer: Path, steps: int = 4, **changes: Any) -> Run:
    """Plain next-token prediction: no source, no judge."""
    return tiny_run(tokenizer, tiny_phase(NTP(), steps, sources=(), judges=()), **changes)


@dataclass(frozen=True)
class Outcome:
    """What two runs that are the same must share."""

    weights: dict[str, bytes]
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]


def outcome(directory: Path) -> Outcome:
    """Weights as exported, metrics apart from timings, and samples in order."""
    tensors = load_file(directory / "hf" / "model.safetensors")
    metrics = read_metrics(directory / "metrics.jsonl")
    return Outcome(
        {name: tensor.numpy().tobytes() for name, tensor in tensors.items()},
        [{k: v for k, v in row.items() if not k.startswith("seconds/")} for row in metrics],
        read_samples(directory / "samples"),
    )
