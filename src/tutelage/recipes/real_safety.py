"""Real text under a judge of safety that learnt from people's labels, measured by one that it knows nothing of."""

from dataclasses import replace
from typing import Literal

from tutelage.judges import ClassifierJudge, Guard, LikelihoodJudge
from tutelage.objectives import NTP, OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps, TrainedTokens
from tutelage.protocols import JudgeSpec, SourceSpec, StreamSpec
from tutelage.recipes.real_text import TOKENIZER, real_text
from tutelage.report.real_safety import ExamineClassifiers, SafetyReport, WriteBeginnings
from tutelage.run import Checkpointing, Run
from tutelage.sources import RolloutSource, SuffixSource
from tutelage.stream import Corpus, Splits, TextStream
from tutelage.study import Job, Study, Train
from tutelage.teaching import ExportClassifier, KnownItems, LabelledPassages
from tutelage.weights import FromConfig, ModelSpec, Pretrained

WORDS = (" good", " bad")
"""What a safe and an unsafe passage end in while a classifier learns: words of one token in tokenizers of English."""
BEGINNINGS = TextStream(
    corpora=(Corpus("@beginnings/texts.jsonl", name="beginnings"),),
    suffix_length=32,
    max_length=96,
    min_prefix=6,
    min_suffix=6,
    window_chars=2000,
    splits=Splits(policy=0.8, validation=0.0, test=0.2),
    deduplicate=None,
)
OTHER = FromConfig(
    "gpt_neox",
    {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
    },
)
"""Of the classifier that measures: another architecture, from random weights."""


def real_safety(
    path: str | None = None,
    *,
    preset: Literal["laptop", "gpu"] = "laptop",
    seed: int = 0,
    judge_steps: int = 300,
    tokens: int = 100_000,
) -> Study:
    """Continue the base of ``real_text`` on beginnings of web text, under a judge of safety trained on labelled text.

    The judge learns from tweets (``hate_davidson``) and half of ToxiGen, and is examined with HateCheck, Surge, XSTest
    and the other half. How safe continuations are is measured by a classifier of another architecture that learnt from
    RealToxicityPrompts' scores, on the half of them that it did not see. The folder of data is ``TUTELAGE_DATA``.
    """
    kept = ("tokenizer", "judge", "base")
    jobs = [job for job in real_text(path, preset=preset, seed=seed).jobs if job.name in kept]
    jobs += _classifier(
        *("safety", Pretrained("@judge/hf"), KnownItems(("hate_davidson", "toxigen_trained"))),
        *(judge_steps, seed, "judge"),
    )
    jobs += _classifier(
        *("measure", OTHER, KnownItems(("realtoxicityprompts_trained",))),
        *(judge_steps, seed, "tokenizer"),
    )
    both = (("trained", "@safety/classifier"), ("measured", "@measure/classifier"))
    jobs.append(Job("examined", ExamineClassifiers(both), ("safety", "measure"), effort=0.5))
    jobs.append(Job("beginnings", WriteBeginnings(), effort=0.1))
    # Likely text, too: what is silent or senseless is safe.
    likely = Guard(LikelihoodJudge("@judge/hf", weight=0.2), floor=-20.0)
    safe = Guard(ClassifierJudge("@safety/classifier", label="safe", axis="safety"), floor=0.0)
    sources = (SuffixSource(), RolloutSource(num_rollouts=4))
    arms = {
        "ntp": _phase(NTP(), tokens),
        "online_dpo": _phase(OnlineDPO(beta=0.1, nll_weight=0.2, ntp_weight=1.0), tokens, sources, (safe, likely)),
    }
    for name, phase in arms.items():
        run = _run(name, Pretrained("@base/hf"), (phase,), BEGINNINGS, seed)
        after = ("base", "beginnings", *(("judge", "safety") if phase.judges else ()))
        jobs.append(Job(name, Train(run), after, effort=3 if phase.judges else 1))
    report = SafetyReport(
        tokenizer=TOKENIZER.path,
        models=(("base", "@base/hf"), *((name, f"@{name}/hf") for name in arms)),
        stream=BEGINNINGS,
        trained_by="@safety/classifier",
        measured_by="@measure/classifier",
        seed=seed,
    )
    jobs.append(Job("report", report, (*kept, *arms, "examined"), effort=0.5))
    return Study(name="real_safety", jobs=tuple(jobs))


def _classifier(name: str, model: ModelSpec, items: KnownItems, steps: int, seed: int, after: str) -> list[Job]:
    """A language model that learns to say one word behind a passage, and the classifier that it becomes."""
    phase = Phase(NTP("suffix"), Steps(steps), LearningRate(1e-3, warmup_steps=20), documents_per_step=32)
    # One that begins from random weights first learns the language of the passages.
    first = () if isinstance(model, Pretrained) else (replace(phase, objective=NTP()),)
    run = _run(f"{name}_lm", model, (*first, phase), LabelledPassages(items, WORDS, max_length=128), seed)
    export = ExportClassifier(f"@{name}_lm/hf", WORDS)
    return [Job(run.name, Train(run), (after,), effort=2), Job(name, export, (run.name,), effort=0.1)]


def _phase(
    objective: NTP | OnlineDPO, tokens: int, sources: tuple[SourceSpec, ...] = (), judges: tuple[JudgeSpec, ...] = ()
) -> Phase:
    rate = LearningRate(5e-4, warmup_steps=20)
    return Phase(objective, TrainedTokens(tokens), rate, sources, judges, documents_per_step=16)


def _run(name: str, model: ModelSpec, phases: tuple[Phase, ...], stream: StreamSpec, seed: int) -> Run:
    return Run(
        name=name,
        seed=seed,
        tokenizer=TOKENIZER,
        model=model,
        stream=stream,
        phases=phases,
        checkpoint=Checkpointing(every=100, keep_last=1),
        max_tokens_per_batch=8192,
    )
