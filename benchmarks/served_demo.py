"""The demo's loop with its teachers behind a real vLLM, and its rollouts sampled by another one from pushed weights.

In a small world of facts: the teacher is a small model trained on the oracle's verdicts and rewrites, a policy is
pretrained, then improved by online DPO with judges and rewriter on the one server and rollouts on the other.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.vllm_server import Vllm
from tutelage.codec import Tokenizer
from tutelage.endpoints import Endpoint, Requests
from tutelage.judge_check import Examined, LabelledSet, inject, measure
from tutelage.judges import PairwiseQuality, PointwiseSafety
from tutelage.loop import StepReport, train
from tutelage.objectives import NTP, Objective, OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps
from tutelage.policy import Policy
from tutelage.protocols import JudgeSpec, SourceSpec, StreamSpec
from tutelage.ranks import OneRank
from tutelage.run import Checkpointing, Run
from tutelage.served import RolloutServers, write_folder
from tutelage.session import RunSession
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource
from tutelage.trackers import read_metrics
from tutelage.types import Abstained, Chunk, Rewrite, Scored
from tutelage.weights import FromConfig, ModelSpec, Pretrained, load_model
from tutelage.worlds.facts import FactsStream, FactsWorld, score_all
from tutelage.worlds.facts.lessons import Prompts, Task, labelled, lesson
from tutelage.worlds.facts.schooling import FactsLessons

WORLD = FactsWorld(people=8, templates_per_attribute=2, sections=(3, 4), prefix_length=24, suffix_length=16)
PROMPTS = Prompts()
CONTEXT = 512
"""Tokens of the teacher's server; a question takes some 200."""
POLICY_CONTEXT = 128
PATIENCE = Requests(retries=2, max_wait_s=30.0)
"""A server that went away stays away here."""
LESSONS = 32
"""Of a step."""
TEACHER_STEPS = 900
BASE_STEPS = 300
DEMO_STEPS = 6


def _llama(context: int) -> FromConfig:
    """Two layers; vLLM's attention on a CPU takes heads of 32 and more, so there are two."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    return FromConfig("llama", sizes | {"max_position_embeddings": context, "tie_word_embeddings": True})


@dataclass(frozen=True, slots=True)
class Made:
    """What the servers are started on."""

    teacher: Path
    policy: Path
    """Where the policy begins: a run's ``hf/``."""
    tokenizer: Path
    """Of the policy."""
    served_policy: Path
    """The same policy as a server of rollouts is started on."""


def prepare(directory: Path, *, teacher_steps: int = TEACHER_STEPS, base_steps: int = BASE_STEPS) -> Made:
    """Train teacher and base; some two minutes on one core. What is there is not made again."""
    lessons = FactsLessons(WORLD, PROMPTS)
    mine = WORLD.write_tokenizer(directory / "tokenizer")
    its = lessons.write_tokenizer(directory / "teacher-tokenizer")
    rate = LearningRate(4e-3, warmup_steps=20)
    taught = _phase(NTP("suffix"), teacher_steps, rate, documents=LESSONS)
    _train(_run("teacher", its, _llama(CONTEXT), taught, lessons), directory / "teacher")
    _train(
        _run("base", mine, _llama(POLICY_CONTEXT), _phase(NTP(), base_steps, rate), FactsStream(WORLD)),
        directory / "base",
    )
    codec = Tokenizer(str(mine)).build()
    model = load_model(Pretrained(str(directory / "base" / "hf")), codec, seed=0, device=torch.device("cpu"))
    served = write_folder(Policy(model), codec, directory / "served-policy")
    return Made(directory / "teacher" / "hf", directory / "base" / "hf", mine, served)


def servers(made: Made, directory: Path) -> tuple[Vllm, Vllm]:
    """Of the teacher and of rollouts; to be entered."""
    teacher = Vllm(made.teacher, "teacher", context=CONTEXT, log=directory / "teacher.log")
    rollouts = Vllm(
        made.served_policy, "policy", context=POLICY_CONTEXT, log=directory / "policy.log", takes_weights=True
    )
    return teacher, rollouts


def endpoint(url: str, role: str) -> Endpoint:
    """The teacher in one of its roles: the judge as it comes, the rewriter greedily."""
    temperature = 0.0 if role == "rewriter" else 1.0
    return Endpoint("teacher", (url,), role=role, temperature=temperature, requests=PATIENCE, cache=None)


def demo_run(made: Made, teacher: str, rollouts: str, steps: int = DEMO_STEPS) -> Run:
    """Online DPO as in the demo, in the small world, every part of it on a server."""
    sources: tuple[SourceSpec, ...] = (
        SuffixSource(),
        RewriteSource(PromptRewriter(endpoint(teacher, "rewriter"), PROMPTS.rewrite)),
        RolloutSource(num_rollouts=4),
    )
    judges: tuple[JudgeSpec, ...] = (
        PairwiseQuality(endpoint(teacher, "judge.quality"), prompt=PROMPTS.quality),
        PointwiseSafety(endpoint(teacher, "judge.safety"), prompt=PROMPTS.safety),
    )
    objective = OnlineDPO(beta=0.1, nll_weight=1.0, ntp_weight=0.5)
    phase = _phase(objective, steps, LearningRate(2e-3, warmup_steps=2), sources, judges, documents=8)
    stream = FactsStream(WORLD, corpus="facts-continued")
    run = _run("served-demo", made.tokenizer, Pretrained(str(made.policy)), phase, stream)
    return replace(run, rollout_servers=RolloutServers("policy", (rollouts,), requests=PATIENCE))


def tally(reports: list[StepReport], directory: Path) -> dict[str, int]:
    """Verdicts that were given, rewrites in the pools, verdicts that were not given, pushes that were checked."""
    pools = [pool for report in reports for pool in report.take.judged]
    verdicts = [verdict for pool in pools for judgement in pool.judgements for verdict in judgement.verdicts]
    pushed = sum(row.get("pushed/rollout", 0) for row in read_metrics(directory / "metrics.jsonl"))
    return {
        "judged": sum(isinstance(verdict, Scored) for verdict in verdicts),
        "rewritten": sum(isinstance(c, Rewrite) for pool in pools for c in pool.pool.candidates),
        "abstained": sum(isinstance(verdict, Abstained) for verdict in verdicts),
        "weights_pushed": int(pushed),
    }


def play(made: Made, teacher: str, rollouts: str, directory: Path, steps: int = DEMO_STEPS) -> dict[str, int]:
    """Make the demo's run against servers that are up."""
    return tally(_train(demo_run(made, teacher, rollouts, steps), directory), directory)


def examine(teacher: str, items: int = 100, injections: int | None = None) -> dict[str, Any]:
    """How good the teacher's verdicts are: on texts that the oracle labelled, and on texts that talk to it."""
    chunks = WORLD.evaluation_chunks("natural", items)
    found: dict[str, Any] = {}
    tasks: tuple[tuple[Task, Any], ...] = (("quality", PROMPTS.quality), ("safety", PROMPTS.safety))
    for task, prompt in tasks:
        judge = Examined(endpoint(teacher, f"judge.{task}").build(), prompt)
        known = LabelledSet(f"facts.{task}", labelled(WORLD, PROMPTS, chunks, task))
        found[task] = asdict(measure(judge, known, samples=1, seed=0))
        found[task]["injected"] = asdict(inject(judge, seed=0, texts=injections))
    found["rewrite"] = improve(teacher, chunks)
    return found


def improve(teacher: str, chunks: Sequence[Chunk]) -> dict[str, float]:
    """What the teacher makes of suffixes, by the oracle: rewrites that are no worse, and the mean scores of both."""
    lessons = [lesson(WORLD, PROMPTS, chunk, "rewrite") for chunk in chunks]
    model = endpoint(teacher, "rewriter").build()
    answers = model.answer([one.prompt for one in lessons], range(len(lessons)))
    told = [(chunk, said) for chunk, said in zip(chunks, answers, strict=True) if isinstance(said, str)]
    pairs = [score_all(WORLD, chunk, [chunk.suffix, WORLD.tokens(said)]) for chunk, said in told]
    return {
        "items": len(chunks),
        "answered": len(pairs) / len(chunks),
        "no_worse": sum(after.total >= before.total - 1e-9 for before, after in pairs) / len(chunks),
        "suffix_score": statistics.mean(before.total for before, _ in pairs),
        "rewrite_score": statistics.mean(after.total for _, after in pairs),
    }


def _train(run: Run, directory: Path) -> list[StepReport]:
    session = RunSession(run, directory, OneRank())
    return list(train(session))


def _phase(
    objective: Objective,
    steps: int,
    rate: LearningRate,
    sources: tuple[SourceSpec, ...] = (),
    judges: tuple[JudgeSpec, ...] = (),
    documents: int = 16,
) -> Phase:
    return Phase(objective, Steps(steps), rate, sources, judges, documents_per_step=documents)


def _run(name: str, tokenizer: Path, model: ModelSpec, phase: Phase, stream: StreamSpec) -> Run:
    return Run(
        name=name,
        tokenizer=Tokenizer(str(tokenizer)),
        model=model,
        stream=stream,
        phases=(phase,),
        device="cpu",
        threads=1,
        checkpoint=Checkpointing(every=1000, keep_last=1),
    )
