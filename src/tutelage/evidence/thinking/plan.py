"""The study: every arm of every seed, before and after RL with verifiable reward, and the report."""

from collections.abc import Sequence

from tutelage.evidence.thinking.arms import Arm, all_arms
from tutelage.evidence.thinking.augmented import AugmentRealText
from tutelage.evidence.thinking.report import ThinkingReport
from tutelage.evidence.thinking.settings import SEEDS, ThinkingSetting
from tutelage.evidence.thinking.work import AsCostly, TrainAndAnswer
from tutelage.optimizer import AdamW, Muon
from tutelage.practice import variance_gate
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.study import Job, Study, Work
from tutelage.weights import Pretrained
from tutelage.worlds.steps.start import MODEL, TOKENIZER, WriteStepsTokenizer

GATE = 0.9
"""Share of groups without variance at which practice is given up. Not the .5 of the gate's default: in short trials the
policy still gained at .7, where it always found the results of some chains and never those of others."""


def thinking_study(setting: ThinkingSetting | None = None, seeds: Sequence[int] = SEEDS) -> Study:
    """All arms and the report on them."""
    setting = setting or ThinkingSetting()
    arms = all_arms(setting)
    jobs = [
        Job("tokenizer", WriteStepsTokenizer(setting.world), effort=1),
        Job("augment", AugmentRealText(setting.augmented), effort=20),
    ]
    jobs += [_job(arm, seed, setting) for arm in arms.values() for seed in seeds]
    report = ThinkingReport(setting, tuple(seeds), tuple(arms))
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=5))
    return Study(name="thinking", jobs=tuple(jobs))


def _job(arm: Arm, seed: int, setting: ThinkingSetting) -> Job:
    run = Run(
        name=f"{arm.name}-{seed}",
        seed=seed,
        tokenizer=TOKENIZER,
        model=MODEL if arm.start is None else Pretrained(f"@{arm.start}-{seed}/hf"),
        phases=arm.phases,
        # As in the world of signed sums; the learning rates are those of hidden matrices.
        optimizer=Muon(weight_decay=0.0, adamw=AdamW(weight_decay=0.0), adamw_scale=0.2),
        checkpoint=Checkpointing(every=200, keep_last=1, replay_steps=0),
        samples=Recording(text_every=1000),
        limits=(variance_gate(GATE),) if arm.probed else (),
        max_untaught=0,  # an arm that cannot learn from its questions, or knows all of them, is a finding
    )
    after = [f"{arm.start}-{seed}" if arm.start else "tokenizer"]
    work: Work = TrainAndAnswer(run, setting, arm.probed)
    if arm.as_costly_as:
        after.append(f"{arm.as_costly_as}-{seed}")
        work = AsCostly(run, setting, f"@{after[-1]}/metrics.jsonl")
    return Job(run.name, work, tuple(after), arm.effort)
