"""Arms that get the whole compute of online DPO, its teachers' included: who asks less trains for longer."""

from collections.abc import Iterator
from dataclasses import replace

from tutelage.evidence.arms import Arm, Book
from tutelage.evidence.costs import equal_compute_steps, equal_compute_tokens
from tutelage.phases import Steps, TrainedTokens

LATE = 0.25
"""Share of the steps that ``after`` arms teach all of, and ``share-25`` arms a quarter of."""


def in_all(book: Book) -> Iterator[Arm]:
    """SFT, also on rewrites without error, GRPO and RF-NLL; a share of documents taught."""
    s, pool, judges = book.setting, book.pool(), (book.judge,)
    sft, grpo = (equal_compute_tokens(s, m.objective, teachers=True) for m in (s.sft, s.grpo))
    yield book.arm("grpo_all_compute", s.grpo, pool, judges, until=TrainedTokens(grpo), effort=25)
    filtered = equal_compute_tokens(s, s.rf_nll.objective, teachers=True)
    yield book.arm("rf_nll_all_compute", s.rf_nll, pool, judges, until=TrainedTokens(filtered), effort=28)
    yield book.arm("sft_all_compute", s.sft, (book.rewrite(),), until=TrainedTokens(sft), effort=sft / 3e4)
    perfect = (book.rewrite(0.0),)
    yield book.arm("sft_all_compute-e0", s.sft, perfect, until=TrainedTokens(sft), effort=sft / 3e4)
    for percent in (1, 5, 25):
        steps, share = equal_compute_steps(s, percent / 100, teachers=True), percent / 100
        name, effort = f"share_all-{percent}", steps * (0.02 + 0.12 * share)
        yield book.arm(name, s.online_dpo, pool, judges, until=Steps(steps), taught=share, effort=effort)


def after(book: Book) -> Iterator[Arm]:
    """Pretraining first and all of the teaching last, at three budgets or rates.

    ``after`` at the policy's compute, ``after_rate`` with online DPO's learning rate all along, ``after_all`` at the
    compute of all.
    """
    s = book.setting
    fast = replace(s.ntp, learning_rate=s.online_dpo.learning_rate)
    for name, first, teachers in (("after", s.ntp, False), ("after_rate", fast, False), ("after_all", s.ntp, True)):
        steps = equal_compute_steps(s, LATE, teachers=teachers)
        last = round(LATE * steps)
        phases = (
            book.phase(first, Steps(steps - last)),
            book.phase(s.online_dpo, Steps(last), book.pool(), (book.judge,)),
        )
        yield Arm(name, phases, book.corpus("continued"), effort=30 if not teachers else 60)
