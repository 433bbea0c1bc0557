"""What is trained on top of a base: most arms of the evidence, each as phases."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tutelage.evidence.costs import equal_compute_steps, equal_compute_tokens
from tutelage.evidence.probes import AbusiveRewriter, MisledJudge, PrecisionJudge
from tutelage.evidence.settings import Method, Setting
from tutelage.judges import RandomJudge, RepetitionJudge, ShuffledJudge
from tutelage.objectives import NTP, SFT, OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Reference, Steps, Synced, TrainedTokens, Until
from tutelage.protocols import JudgeSpec, SourceSpec, StreamSpec
from tutelage.schedules import Pivot
from tutelage.sources import RewriteSource, RolloutSource, SuffixSource
from tutelage.stream import JudgedStream
from tutelage.worlds.facts import (
    FactsJudge,
    FactsRewriter,
    FactsStream,
    FactsTeacher,
)


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to go on."""

    name: str
    phases: tuple[Phase, ...]
    stream: StreamSpec
    start: str = "base"
    """Whose weights it continues: an arm's name; empty for none."""
    effort: float = 30.0
    """Seconds on a core, roughly; only the progress bar reads it."""
    watched_every: int = 0
    """Updates after which the truth is measured during training too; 0 for never."""


@dataclass(frozen=True, slots=True)
class Book:
    """Writes the arms of one setting."""

    setting: Setting

    @property
    def judge(self) -> FactsJudge:
        """The oracle, as noisy as the setting says."""
        return FactsJudge(self.setting.world, noise=self.setting.judge_noise)

    def rewrite(self, error: float | None = None) -> RewriteSource:
        """The oracle's rewrite with the setting's error, or another."""
        return RewriteSource(FactsRewriter(self.setting.world, self.setting.rewriter_error if error is None else error))

    def pool(self, rollouts: int | None = None, *, suffix: bool = True, rewrite: bool = True) -> tuple[SourceSpec, ...]:
        """Suffix, rewrite and rollouts, as far as asked for."""
        found: list[SourceSpec] = [SuffixSource()] if suffix else []
        found += [self.rewrite()] if rewrite else []
        return (*found, RolloutSource(num_rollouts=rollouts or self.setting.num_rollouts))

    def arm(
        self,
        name: str,
        method: Method,
        sources: tuple[SourceSpec, ...] = (),
        judges: tuple[JudgeSpec, ...] = (),
        *,
        until: Until | None = None,
        reference: Reference | None = None,
        taught: float = 1.0,
        stream: StreamSpec | None = None,
        effort: float = 30.0,
    ) -> Arm:
        """One phase that continues the base at the setting's tokens."""
        phase = self.phase(method, until or TrainedTokens(self.setting.tokens), sources, judges, taught)
        if reference is not None:
            phase = replace(phase, reference=reference)
        return Arm(name, (phase,), stream or self.corpus("continued"), effort=effort)

    def phase(
        self,
        method: Method,
        until: Until,
        sources: tuple[SourceSpec, ...] = (),
        judges: tuple[JudgeSpec, ...] = (),
        taught: float = 1.0,
    ) -> Phase:
        """A stretch with a method's own rate."""
        rate = LearningRate(method.learning_rate, warmup_steps=20)
        documents = method.documents_per_step
        return Phase(method.objective, until, rate, sources, judges, documents_per_step=documents, taught_share=taught)

    def corpus(self, name: str) -> FactsStream:
        """The spoilt corpus; other names give other documents."""
        return FactsStream(self.setting.world, corpus=f"facts-{name}")


def base(book: Book) -> Arm:
    """From nothing, by plain next-token prediction; what all others continue."""
    phase = book.phase(Method(NTP(), 4e-3), Steps(book.setting.base_steps))
    return Arm("base", (phase,), book.corpus("base"), start="", effort=50)


def methods(book: Book) -> Iterator[Arm]:
    """The objectives side by side, pool of suffix, rewrite and K rollouts."""
    s, pool, judges = book.setting, book.pool(), (book.judge,)
    yield book.arm("ntp", s.ntp, effort=9)
    yield book.arm("sft", s.sft, (book.rewrite(),), effort=10)
    yield book.arm("rf_nll", s.rf_nll, pool, judges, effort=38)
    yield book.arm("online_dpo", s.online_dpo, pool, judges, effort=34)
    yield book.arm("grpo", s.grpo, pool, judges, effort=20)
    yield book.arm("judge_free", s.judge_free, (book.rewrite(), RolloutSource(num_rollouts=1)), effort=20)
    own = replace(s.sft, objective=SFT("rollout", ntp_weight=0.0))
    yield book.arm("sft_rollout", own, (RolloutSource(num_rollouts=1),), effort=20)


def equal_compute(book: Book) -> Iterator[Arm]:
    """What is cheaper by the token, given the FLOPs of online DPO; teachers free, and teachers counted."""
    s = book.setting
    for name, method, sources, judges in (
        ("ntp", s.ntp, (), ()),
        ("sft", s.sft, (book.rewrite(),), ()),
        ("grpo", s.grpo, book.pool(), (book.judge,)),
    ):
        tokens = equal_compute_tokens(s, method.objective)
        yield book.arm(f"{name}_compute", method, sources, judges, until=TrainedTokens(tokens), effort=28)
    tokens = equal_compute_tokens(s, s.ntp.objective, teachers=True)
    yield book.arm("ntp_all_compute", s.ntp, until=TrainedTokens(tokens), effort=600)


def pools(book: Book) -> Iterator[Arm]:
    """Rollouts alone, with the suffix, with suffix and rewrite; K from 1 to 16. ``online_dpo`` is all three at 8."""
    s = book.setting
    yield book.arm("rollouts-16", s.online_dpo, book.pool(16, suffix=False, rewrite=False), (book.judge,), effort=48)
    for count in (1, 2, 4, 8, 16):
        seconds = 18 + 2.0 * count
        yield book.arm(f"suffix-{count}", s.online_dpo, book.pool(count, rewrite=False), (book.judge,), effort=seconds)
        if count != s.num_rollouts:
            yield book.arm(f"all-{count}", s.online_dpo, book.pool(count), (book.judge,), effort=seconds)


def judging(book: Book) -> Iterator[Arm]:
    """One axis at a time, the pivot, noisy judges, placebos."""
    s, world = book.setting, book.setting.world
    for axis in ("quality", "factuality", "safety"):
        yield book.arm(f"{axis}_only", s.online_dpo, book.pool(), (FactsJudge(world, axes=(axis,)),))
    pivot = FactsJudge(world, axes=("quality",), schedule=Pivot())
    yield book.arm("pivot", s.online_dpo, book.pool(), (pivot,))
    for percent in (15, 30, 45):
        noisy = FactsJudge(world, noise=percent / 100)
        yield book.arm(f"noise-{percent}", s.online_dpo, book.pool(), (noisy,))
    placebos = {"random": RandomJudge(), "shuffled": ShuffledJudge(book.judge), "repetition": RepetitionJudge()}
    for name, placebo in placebos.items():
        yield book.arm(f"placebo-{name}", s.online_dpo, book.pool(), (placebo,))
    longer = TrainedTokens(3 * s.tokens)
    over = book.arm("overtrained", s.online_dpo, book.pool(), (FactsJudge(world, noise=0.3),), until=longer, effort=100)
    yield replace(over, watched_every=60)
    yield book.arm("misled", s.online_dpo, book.pool(), (MisledJudge(world),))
    over = book.arm("misled_overtrained", s.online_dpo, book.pool(), (MisledJudge(world),), until=longer, effort=100)
    yield replace(over, watched_every=60)


def timing(book: Book) -> Iterator[Arm]:
    """Some documents taught, at the compute of teaching all of fewer."""
    s = book.setting
    for percent in (1, 5, 25):
        until = Steps(equal_compute_steps(s, percent / 100))
        yield book.arm(
            f"share-{percent}",
            s.online_dpo,
            book.pool(),
            (book.judge,),
            until=until,
            taught=percent / 100,
            effort=30,
        )


def terms(book: Book) -> Iterator[Arm]:
    """Online DPO without its terms, and with a reference that follows the policy."""
    s = book.setting
    for name, nll, ntp in (("no_nll", 0.0, None), ("no_ntp", None, 0.0), ("bare", 0.0, 0.0)):
        objective = s.online_dpo.objective
        assert isinstance(objective, OnlineDPO)
        objective = replace(
            objective,
            nll_weight=objective.nll_weight if nll is None else nll,
            ntp_weight=objective.ntp_weight if ntp is None else ntp,
        )
        yield book.arm(name, replace(s.online_dpo, objective=objective), book.pool(), (book.judge,))
    for every in (1, 5, 10):
        yield book.arm(f"sync-{every}", s.online_dpo, book.pool(), (book.judge,), reference=Synced(every))


def data(book: Book) -> Iterator[Arm]:
    """Controls that use the same teachers on data: the corpus filtered by the judge, the teacher's own text."""
    s, world = book.setting, book.setting.world
    pointwise = FactsJudge(world, quality="pointwise")
    kept = JudgedStream(book.corpus("continued"), pointwise, {"safety": 1.0, "factuality": 0.5})
    yield book.arm("ntp_filtered", s.ntp, stream=kept, effort=14)
    teacher = RewriteSource(FactsTeacher(world, s.rewriter_error))
    yield book.arm("sft_teacher", s.sft, (teacher,), effort=10)


def world_map(book: Book) -> Iterator[Arm]:
    """Rewriter error × judge noise × objective; the cell of the setting's own error without noise is there already."""
    s = book.setting
    for error in (0, 15, 30, 50):
        cell = Book(replace(s, rewriter_error=error / 100))
        rewrite = (cell.rewrite(),)
        if error != 30:
            yield book.arm(f"map-e{error}-sft", s.sft, rewrite, effort=10)
            tokens = TrainedTokens(equal_compute_tokens(s, s.sft.objective))
            yield book.arm(f"map-e{error}-sft_compute", s.sft, rewrite, until=tokens, effort=24)
        for noise in (0, 15, 30):
            if (error, noise) == (30, 0):
                continue
            judges = (FactsJudge(s.world, noise=noise / 100),)
            for name in ("rf_nll", "online_dpo", "grpo"):
                if (error, name, noise) in ((30, "online_dpo", 15), (30, "online_dpo", 30)):
                    continue  # noise-15 and noise-30
                yield book.arm(f"map-e{error}-n{noise}-{name}", getattr(s, name), cell.pool(), judges)


def causes(book: Book) -> Iterator[Arm]:
    """What tests why a claim did not reproduce: one thing taken away at a time."""
    s, world, rollouts = book.setting, book.setting.world, book.pool(suffix=False, rewrite=False)
    abusive = RewriteSource(AbusiveRewriter(FactsRewriter(world, s.rewriter_error)))
    yield book.arm("judge_free_abusive", s.judge_free, (abusive, RolloutSource(num_rollouts=1)), effort=20)
    judges: dict[str, JudgeSpec] = {
        "factuality": FactsJudge(world, axes=("factuality",)),
        "quality": FactsJudge(world, axes=("quality",)),
        "precision": PrecisionJudge(world),
    }
    for name, judge in judges.items():
        yield book.arm(f"{name}_rollouts", s.online_dpo, rollouts, (judge,))
    pools = {"rollouts": (False, False), "suffix": (True, False), "all": (True, True)}
    for name, (suffix, rewrite) in pools.items():
        pool, until = book.pool(16, suffix=suffix, rewrite=rewrite), TrainedTokens(s.tokens // 6)
        yield book.arm(f"early-{name}-16", s.online_dpo, pool, (book.judge,), until=until, effort=10)
    for name, suffix, rewrite in (("rollouts", False, False), ("suffix", True, False), ("all", True, True)):
        pool = book.pool(16, suffix=suffix, rewrite=rewrite)
        yield book.arm(f"noisy-{name}-16", s.online_dpo, pool, (FactsJudge(world, noise=0.3),), effort=55)
