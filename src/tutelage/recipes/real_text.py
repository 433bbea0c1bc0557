"""Real documents, from scratch: a tokenizer, a policy and a larger judge are trained, then the policy is taught.

The judge is a language model trained on other documents of the same corpus; what it finds likely is what wins. That
is a weak teacher, and the report says what comes of it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, assert_never

import tyro

from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.evaluate import Evaluation, HeldOut
from tutelage.judges import Guard, LikelihoodJudge
from tutelage.objectives import NTP, Objective, OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps, TrainedTokens, Until
from tutelage.protocols import JudgeSpec, SourceSpec
from tutelage.report import RealTextReport
from tutelage.run import Checkpointing, Run
from tutelage.sources import RolloutSource, SuffixSource
from tutelage.stream import Corpus, NearDuplicates, Splits, TextStream, data_folder
from tutelage.study import Job, Study, Train
from tutelage.weights import FromConfig, ModelSpec, Precision, Pretrained

TOKENIZER = Tokenizer("@tokenizer/tokenizer")


@dataclass(frozen=True, slots=True)
class TrainTokenizer:
    """Train a byte-level BPE tokenizer on the policy's documents, and keep what was found of duplicates for others."""

    stream: TextStream
    vocab_size: int
    seed: int = 0

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``tokenizer/`` and ``duplicates/``."""
        stream = replace(self.stream, deduplicate=NearDuplicates(cache=str(directory / "duplicates")))
        train_tokenizer(stream.texts(self.seed, "policy"), self.vocab_size, directory / "tokenizer")
        return True


@dataclass(frozen=True, slots=True)
class Scale:
    """What a preset decides."""

    vocab_size: int
    policy: tuple[int, int]
    """Width and layers."""
    judge: tuple[int, int]
    max_length: int
    suffix_length: int
    documents: int
    """Documents of a step."""
    base_steps: int
    judge_steps: int
    continued_tokens: int
    num_rollouts: int
    precision: Precision
    efforts: tuple[float, float, float, float]
    """Of judge, base, control and DPO; only the progress bar reads them."""


LAPTOP = Scale(4096, (192, 4), (256, 6), 256, 64, 16, 450, 300, 300_000, 4, "auto", (5, 5, 1, 4))
GPU = Scale(16_384, (768, 14), (1024, 24), 1024, 128, 64, 6000, 6000, 60_000_000, 8, "auto", (10, 5, 3, 8))


@dataclass(frozen=True, slots=True)
class Taught:
    """What a job trains with."""

    objective: Objective
    sources: tuple[SourceSpec, ...] = ()
    judges: tuple[JudgeSpec, ...] = ()


CONTROL = Taught(NTP())


def _scale(preset: Literal["laptop", "gpu"]) -> Scale:
    match preset:
        case "laptop":
            return LAPTOP
        case "gpu":
            return GPU
        case _:
            assert_never(preset)


def real_text(
    path: Annotated[str | None, tyro.conf.arg(aliases=("--stream.path",))] = None,
    *,
    preset: Literal["laptop", "gpu"] = "laptop",
    seed: int = 0,
) -> Study:
    """Train a small model on a folder of documents, then continue it by online DPO under a likelihood judge.

    Without ``path``, the development data is read: ``text/`` in the folder that ``TUTELAGE_DATA`` names.

    The control continues by plain next-token prediction at equal trained tokens. ``laptop`` takes under 20 minutes on
    two cores; ``gpu`` trains a policy of over a hundred million parameters.
    """
    scale = _scale(preset)
    stream = TextStream(
        corpora=(Corpus(path or str(data_folder() / "text"), name="text"),),
        suffix_length=scale.suffix_length,
        max_length=scale.max_length,
        # The tokenizer's job looks for duplicates, in its own folder; the others read what it found.
        deduplicate=NearDuplicates(cache="@tokenizer/duplicates"),
        splits=Splits(policy=0.5, judge=0.4, validation=0.05, test=0.05),
    )
    judge = Guard(LikelihoodJudge("@judge/hf"), floor=-20.0)
    pool = (SuffixSource(), RolloutSource(num_rollouts=scale.num_rollouts))
    equal = TrainedTokens(scale.continued_tokens)
    dpo = Taught(OnlineDPO(beta=0.1, nll_weight=0.2, ntp_weight=1.0), pool, (judge,))
    judge_effort, base_effort, ntp_effort, dpo_effort = scale.efforts

    def train(name: str, model: ModelSpec, until: Until, rate: float, taught: Taught = CONTROL) -> Train:
        parts = (taught.objective, until, LearningRate(rate, warmup_steps=50), taught.sources, taught.judges)
        phase = Phase(*parts, documents_per_step=scale.documents)
        # Those that continue read the documents in another order than their base did, with other cuts.
        return Train(_run(name, seed if until != equal else seed + 1, model, phase, stream))

    base = Pretrained("@base/hf", scale.precision)
    small, large = _llama(scale.policy, scale), _llama(scale.judge, scale)
    jobs = (
        Job("tokenizer", TrainTokenizer(stream, scale.vocab_size, seed), effort=0.5),
        Job("judge", train("judge", large, Steps(scale.judge_steps), 1e-3), ("tokenizer",), judge_effort),
        Job("base", train("base", small, Steps(scale.base_steps), 2e-3), ("tokenizer",), base_effort),
        Job("ntp", train("ntp", base, equal, 5e-4), ("base",), ntp_effort),
        Job("online_dpo", train("online_dpo", base, equal, 5e-4, dpo), ("base", "judge"), dpo_effort),
        Job(
            "report",
            RealTextReport(
                tokenizer=TOKENIZER.path,
                base="@base/hf",
                ntp="@ntp/hf",
                dpo="@online_dpo/hf",
                stream=stream,
                judge=judge,
            ),
            ("ntp", "online_dpo"),
            effort=1,
        ),
    )
    return Study(name="real_text", jobs=jobs)


def _llama(shape: tuple[int, int], scale: Scale) -> FromConfig:
    width, layers = shape
    settings: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": width * 8 // 3 // 16 * 16,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64 if width >= 256 else 4,
        "max_position_embeddings": scale.max_length,
        "tie_word_embeddings": True,
    }
    return FromConfig("llama", settings, scale.precision)


def _run(name: str, seed: int, model: ModelSpec, phase: Phase, stream: TextStream) -> Run:
    return Run(
        name=name,
        seed=seed,
        split="judge" if name == "judge" else "policy",
        tokenizer=TOKENIZER,
        model=model,
        stream=stream,
        phases=(phase,),
        evaluations=(Evaluation(HeldOut(stream, documents=64), every=100),),
        checkpoint=Checkpointing(every=100, keep_last=1),
        max_tokens_per_batch=8192,
    )
