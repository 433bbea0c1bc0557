"""When a phase ends, and when a run must stop."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from tests.tiny import tiny_phase

from tutelage.phases import (
    Frozen,
    Limit,
    Progress,
    Steps,
    StepsOfRun,
    Synced,
    TrainedTokens,
    WhenAbove,
    broken_limits,
)


def test_phases_end_by_steps_and_by_tokens():
    progress = Progress(phase_step=3, phase_tokens=90.0)
    assert (progress.share(Steps(4)), progress.share(TrainedTokens(180))) == (0.75, 0.5)
    assert progress.is_over(Steps(3)) and not progress.is_over(Steps(4))
    assert progress.is_over(TrainedTokens(90)) and not progress.is_over(TrainedTokens(91))


def test_a_phase_may_end_where_the_run_has_made_so_many_updates_whatever_came_before():
    early, late = Progress(step=20, phase_step=10), Progress(step=50, phase_step=10)
    assert (early.share(StepsOfRun(60)), late.share(StepsOfRun(60))) == (0.2, 0.5)
    assert early.most_left(StepsOfRun(60)) == 40 and not early.is_over(StepsOfRun(21))
    assert early.is_over(StepsOfRun(20)) and Progress(step=70).is_over(StepsOfRun(60))


def test_a_measured_rule_waits_for_a_whole_window():
    rule = WhenAbove("chosen/rollout", 0.5, window=3, at_most=10)
    assert not Progress(phase_step=2, history=(("chosen/rollout", (1.0, 1.0)),)).is_over(rule)
    assert Progress(phase_step=4, history=(("chosen/rollout", (0.0, 0.5, 0.5, 0.5)),)).is_over(rule)
    assert not Progress(phase_step=4, history=(("chosen/rollout", (9.0, 0.5, 0.4, 0.5)),)).is_over(rule)
    assert Progress(phase_step=10).is_over(rule)


def test_histories_hold_the_last_values_of_what_is_watched():
    progress = Progress(history=(("a", (1.0, 2.0)), ("dropped", (9.0,))))
    watch = {"a": 2, "b": 1}
    assert progress.remember({"a": 3.0, "other": 5.0}, watch).history == (("a", (2.0, 3.0)), ("b", ()))
    assert progress.remember({}, watch).history == (("a", (1.0, 2.0)), ("b", ()))


def test_the_next_phase_counts_and_measures_anew():
    progress = Progress(step=5, phase=0, phase_step=5, phase_tokens=9.0, trained_tokens=9.0, history=(("a", (1.0,)),))
    assert progress.next_phase() == Progress(step=5, phase=1, trained_tokens=9.0)


def test_a_reference_is_synced_at_multiples_of_the_phases_steps():
    assert [step for step in range(7) if Synced(3).is_due(step)] == [0, 3, 6]
    assert not any(Frozen().is_due(step) for step in range(7))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1.0, 3.0), None),
        ((3.0,), None),
        ((2.0, 3.1), "nll is 2.55, above its limit of 2.5"),
        ((0.1, 0.2), "nll is 0.15, below its limit of 1"),
    ],
)
def test_a_limit_is_a_range_of_the_mean_over_its_window(values: tuple[float, ...], words: str | None):
    limits = (Limit("other", above=0.0), Limit("nll", below=1.0, above=2.5, window=2))
    assert next(iter(broken_limits(limits, Progress(history=(("nll", values),))).values()), None) == words


def test_a_limit_says_what_it_means_where_it_was_told():
    limits = (Limit("pool/tie", above=0.5, why="nothing is learnt"),)
    told = broken_limits(limits, Progress(history=(("pool/tie", (0.9,)),)))[limits[0]]
    assert told == "pool/tie is 0.9, above its limit of 0.5: nothing is learnt"


def test_impossible_phases_are_refused():
    with pytest.raises(ValueError, match="documents_per_step must be at least 1, not 0"):
        tiny_phase(documents_per_step=0)
    with pytest.raises(ValueError, match=r"taught_share must lie in \[0, 1\], not 1.5"):
        tiny_phase(taught_share=1.5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Steps(0), "count must be at least 1, not 0"),
        (lambda: TrainedTokens(0), "count must be at least 1, not 0"),
        (lambda: WhenAbove("nll", 1.0, window=0), "window must be at least 1, not 0"),
        (lambda: WhenAbove("nll", 1.0, at_most=0), "at_most must be at least 1, not 0"),
        (lambda: WhenAbove("nll", math.nan), "threshold must be finite, not nan"),
        (lambda: Synced(0), "every must be at least 1, not 0"),
        (lambda: Limit("nll"), "the limit on nll needs a bound: below, above, or both"),
        (lambda: Limit("nll", below=math.nan), "below must be finite, not nan"),
        (lambda: Limit("nll", above=math.inf), "above must be finite, not inf"),
        (lambda: Limit("nll", above=1.0, window=0), "window must be at least 1, not 0"),
    ],
)
def test_rules_that_could_never_hold_are_refused(make: Callable[[], Any], words: str):
    with pytest.raises(ValueError, match=f"^{words}$"):
        make()
