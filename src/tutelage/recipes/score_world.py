"""SCoRe, its ablations and its baselines in the world of signed sums, at an equal number of sampled episodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tutelage.correction import Collect, Correction, Exam, FirstAttempts, HeldOutCorrections, Plain, Subject
from tutelage.evaluate import Evaluation
from tutelage.evidence.claims import Claim
from tutelage.evidence.score import ScoreEvidenceReport, ScoreReport, TrainAndExamine, TrainOnTraces
from tutelage.evidence.score.claims import CLAIMS, SCORE, SUPERVISED, kl
from tutelage.evidence.score.settings import BUDGETS, DEMO_SEEDS, KLS, RATES, SEEDS, Setting
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
from tutelage.study import Job, Study, Train
from tutelage.weights import Pretrained
from tutelage.worlds.signed_sum import REVISE, SignedSumProblems, SignedSums, Split
from tutelage.worlds.signed_sum.start import TOKENIZER, WriteSumTokenizer

UNTRAINED = ("base", "self_refine")
REFINED = 4
"""Attempts of Self-Refine: the base says ``OK`` or ``FIX`` of what it wrote before, three times [I]."""
LEASHED = ("single_turn", "naive_multi_turn", "score", "no_stage_1", "no_shaping", "offline_only")
WATCHED_EVERY, WATCHED_PROBLEMS = 40, 200
NO_DOCUMENTS = NoDocuments()


def score_world(seeds: tuple[int, ...] = DEMO_SEEDS) -> Study:
    """SCoRe beside Pair-SFT and naive multi-turn RL at two leashes, in minutes: every arm at equal sampled episodes.

    ``summary.json`` has first and second attempts of every arm, sampled and greedy, and votes; ``report.html`` shows
    them. Each seed has a base of its own.
    """
    shown = {
        "base": "base",
        "pair_sft": trial("pair_sft", RATES[0]),
        "naive_multi_turn": kl("naive_multi_turn", KLS[0]),
        "naive_multi_turn_kl_0.1": kl("naive_multi_turn", 0.1),
        "score": kl(SCORE, KLS[0]),
        "score_kl_0.1": kl(SCORE, 0.1),
    }
    return world_study("score_world", Setting(), seeds, tuple(shown.values()), ScoreReport(seeds, shown))


def score_evidence(only: tuple[str, ...] = ()) -> Study:
    """What SCoRe's paper claims, R1 to R7, in the world of signed sums: every baseline, equal trials, five seeds.

    ``--only R4 R5`` trains what these claims need and no more; jobs that are done are passed over.
    """
    return evidence_study(selected(only), Setting(), SEEDS)


def evidence_study(claims: tuple[Claim, ...], setting: Setting, seeds: tuple[int, ...]) -> Study:
    """All trials of the arms that ``claims`` are about, the base always, and the report on them."""
    named = {"base"} | {arm.partition("_kl_")[0] for claim in claims for arm in claim.arms}
    trials = {arm: found for arm, found in trials_of().items() if arm in named}
    names = tuple(name for found in trials.values() for name in found)
    report = ScoreEvidenceReport(seeds, trials, tuple(claim.id for claim in claims))
    return world_study("score_evidence", setting, seeds, names, report)


def selected(only: Iterable[str]) -> tuple[Claim, ...]:
    """Claims by their ids, all for none.

    Raises:
        ValueError: there is no such claim.
    """
    asked, known = tuple(only), {claim.id: claim for claim in CLAIMS}
    if unknown := [name for name in asked if name not in known]:
        raise ValueError(f"there is no claim {unknown[0]!r}; the claims are {', '.join(known)}")
    return tuple(claim for claim in CLAIMS if not asked or claim.id in asked)


def trial(arm: str, rate: float) -> str:
    """The name of a supervised arm's trial."""
    return f"{arm}_rate_{rate:g}"


def trials_of() -> Mapping[str, tuple[str, ...]]:
    """Equal trials: three leashes of every arm of RL, three learning rates of every supervised one."""
    found: dict[str, tuple[str, ...]] = {arm: (arm,) for arm in UNTRAINED}
    found |= {arm: tuple(trial(arm, rate) for rate in RATES) for arm in SUPERVISED}
    return found | {arm: tuple(kl(arm, weight) for weight in KLS) for arm in LEASHED}


def world_study(
    name: str,
    setting: Setting,
    seeds: tuple[int, ...],
    arms: tuple[str, ...],
    report: ScoreReport | ScoreEvidenceReport,
) -> Study:
    """Bases, what is collected of them, every arm once a seed, and the report."""
    jobs = [Job("tokenizer", WriteSumTokenizer(setting.world), effort=1)]
    books = [Book(setting, seed) for seed in seeds]
    jobs += [job for book in books for job in book.starts(arms)]
    jobs += [book.arm(arm) for arm in sorted(arms, key=_effort, reverse=True) for book in books]
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=10))
    return Study(name=name, jobs=tuple(jobs))


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
        world = self.setting.world
        given = None if first is None else FirstAttempts(f"@{first}-{self.seed}/attempts.jsonl", share=1.0)
        return Correction(
            problems=SignedSumProblems(world, split),
            verifier=SignedSums(),
            format=Plain("{question}", REVISE),
            episodes=episodes or self.setting.episodes,
            max_new_tokens=world.attempt_length,
            max_prompt_tokens=world.prompt_length,
            first_attempts=given,
        )

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

    def starts(self, arms: tuple[str, ...]) -> list[Job]:
        """The base, the first attempts of it that others are to correct, and its episodes to be imitated."""
        s, subject, after = self.setting, Subject(self.base, TOKENIZER, self.seed), (f"pretrained-{self.seed}",)
        run = base_run(f"pretrained-{self.seed}", self.seed, s.world, s.base_steps)
        jobs = [Job(run.name, Train(run), ("tokenizer",), effort=60)]
        splits: tuple[Split, ...] = ("test", "validation")
        for split in splits:
            found = Collect(subject, self.task(split, s.test_episodes), len(s.world.problems(split)), ())
            jobs.append(Job(f"fixed_{split}-{self.seed}", found, after, effort=2))
        if any(arm.startswith(("pair_sft", "offline_only")) for arm in arms):
            pairs = Collect(subject, self.task(), s.steps * s.problems, ("pair_sft", "pair_sft_plus"))
            jobs.append(Job(f"collected-{self.seed}", pairs, after, effort=25))
        return jobs

    def arm(self, name: str) -> Job:
        """The job that trains and examines one trial of an arm."""
        job, effort = f"{name}-{self.seed}", _effort(name)
        after = (f"fixed_test-{self.seed}", f"fixed_validation-{self.seed}")
        kind, _, number = name.replace("_rate_", "_kl_").partition("_kl_")
        if name in UNTRAINED:
            return Job(job, self._untrained(name), after, effort)
        if kind in SUPERVISED:
            needs = (f"collected-{self.seed}",) if kind.startswith("pair_sft") else ()
            return Job(job, self._imitating(job, kind, float(number)), (*after, *needs), effort)
        needs = (f"collected-{self.seed}",) if kind == "offline_only" else ()
        run = self._run(job, self._phases(kind, float(number)))
        return Job(job, TrainAndExamine(run, self.exams()), (*after, *needs), effort)

    def _untrained(self, name: str) -> Examine:
        subject, exams = Subject(self.base, TOKENIZER, EXAM_SEED), self.exams()
        if name == "self_refine":
            exams = {what: exams[what] for what in ("test", "greedy", "validation")}
            exams = {what: replace(exam, task=replace(exam.task, turns=REFINED)) for what, exam in exams.items()}
        return Examine(subject, exams)

    def _imitating(self, job: str, kind: str, rate: float) -> TrainOnTraces:
        s = self.setting
        rounds = s.star_rounds if kind.startswith("star") else 1
        steps, batch = max(1, s.steps // rounds), s.problems * s.episodes
        phase = Phase(NTP(on="suffix"), Steps(steps), _rate(rate), documents_per_step=batch)
        collected = None if rounds > 1 else f"@collected-{self.seed}/{kind}.npz"
        run = self._run(job, (phase,), Traces(collected or "of the round", s.world.attempt_length))
        return TrainOnTraces(run, self.task(), kind, steps * s.problems, self.exams(), rounds, collected)

    def _phases(self, kind: str, weight: float) -> tuple[Phase, ...]:
        s = self.setting
        effort = Effort(s.steps, s.problems, _rate(s.rate), s.stage_one, s.delta)
        first, second = StageOne(beta2=s.beta2, beta1=s.stage_one_kl), StageTwo(alpha=s.alpha, beta1=weight)
        if kind == SCORE:
            return score(self.task(), effort, first, second)
        if kind in ("single_turn", "naive_multi_turn"):
            return baselines(self.task(), effort, weight)[kind]
        task = self.task(first="collected" if kind == "offline_only" else None)
        return ablations(task, effort, first, second)[kind]

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


def _rate(peak: float) -> LearningRate:
    return LearningRate(peak, warmup_steps=10, shape="constant")


def _effort(name: str) -> float:
    """Seconds on a core, roughly; longest first keeps two workers busy to the end."""
    if name in UNTRAINED:
        return 5
    return 60 if name.startswith(("star", "pair_sft")) else 90
