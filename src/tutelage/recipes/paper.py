"""The papers' own settings (arXiv 2601.21343), each number with its source; for a cluster, and a model of yours.

[P] the paper · [C] its authors' public code · [I] our inference. The paper's policy is an unpublished 1.4B model of the
Llama-2 kind; name your own with ``--model.path``. The judge is any text-generating model; name it with
``--judge.model.path``.
"""

from tutelage.chat import LocalChat
from tutelage.codec import Tokenizer
from tutelage.judges import Guard, PairwiseQuality, PointwiseFactuality, PointwiseSafety
from tutelage.objectives import RFNLL, Objective, OnlineDPO
from tutelage.optimizer import AdamW, LearningRate
from tutelage.phases import Phase, Steps
from tutelage.protocols import JudgeSpec, SourceSpec
from tutelage.run import Checkpointing, Run
from tutelage.schedules import AllPairs
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource
from tutelage.stream import Corpus, RandomCut, TextStream
from tutelage.weights import FromConfig, ModelSpec, Pretrained

JUDGE = "openai/gpt-oss-120b"  # [P] prompted judge of the quality and factuality runs, and of all evaluations
TUNED = "meta-llama/Llama-3.1-8B-Instruct"  # [P] the model that was tuned into the safety run's judge and rewriter
TUNED_CHAT = LocalChat(TUNED, temperature=1.0, top_p=0.6)  # [P] T = 1.0, top-p = 0.6, five samples
ROLLOUTS = RolloutSource(num_rollouts=16, temperature=1.0, top_p=1.0)  # [P]
SHAPE_1B4 = {
    "hidden_size": 2048,  # [I] a Llama-2 shape of 1.4B parameters; the paper gives none
    "intermediate_size": 5504,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "max_position_embeddings": 2048,  # [P] maximum sequence length
}


def _stream(corpus: str) -> TextStream:
    """One random cut a document, 128 tokens of suffix, 2,048 in all [P]."""
    return TextStream(
        corpora=(Corpus(corpus, format="datasets", streaming=True),),
        cuts=RandomCut(),
        suffix_length=128,
        max_length=2048,
        deduplicate=None,  # the paper's corpora come deduplicated; a stream cannot be scanned first
    )


def _continued(name: str, corpus: str, sources: tuple[SourceSpec, ...], judges: tuple[JudgeSpec, ...]) -> Run:
    """2,000 steps of 256 documents from a pretrained model [P]."""
    rate = LearningRate(5e-6, warmup_steps=100, floor_ratio=0.1)  # [P] B.1
    dpo = OnlineDPO(beta=0.1)  # [C] default of the framework; the paper does not say
    return _run(name, corpus, Pretrained("./your-1.4b-base", "mixed"), dpo, rate, 2000, sources, judges)


def _run(
    name: str,
    corpus: str,
    model: ModelSpec,
    objective: Objective,
    rate: LearningRate,
    steps: int,
    sources: tuple[SourceSpec, ...],
    judges: tuple[JudgeSpec, ...],
) -> Run:
    return Run(
        name=name,
        tokenizer=Tokenizer("./your-1.4b-base"),
        model=model,
        stream=_stream(corpus),
        phases=(Phase(objective, Steps(steps), rate, sources, judges, documents_per_step=256),),  # [P] batch
        optimizer=AdamW(betas=(0.9, 0.95), weight_decay=0.1),  # [C]
        gradient_clip=1.0,  # [I] the public replication's; the group's earlier paper used 0.1
        checkpoint=Checkpointing(every=200, keep_last=2),
    )


def _guarded(judge: JudgeSpec) -> JudgeSpec:
    """Empty, truncated and repeated text scores 0 on this axis [I]."""
    return Guard(judge, floor=0.0)


def paper_1b4_quality() -> Run:
    """Continued, quality: 16 rollouts on SlimPajama, all pairs by the prompted judge (win rate 86.3 in the paper)."""
    judge = _guarded(PairwiseQuality(LocalChat(JUDGE, temperature=1.0, top_p=1.0), AllPairs()))
    return _continued("paper_1b4_quality", "cerebras/SlimPajama-627B", (ROLLOUTS,), (judge,))


def paper_1b4_factuality() -> Run:
    """Continued, factuality: 16 rollouts, pointwise factuality plus pairwise quality (57.6 from 42.3)."""
    chat = LocalChat(JUDGE, temperature=1.0, top_p=1.0)  # [P]
    judges = (_guarded(PointwiseFactuality(chat)), _guarded(PairwiseQuality(chat, AllPairs())))  # [P] plain sum
    return _continued("paper_1b4_factuality", "cerebras/SlimPajama-627B", (ROLLOUTS,), judges)


def paper_1b4_safety() -> Run:
    """Continued, safety: suffix and 16 rollouts on unsafe RedPajama, safety plus quality (91.1 from 76.9)."""
    judges = (
        _guarded(PointwiseSafety(TUNED_CHAT, samples=5)),
        _guarded(PairwiseQuality(TUNED_CHAT, AllPairs(), samples=5)),
    )  # [P]
    sources = (SuffixSource(), ROLLOUTS)  # [P] no rewrite in the headline run
    return _continued("paper_1b4_safety", "redpajama-unsafe", sources, judges)


def paper_1b4_scratch() -> Run:
    """From scratch: reward-filtered NLL on one rollout against the rewrite, 21,000 steps (win rate 1.3 to 32.4)."""
    judges = (
        _guarded(PointwiseSafety(TUNED_CHAT, samples=5)),
        _guarded(PairwiseQuality(TUNED_CHAT, AllPairs(), samples=5)),
    )  # [P]
    sources = (RewriteSource(PromptRewriter(TUNED_CHAT)), RolloutSource(num_rollouts=1))  # [P]
    rate = LearningRate(5e-4, warmup_steps=2000, floor_ratio=0.1)  # [P]
    model = FromConfig("llama", SHAPE_1B4, "mixed")
    return _run("paper_1b4_scratch", "redpajama-unsafe", model, RFNLL(), rate, 21_000, sources, judges)
