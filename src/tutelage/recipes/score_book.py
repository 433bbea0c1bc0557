"""The jobs of one seed of the study of signed sums: its base, what is collected of it, and every trial of every arm."""

from dataclasses import dataclass, replace

from tutelage.correction import Collect, Correction, Exam, FirstAttempts, HeldOutCorrections, Subject
from tutelage.evaluate import Evaluation
from tutelage.evidence.score import TrainAndExamine, TrainOnTraces
from tutelage.evidence.score.claims import SCORE, SUPERVISED
from tutelage.evidence.score.settings import BUDGETS, Setting
from tutelage.evidence.score.work import EXAM_SEED, Examine
from tutelage.objectives import NTP, StageOne, StageTwo
from tutelage.optimizer import AdamW, LearningRate, Muon
from tutelage.phases import Phase, Steps
from tutelage.protocols import StreamSpec
from tutelage.recipes.score_phases import Effort, ablations, baselines, score
from tutelage.recipes.signed_sums import base_run
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.stream import NoDocuments, Traces
from tutelage.study import Job, Train
from tutelage.weights import Pretrained
from tutelage.worlds.signed_sum import Split, sums_task
from tutelage.worlds.signed_sum.start import TOKENIZER

UNTRAINED = ("base", "self_refine")
REFINED = 4
"""Attempts of Self-Refine: the base says ``OK`` or ``FIX`` of what it wrote before, three times [I]."""
BASELINES = ("single_turn", "naive_multi_turn", "naive_multi_turn_both")
WATCHED_EVERY, WATCHED_PROBLEMS = 40, 200
NO_DOCUMENTS = NoDocuments()
EFFORTS = {
    **{"base": 8.0, "self_refine": 10.0, "single_turn": 45.0},
    **{"star": 50.0, "star_plus": 70.0, "pair_sft": 60.0, "pair_sft_plus": 60.0},
}
"""Seconds of a trial on a quiet core, roughly, exams included; longest first keeps two workers busy to the end."""
REINFORCED = 90.0
"""Those of all other arms: RL on two attempts."""


@dataclass(frozen=True, slots=True)
class Book:
    """Writes the jobs of one seed."""

    setting: Setting
    seed: int

    @property
    def base(self) -> Pretrained:
        """What every arm continues."""
        return Pretrained(f"@pretrained-{self.seed}/hf")

    def task(self, split: Split = "train", episodes: int | None = None, first: str | None = None) -> Correction:
        """Two attempts; with ``first`` behind the first attempts in that job's file."""
        task = sums_task(self.setting.world, split, episodes or self.setting.episodes)
        given = None if first is None else FirstAttempts(f"@{first}-{self.seed}/attempts.jsonl", share=1.0)
        return replace(task, first_attempts=given)

    def exams(self) -> dict[str, Exam]:
        """What every arm is examined in."""
        s = self.setting
        return {
            "test": Exam(self.task("test", s.test_episodes), s.test_problems),
            "greedy": Exam(self.task("test"), s.test_problems, 0.0),
            "validation": Exam(self.task("validation", s.test_episodes), s.test_problems),
            "fixed": Exam(self.task("test", s.test_episodes, "fixed_test"), s.test_problems),
            "votes": Exam(self.task("test", max(BUDGETS)), s.vote_problems),
        }

    def starts(self, trials: tuple[str, ...]) -> list[Job]:
        """The base, the first attempts of it that others are to correct, and its episodes to be imitated."""
        s, subject, after = self.setting, Subject(self.base, TOKENIZER, self.seed), (f"pretrained-{self.seed}",)
        run = base_run(f"pretrained-{self.seed}", self.seed, s.world, s.base_steps)
        jobs = [Job(run.name, Train(run), ("tokenizer",), effort=165)]
        splits: tuple[Split, ...] = ("test", "validation")
        for split in splits:
            found = Collect(subject, self.task(split, s.test_episodes), len(s.world.problems(split)))
            jobs.append(Job(f"fixed_{split}-{self.seed}", found, after, effort=2))
        if any(self._reads_collected(trial) for trial in trials):
            kinds = {kind: self._asked(kind) for kind in SUPERVISED}
            collected = Collect(subject, self.task(), s.steps * s.problems, kinds)
            jobs.append(Job(f"collected-{self.seed}", collected, after, effort=45))
        return jobs

    def arm(self, trial: str) -> Job:
        """The job that trains and examines one trial of an arm."""
        needs = (f"collected-{self.seed}",) if self._reads_collected(trial) else ()
        after = (f"fixed_test-{self.seed}", f"fixed_validation-{self.seed}", *needs)
        return Job(f"{trial}-{self.seed}", self.work(trial), after, effort(trial))

    def work(self, trial: str) -> TrainAndExamine | TrainOnTraces | Examine:
        """What that job does."""
        kind, number = kind_of(trial)
        if trial in UNTRAINED:
            return self._untrained(trial)
        if kind in SUPERVISED:
            return self._imitating(f"{trial}-{self.seed}", kind, float(number))
        run = self._run(f"{trial}-{self.seed}", self._phases(kind, float(number)))
        return TrainAndExamine(run, self.exams())

    def _reads_collected(self, trial: str) -> bool:
        kind, _ = kind_of(trial)
        return kind in SUPERVISED or kind == "offline_only"

    def _rounds(self, kind: str) -> int:
        return self.setting.star_rounds if kind.startswith("star") else 1

    def _asked(self, kind: str) -> int:
        """Problems that a round of imitation attempts: all rounds sample as many episodes as an arm of RL."""
        return max(1, self.setting.steps // self._rounds(kind)) * self.setting.problems

    def _untrained(self, name: str) -> Examine:
        subject, exams = Subject(self.base, TOKENIZER, EXAM_SEED), self.exams()
        if name == "self_refine":
            exams = {what: exams[what] for what in ("test", "greedy", "validation")}
            exams = {what: replace(exam, task=replace(exam.task, turns=REFINED)) for what, exam in exams.items()}
        return Examine(subject, exams)

    def _imitating(self, job: str, kind: str, rate: float) -> TrainOnTraces:
        s = self.setting
        phase = Phase(NTP(on="suffix"), Steps(s.steps), _rate(rate), documents_per_step=s.problems * s.episodes)
        traces = f"@collected-{self.seed}/{kind}.npz"
        run = self._run(job, (phase,), Traces(traces, s.world.attempt_length))
        epochs = s.star_epochs if kind.startswith("star") else 1.0
        asked, rounds = self._asked(kind), self._rounds(kind)
        return TrainOnTraces(run, self.task(), kind, asked, self.exams(), rounds, epochs, traces)

    def _phases(self, kind: str, weight: float) -> tuple[Phase, ...]:
        s = self.setting
        spent = Effort(s.steps, s.problems, _rate(s.rate), s.stage_one, s.delta)
        first, second = StageOne(beta2=s.beta2, beta1=s.stage_one_kl), StageTwo(alpha=s.alpha, beta1=weight)
        if kind == SCORE:
            return score(self.task(), spent, first, second)
        if kind in BASELINES:
            return baselines(self.task(), spent, weight)[kind]
        task = self.task(first="collected" if kind == "offline_only" else None)
        return ablations(task, spent, first, second)[kind]

    def _run(self, job: str, phases: tuple[Phase, ...], stream: StreamSpec = NO_DOCUMENTS) -> Run:
        return Run(
            name=job,
            seed=self.seed,
            tokenizer=TOKENIZER,
            model=self.base,
            phases=phases,
            stream=stream,
            optimizer=Muon(weight_decay=0.0, adamw=AdamW(weight_decay=0.0), adamw_scale=1 / 6),
            checkpoint=Checkpointing(every=60, keep_last=1, replay_steps=0),
            samples=Recording(text_every=10_000),
            sampler_rows=1024,
            evaluations=self._watched(),
            max_untaught=0,
        )

    def _watched(self) -> tuple[Evaluation, ...]:
        """Corrections of the policy's own and of the base's fixed attempts, over training (Fig. 5)."""
        asked = {"own": self.task("validation", 1), "fixed": self.task("validation", 1, "fixed_validation")}
        return tuple(
            Evaluation(HeldOutCorrections(task, WATCHED_PROBLEMS, 1.0, name), WATCHED_EVERY)
            for name, task in asked.items()
        )


def kind_of(trial: str) -> tuple[str, str]:
    """The arm of a trial, and the number in the trial's name; empty where it has none."""
    kind, _, number = trial.replace("_rate_", "_kl_").partition("_kl_")
    return kind, number


def effort(trial: str) -> float:
    """Seconds on a core that a trial takes, roughly."""
    return EFFORTS.get(kind_of(trial)[0], REINFORCED)


def _rate(peak: float) -> LearningRate:
    return LearningRate(peak, warmup_steps=10)
