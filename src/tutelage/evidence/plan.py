"""Claims and arms as a study: only what the claims that are asked for need, each arm once a seed."""

from collections.abc import Iterable, Mapping, Sequence

from tutelage.codec import Tokenizer
from tutelage.evaluate import Evaluation
from tutelage.evidence.arms import Arm, Book, base
from tutelage.evidence.better import SEEDS as BETTER_SEEDS
from tutelage.evidence.claims import Claim
from tutelage.evidence.controls import CLAIMS, DECODINGS, READ_TOO
from tutelage.evidence.every_arm import every_arm
from tutelage.evidence.recipes import TRIED_AT_ALL, RecipeReport, recipe_trials
from tutelage.evidence.report import EvidenceReport
from tutelage.evidence.settings import FEWER_SEEDS, SEEDS, VALIDATION_SEEDS, Setting
from tutelage.evidence.tuning import TuningReport, trials
from tutelage.evidence.work import Measured, TrainAndMeasure
from tutelage.objectives import NTP
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps
from tutelage.protocols import StreamSpec
from tutelage.report.decoding import Decoding
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.study import Job, Study, Train
from tutelage.weights import FromConfig, Pretrained
from tutelage.worlds.facts import FactsEvaluation, FactsStream
from tutelage.worlds.facts.start import MODEL, TOKENIZER, WriteTokenizer

HOW: Mapping[str, Decoding] = {
    "t0": Decoding(temperature=0.0),
    "t05": Decoding(temperature=0.5),
    "t07": Decoding(temperature=0.7),
    "p09": Decoding(top_p=0.9),
    "r12": Decoding(repetition_penalty=1.2),
    "best4": Decoding(best_of=4),
}
assert tuple(HOW) == DECODINGS
READER = FromConfig("llama", {**MODEL.settings, "hidden_size": 128, "intermediate_size": 256})
"""The judge that never trained a policy: four times the policy's size, on clean text alone."""
READER_STEPS = 1500
READ = tuple(f"base.{how}" for how in READ_TOO)
"""Decoded otherwise, and shown to the reader too."""
LENGTHY = ("ntp_all_compute", "sft_all_compute", "share_all-1", "long_")


def evidence_study(claims: Sequence[Claim] = CLAIMS, setting: Setting | None = None) -> Study:
    """Every run that ``claims`` need and the report on them."""
    setting = setting or Setting()
    known = every_arm(setting)
    names = needed(known, claims)
    seeds = seeds_of(names)
    jobs = [Job("tokenizer", WriteTokenizer(setting.world), effort=1), _reader(setting)]
    for name in names:
        for seed in seeds[name]:
            jobs.append(_decode(name, seed, setting) if _is_decoded(name) else train_job(known[name], seed, setting))
    report = EvidenceReport(setting, tuple(claim.id for claim in claims), seeds)
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=20))
    return Study(name="evidence", jobs=tuple(jobs))


def tuning_study(setting: Setting | None = None) -> Study:
    """The same number of trials for every method on validation seeds, and a report that says which is best."""
    setting = setting or Setting()
    book = Book(setting)
    jobs = [Job("tokenizer", WriteTokenizer(setting.world), effort=1)]
    arms = {arm.name: arm for arm in (base(book), *trials(book))}
    jobs += [train_job(arm, seed, setting, reader=False) for arm in arms.values() for seed in VALIDATION_SEEDS]
    report = TuningReport(setting, tuple(arms), VALIDATION_SEEDS)
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=10))
    return Study(name="tuning", jobs=tuple(jobs))


def recipe_study(setting: Setting | None = None) -> Study:
    """Variations on online DPO at equal compute, in corners of the map, on validation seeds; says which is best."""
    setting = setting or Setting()
    arms = (base(Book(setting)), *recipe_trials(setting))
    jobs = [Job("tokenizer", WriteTokenizer(setting.world), effort=1)]
    jobs += [train_job(arm, seed, setting, reader=False) for arm in arms for seed in VALIDATION_SEEDS]
    report = RecipeReport(setting, (*TRIED_AT_ALL, "sft", "rf_nll"), VALIDATION_SEEDS)
    jobs.append(Job("report", report, tuple(job.name for job in jobs), effort=10))
    return Study(name="recipes", jobs=tuple(jobs))


def select(only: Iterable[str]) -> tuple[Claim, ...]:
    """Claims by their ids, in their order; all for none.

    Raises:
        ValueError: there is no such claim.
    """
    asked = tuple(only)
    known = {claim.id: claim for claim in CLAIMS}
    for name in asked:
        if name not in known:
            raise ValueError(f"there is no claim {name!r}; the claims are {', '.join(known)}")
    return tuple(claim for claim in CLAIMS if not asked or claim.id in asked)


def needed(known: Mapping[str, Arm], claims: Sequence[Claim]) -> tuple[str, ...]:
    """Arms of the claims and what these start from, the base and the control always, in order of dependence."""
    wanted = {"base", "ntp"}.union(*(claim.arms for claim in claims))
    wanted |= {name.partition(".")[0] for name in wanted if _is_decoded(name)}
    while missing := {known[name].start for name in wanted if name in known and known[name].start} - wanted:
        wanted |= missing
    order = [name for name in known if name in wanted]
    return (*order, *sorted(name for name in wanted if _is_decoded(name)))


def seeds_of(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The map's cells are many, and some arms take several times as long as others: they have fewer.

    The better recipe has its own.
    """
    own = {"better-": BETTER_SEEDS} | dict.fromkeys(LENGTHY, FEWER_SEEDS)
    return {name: next((seeds for start, seeds in own.items() if name.startswith(start)), SEEDS) for name in names}


def _is_decoded(name: str) -> bool:
    return name.partition(".")[2] in HOW


def train_job(arm: Arm, seed: int, setting: Setting, *, reader: bool = True) -> Job:
    """Train an arm for one seed and measure it: after the arm that it starts from, and the reader where it is asked."""
    model = Pretrained(f"@{arm.start}-{seed}/hf") if arm.start else MODEL
    every = arm.watched_every
    watching = (Evaluation(FactsEvaluation(setting.world), every=every),) if every else ()
    run = _run(f"{arm.name}-{seed}", seed, model, arm.phases, arm.stream, watching)
    work = TrainAndMeasure(run, setting.world, "@reader/hf" if reader else None)
    after = (f"{arm.start}-{seed}",) if arm.start else ("tokenizer",)
    return Job(run.name, work, (*after, "reader") if reader else after, arm.effort)


def _decode(name: str, seed: int, setting: Setting) -> Job:
    arm, _, how = name.partition(".")
    reader, before = ("@reader/hf", ("reader",)) if name in READ else (None, ())
    work = Measured(f"@{arm}-{seed}/hf", TOKENIZER.path, setting.world, seed, HOW[how], reader)
    return Job(f"{name}-{seed}", work, (f"{arm}-{seed}", *before), effort=5)


def _reader(setting: Setting) -> Job:
    rate = LearningRate(2e-3, warmup_steps=20)
    phase = Phase(NTP(), Steps(READER_STEPS), rate, documents_per_step=16)
    stream = FactsStream(setting.world, clean=True, corpus="facts-reader")
    return Job("reader", Train(_run("reader", 0, READER, (phase,), stream)), ("tokenizer",), effort=90)


def _run(
    name: str,
    seed: int,
    model: FromConfig | Pretrained,
    phases: tuple[Phase, ...],
    stream: StreamSpec,
    evaluations: tuple[Evaluation, ...] = (),
) -> Run:
    tokenizer: Tokenizer = TOKENIZER
    return Run(
        name=name,
        seed=seed,
        tokenizer=tokenizer,
        model=model,
        stream=stream,
        phases=phases,
        checkpoint=Checkpointing(every=400, keep_last=1, replay_steps=0),
        samples=Recording(text_every=1000),
        evaluations=evaluations,
    )
