"""The whole pipeline with teachers that were trained here, beside the same pipeline with oracles."""

from dataclasses import replace

from tutelage.chat import LocalChat
from tutelage.evaluate import Evaluation
from tutelage.judges import PairwiseQuality, PointwiseSafety
from tutelage.objectives import NTP, Objective, OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps, TrainedTokens, Until
from tutelage.protocols import JudgeSpec, SourceSpec
from tutelage.recipes.teachers import PROMPTS, WORLD, Effort, judge_jobs, rewriter_jobs, tokenizer_job
from tutelage.report.learned import LearnedReport
from tutelage.report.teachers_scored import ScoreJudge, ScoreRewriter
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource
from tutelage.study import Job, Study, Train
from tutelage.weights import ModelSpec, Pretrained
from tutelage.worlds.facts import FactsJudge, FactsRewriter, FactsStream
from tutelage.worlds.facts.gauging import FactsWins
from tutelage.worlds.facts.start import MODEL, TOKENIZER, WriteTokenizer

ARMS = ("ntp", "oracle", "oracle_exact", "learned")
ERROR = 0.3
"""Share of the facts that the oracles' rewriter gets wrong in ``oracle``, as in the evidence: a rewriter without fault
would leave the judge little to do."""
OBJECTIVE = OnlineDPO(beta=0.1, nll_weight=1.0, ntp_weight=0.5)
"""That of the demo."""


def learned(
    seeds: tuple[int, ...] = (1, 2, 3),
    *,
    base_steps: int = 800,
    continued_tokens: int = 120_000,
    judge_sft: int = 500,
    judge_grpo: int = 600,
    rewriter_sft: int = 350,
    rewriter_grpo: int = 300,
    items: int = 300,
) -> Study:
    """Train judge and rewriter, score both, then continue a base by NTP, with oracles, and with these teachers.

    All arms train equally many tokens. In the learned arm no oracle judges or rewrites; it taught the teachers, by the
    answers and labels that they were trained on, and it measures all arms. The oracles' rewriter errs in a share of its
    facts, as a good text model does, in ``oracle``, and never in ``oracle_exact``. The report says how much remains of
    either's gain.
    """
    effort = Effort(judge_sft, judge_grpo, rewriter_sft, rewriter_grpo)
    jobs = [Job("tokenizer", WriteTokenizer(WORLD)), tokenizer_job()]
    for seed in seeds:
        base = _run(f"base-{seed}", seed, MODEL, _phase(NTP(), Steps(base_steps), 4e-3), FactsStream(WORLD))
        jobs.append(Job(base.name, Train(base), ("tokenizer",), effort=40))
        jobs += [*judge_jobs(seed, effort), *rewriter_jobs(seed, effort)]
    for seed in seeds:
        jobs += _arms(seed, continued_tokens)
        jobs += _scores(seed, items)
    report = LearnedReport(WORLD, TOKENIZER.path, seeds, ARMS)
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=20))
    return Study(name="learned", jobs=tuple(jobs))


def _arms(seed: int, tokens: int) -> list[Job]:
    """The same base, objective and tokens; other teachers."""
    until, base = TrainedTokens(tokens), f"base-{seed}"
    stream = FactsStream(WORLD, corpus="facts-continued")
    phases = {
        "ntp": _phase(NTP(), until, 2e-3),
        "oracle": _phase(OBJECTIVE, until, 2e-3, _sources(FactsRewriter(WORLD, ERROR)), (FactsJudge(WORLD),)),
        "oracle_exact": _phase(OBJECTIVE, until, 2e-3, _sources(FactsRewriter(WORLD)), (FactsJudge(WORLD),)),
        "learned": _phase(OBJECTIVE, until, 2e-3, _sources(_rewriter(seed)), _judges(seed)),
    }
    teachers = {"learned": ("tokenizer", base, f"judge-{seed}", f"rewriter-{seed}")}
    return [
        Job(
            f"{arm}-{seed}",
            Train(_run(f"{arm}-{seed}", seed, Pretrained(f"@{base}/hf"), phases[arm], stream)),
            teachers.get(arm, ("tokenizer", base)),
            effort=200 if arm == "learned" else 20,
        )
        for arm in ARMS
    ]


def _scores(seed: int, items: int) -> list[Job]:
    """Both teachers before and after GRPO; the judge on rollouts of the base and of the policy that oracles trained."""
    policies = (("early", f"@base-{seed}/hf"), ("late", f"@oracle-{seed}/hf"))
    judge = ScoreJudge(
        *(WORLD, f"@judge_sft-{seed}/hf", f"@judge-{seed}/hf", policies, TOKENIZER.path, PROMPTS),
        items=items,
        seed=seed,
    )
    rewriter = ScoreRewriter(
        *(WORLD, f"@rewriter_sft-{seed}/hf", f"@rewriter-{seed}/hf", PROMPTS), items=items, seed=seed
    )
    return [
        Job(f"judge_scores-{seed}", judge, (f"judge-{seed}", f"oracle-{seed}"), effort=20),
        Job(f"rewriter_scores-{seed}", rewriter, (f"rewriter-{seed}",), effort=20),
    ]


def _judges(seed: int) -> tuple[JudgeSpec, ...]:
    """The learned judge in both of its roles, greedily: one answer a question."""
    model = LocalChat(f"@judge-{seed}/hf", temperature=0.0, max_batch=128)
    return PairwiseQuality(model, prompt=PROMPTS.quality), PointwiseSafety(model, prompt=PROMPTS.safety)


def _rewriter(seed: int) -> PromptRewriter:
    return PromptRewriter(LocalChat(f"@rewriter-{seed}/hf", temperature=0.0, max_batch=128), PROMPTS.rewrite)


def _sources(rewriter: FactsRewriter | PromptRewriter) -> tuple[SourceSpec, ...]:
    return SuffixSource(), RewriteSource(rewriter), RolloutSource(num_rollouts=4)


def _phase(
    objective: Objective,
    until: Until,
    rate: float,
    sources: tuple[SourceSpec, ...] = (),
    judges: tuple[JudgeSpec, ...] = (),
) -> Phase:
    return Phase(objective, until, LearningRate(rate, warmup_steps=20), sources, judges, documents_per_step=16)


def _run(name: str, seed: int, model: ModelSpec, phase: Phase, stream: FactsStream) -> Run:
    run = Run(
        name=name,
        seed=seed,
        tokenizer=TOKENIZER,
        model=model,
        stream=stream,
        phases=(phase,),
        checkpoint=Checkpointing(every=200, keep_last=1),
        samples=Recording(text_every=10),
        device="cpu",
    )
    if not phase.judges:
        return run
    # What the run's own judges say of it beside what is true: where they part, the judges are being gamed.
    return replace(run, evaluations=(Evaluation(FactsWins(phase.judges, WORLD), every=20),))
