"""SCoRe, its ablations and its baselines in the world of signed sums, at an equal number of sampled episodes."""

from collections.abc import Iterable, Mapping

from tutelage.evidence.claims import Claim
from tutelage.evidence.score import ScoreEvidenceReport, ScoreReport
from tutelage.evidence.score.choosing import FILE, ChooseTrial, TrainChosen
from tutelage.evidence.score.claims import BOTH, CLAIMS, NAIVE, SCORE, SUPERVISED, kl
from tutelage.evidence.score.settings import DEMO, DEMO_SEEDS, KLS, RATES, SEEDS, TUNED, Setting
from tutelage.recipes.score_book import UNTRAINED, Book, effort
from tutelage.study import Job, Study
from tutelage.worlds.signed_sum.start import WriteSumTokenizer

LEASHED = ("single_turn", NAIVE, BOTH, SCORE, "no_stage_1", "no_shaping", "offline_only")
UNSHAPED = (NAIVE, "no_shaping")
"""Arms whose second attempts are SCoRe's without the bonus, which multiplies what they learn by 1 + α: one leash more,
as heavy against the reward as SCoRe's heaviest. Against its middle one that of .01 nearly is."""


def score_world(seeds: tuple[int, ...] = DEMO_SEEDS) -> Study:
    """SCoRe beside Pair-SFT and naive multi-turn RL at two leashes, in minutes: every arm at equal sampled episodes.

    ``summary.json`` has first and second attempts of every arm, sampled and greedy, and votes; ``report.html`` shows
    them. Each seed has a base of its own.
    """
    shown = {
        "base": "base",
        "pair_sft": trial("pair_sft", RATES[0]),
        "naive_multi_turn": kl(NAIVE, KLS[0]),
        "naive_multi_turn_kl_0.1": kl(NAIVE, 0.1),
        "naive_multi_turn_both": kl(BOTH, KLS[0]),
        "score": kl(SCORE, KLS[0]),
        "score_kl_0.1": kl(SCORE, 0.1),
    }
    return world_study("score_world", DEMO, seeds, tuple(shown.values()), ScoreReport(seeds, shown))


def score_evidence(only: tuple[str, ...] = ()) -> Study:
    """What SCoRe's paper claims (R1 to R7) and we do (R8), in the world of signed sums: every baseline, five seeds.

    ``--only R4 R5`` trains what these claims need and no more; jobs that are done are passed over.
    """
    return evidence_study(selected(only), Setting(), SEEDS)


def evidence_study(claims: tuple[Claim, ...], setting: Setting, seeds: tuple[int, ...]) -> Study:
    """All trials of the arms that ``claims`` are about, the base always, and the report on them.

    Trials are on the first ``TUNED`` seeds; the others have the one that these choose, and those that a claim names.
    """
    named = {"base"} | {arm.partition("_kl_")[0] for claim in claims for arm in claim.arms}
    trials = {arm: found for arm, found in trials_of(setting).items() if arm in named}
    everywhere = {arm for claim in claims for arm in claim.arms} | set(UNTRAINED)
    names = tuple(name for found in trials.values() for name in found)
    books = [Book(setting, seed) for seed in seeds]
    first, later = books[:TUNED], books[TUNED:]
    jobs = [*_starts(setting, books, names), *_trials(first, names)]
    jobs += _trials(later, tuple(name for name in names if name in everywhere))
    for arm, found in trials.items():
        if rest := tuple(name for name in found if name not in everywhere and later):
            jobs += _chosen(arm, found, rest, first, later)
    tuned = tuple(book.seed for book in first)
    report = ScoreEvidenceReport(seeds, trials, tuple(claim.id for claim in claims), tuned)
    return _reported("score_evidence", jobs, report)


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


def trials_of(setting: Setting) -> Mapping[str, tuple[str, ...]]:
    """Equal trials: three leashes of every arm of RL, three learning rates of every supervised one; ``UNSHAPED``."""
    found: dict[str, tuple[str, ...]] = {arm: (arm,) for arm in UNTRAINED}
    found |= {arm: tuple(trial(arm, rate) for rate in RATES) for arm in SUPERVISED}
    found |= {arm: tuple(kl(arm, weight) for weight in KLS) for arm in LEASHED}
    light = round(KLS[-1] / (1 + setting.alpha), 4)
    return found | {arm: (*found[arm], kl(arm, light)) for arm in UNSHAPED}


def world_study(
    name: str, setting: Setting, seeds: tuple[int, ...], trials: tuple[str, ...], report: ScoreReport
) -> Study:
    """Bases, what is collected of them, every trial once a seed, and the report."""
    books = [Book(setting, seed) for seed in seeds]
    return _reported(name, [*_starts(setting, books, trials), *_trials(books, trials)], report)


def _starts(setting: Setting, books: Iterable[Book], trials: tuple[str, ...]) -> list[Job]:
    tokenizer = Job("tokenizer", WriteSumTokenizer(setting.world), effort=1)
    return [tokenizer, *(job for book in books for job in book.starts(trials))]


def _trials(books: Iterable[Book], trials: tuple[str, ...]) -> list[Job]:
    books = tuple(books)
    return [book.arm(name) for name in sorted(trials, key=effort, reverse=True) for book in books]


def _chosen(
    arm: str, trials: tuple[str, ...], rest: tuple[str, ...], first: Iterable[Book], later: Iterable[Book]
) -> list[Job]:
    """Choose an arm's trial on the first seeds; train it on the later ones where it is one of the ``rest``."""
    first, name = tuple(first), f"chosen_{arm}"
    tried = tuple(f"{one}-{book.seed}" for one in trials for book in first)
    jobs = [Job(name, ChooseTrial(trials, tuple(book.seed for book in first)), tried, effort=1)]
    share = len(rest) / len(trials)
    for book in later:
        work = TrainChosen(f"@{name}/{FILE}", {one: book.work(one) for one in rest})
        jobs.append(Job(f"{arm}-{book.seed}", work, (name, *book.arm(rest[0]).after), share * effort(rest[0])))
    return jobs


def _reported(name: str, jobs: list[Job], report: ScoreReport | ScoreEvidenceReport) -> Study:
    last = Job("report", report, tuple(job.name for job in jobs), effort=10)
    return Study(name=name, jobs=(*jobs, last))
