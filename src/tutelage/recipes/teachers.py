"""Judges and rewriters that are trained here, in the world of facts: a warm start by SFT, then GRPO on a verdict.

The warm start stops early on purpose: it teaches the form of an answer, and GRPO has to earn the rest.
"""

from dataclasses import dataclass

from tutelage.chat import LocalChat
from tutelage.codec import Tokenizer
from tutelage.correction import Asked, Correction
from tutelage.objectives import GRPO, NTP, Objective
from tutelage.optimizer import AdamW, LearningRate, Muon
from tutelage.phases import Phase, Steps
from tutelage.protocols import StreamSpec
from tutelage.report.teachers_scored import ScoreClassifier, ScoreJudge, ScoreRewriter
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.stream.no_documents import NoDocuments
from tutelage.study import Job, Study, Train
from tutelage.teaching import (
    CopyOrMend,
    ExportClassifier,
    JudgeProblems,
    JudgePrompts,
    LabelledPassages,
    LabelVerifier,
    RewriteProblems,
)
from tutelage.weights import FromConfig, ModelSpec, Pretrained
from tutelage.worlds.facts import FactsWorld
from tutelage.worlds.facts.lessons import Prompts, Task
from tutelage.worlds.facts.schooling import FactsLessons, WriteLessonsTokenizer
from tutelage.worlds.facts.teaching import FactsContinuations, FactsItems

WORLD = FactsWorld(people=8, templates_per_attribute=2, sections=(3, 4), prefix_length=24, suffix_length=16)
"""Small enough for a teacher of two layers."""
PROMPTS = Prompts()
TASKS: tuple[Task, ...] = ("quality", "quality", "safety", "copy or mend")
TEACHER = FromConfig(
    "llama",
    {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    },
)
# Three times faster here than AdamW alone, as in the world of signed sums [I].
OPTIMIZER = Muon(weight_decay=0.0, adamw=AdamW(weight_decay=0.0), adamw_scale=0.2)
NOTHING = NoDocuments()
GROUP = 8
"""Answers to a question [I]; the paper takes 16 [P B.1]."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Updates of each stage of a teacher's training."""

    judge_sft: int = 500
    judge_grpo: int = 600
    rewriter_sft: int = 350
    rewriter_grpo: int = 300


def train_judge(seeds: tuple[int, ...] = (1, 2, 3), *, sft_steps: int = 500, grpo_steps: int = 600) -> Study:
    """A small language model learns to compare and to check the world's language; scored before and after GRPO.

    Its verdicts come after reasons, and only the verdict is rewarded: 1 where it is the label's (2601.21343 B.1 [P]).
    """
    effort = Effort(judge_sft=sft_steps, judge_grpo=grpo_steps)
    jobs = [tokenizer_job()]
    for seed in seeds:
        jobs += judge_jobs(seed, effort)
        score = ScoreJudge(WORLD, f"@judge_sft-{seed}/hf", f"@judge-{seed}/hf", prompts=PROMPTS, seed=seed)
        jobs.append(Job(f"judge_scores-{seed}", score, (f"judge-{seed}",), effort=20))
    return Study(name="train_judge", jobs=tuple(jobs))


def train_rewriter(
    seeds: tuple[int, ...] = (1, 2, 3), *, sft_steps: int = 350, grpo_steps: int = 300, judge_steps: int = 600
) -> Study:
    """A small language model learns to copy what is safe to the letter and to mend what is not.

    Its rewrites of unsafe suffixes are rewarded by a judge that is trained first, as in 2601.21343 §1.2.2 [P].
    """
    effort = Effort(judge_grpo=judge_steps, rewriter_sft=sft_steps, rewriter_grpo=grpo_steps)
    jobs = [tokenizer_job()]
    for seed in seeds:
        jobs += [*judge_jobs(seed, effort), *rewriter_jobs(seed, effort)]
        score = ScoreRewriter(WORLD, f"@rewriter_sft-{seed}/hf", f"@rewriter-{seed}/hf", prompts=PROMPTS, seed=seed)
        jobs.append(Job(f"rewriter_scores-{seed}", score, (f"rewriter-{seed}",), effort=20))
    return Study(name="train_rewriter", jobs=tuple(jobs))


def train_classifier_judge(seed: int = 1, *, steps: int = 300) -> Study:
    """A sequence classifier that tells safe text from unsafe, trained on labels by the loop of all runs.

    The folder ``classifier/classifier`` is what ``ClassifierJudge(path, label="safe", axis="safety")`` loads;
    ``classifier_scores/scores.json`` says how often it is right on passages that it never saw.
    """
    items = FactsItems(WORLD, count=4000, tasks=("safety",))
    run = _run("classifier_lm", seed, TEACHER, _sft(steps), LabelledPassages(items))
    export = Job("classifier", ExportClassifier("@classifier_lm/hf"), ("classifier_lm",))
    score = Job("classifier_scores", ScoreClassifier(WORLD, "@classifier/classifier"), ("classifier",), effort=5)
    return Study(name="train_classifier_judge", jobs=(tokenizer_job(), _train(run, 40), export, score))


def judge_jobs(seed: int, effort: Effort) -> list[Job]:
    """``judge_sft-SEED`` and ``judge-SEED``, after ``teacher-tokenizer``."""
    lessons = FactsLessons(WORLD, PROMPTS, tasks=("quality", "quality", "safety"), asked="process")
    warm = _run(f"judge_sft-{seed}", seed, TEACHER, _sft(effort.judge_sft), lessons)
    prompts = JudgePrompts(quality=PROMPTS.quality, safety=PROMPTS.safety)
    items = FactsItems(WORLD, tasks=("quality", "quality", "safety"), corpus=f"judge-items-{seed}")
    task = Correction(
        problems=JudgeProblems(items, prompts),
        verifier=LabelVerifier(prompts),
        format=Asked(),
        episodes=GROUP,
        turns=1,
        max_new_tokens=PROMPTS.quality.max_new_tokens,
        max_prompt_tokens=460,
    )
    phase = _grpo(task, effort.judge_grpo, GRPO(std=False, length="token"))
    tuned = _run(f"judge-{seed}", seed, Pretrained(f"@{warm.name}/hf"), phase)
    return [_train(warm, 100), _train(tuned, 200, warm.name)]


def rewriter_jobs(seed: int, effort: Effort) -> list[Job]:
    """``rewriter_sft-SEED`` and ``rewriter-SEED``, after ``teacher-tokenizer`` and ``judge-SEED``."""
    lessons = FactsLessons(WORLD, PROMPTS, tasks=("copy or mend",), asked="process")
    warm = _run(f"rewriter_sft-{seed}", seed, TEACHER, _sft(effort.rewriter_sft), lessons)
    # Greedy, so that one answer a question is enough; the paper asks five times at T = 1 [P].
    judge = LocalChat(f"@judge-{seed}/hf", temperature=0.0, max_batch=128)
    task = Correction(
        problems=RewriteProblems(FactsContinuations(WORLD, corpus=f"rewriter-items-{seed}"), PROMPTS.rewrite),
        verifier=CopyOrMend(judge, PROMPTS.quality, PROMPTS.safety, PROMPTS.rewrite, samples=2),
        format=Asked(),
        episodes=GROUP,
        turns=1,
        max_new_tokens=2 * WORLD.suffix_length,
        max_prompt_tokens=460,
    )
    phase = _grpo(task, effort.rewriter_grpo, GRPO(std=False, length="token"))
    tuned = _run(f"rewriter-{seed}", seed, Pretrained(f"@{warm.name}/hf"), phase)
    return [_train(warm, 60), _train(tuned, 150, warm.name, f"judge-{seed}")]


def tokenizer_job() -> Job:
    """``teacher-tokenizer``, which all teachers share."""
    return Job("teacher-tokenizer", WriteLessonsTokenizer(FactsLessons(WORLD, PROMPTS, tasks=TASKS, asked="process")))


def _train(run: Run, effort: float, *after: str) -> Job:
    return Job(run.name, Train(run), ("teacher-tokenizer", *after), effort)


def _sft(steps: int) -> Phase:
    return Phase(NTP("suffix"), Steps(steps), LearningRate(0.02, warmup_steps=20), documents_per_step=32)


def _grpo(task: Correction, steps: int, objective: Objective) -> Phase:
    return Phase(objective, Steps(steps), LearningRate(2e-3, warmup_steps=10), documents_per_step=16, task=task)


def _run(name: str, seed: int, model: ModelSpec, phase: Phase, stream: StreamSpec = NOTHING) -> Run:
    return Run(
        name=name,
        seed=seed,
        tokenizer=Tokenizer("@teacher-tokenizer/tokenizer"),
        model=model,
        stream=stream,
        phases=(phase,),
        optimizer=OPTIMIZER,
        checkpoint=Checkpointing(every=100, keep_last=1),
        samples=Recording(text_every=20),
        device="cpu",
        max_untaught=0,
    )
