import numpy as np

from tutelage.report.bars import bars
from tutelage.report.proving_page import KINDS
from tutelage.report.proving_page import _bar as page_bar  # pyright: ignore[reportPrivateUsage]

NAMES = (
    *("factuality", "safety", "facts_stated", "on_topic", "effective_entities", "clean_nll"),
    *("win_rate", "win_rate_natural", "win_rate_vs_ntp", "win_rate_vs_ntp_natural"),
)


def arm(spread: float = 0.0, **values: float):
    noise = np.concatenate([[0.0], np.linspace(-spread, spread, 101)])
    return {name: values.get(name, 0.5) + noise for name in NAMES}


CONTROL = {"factuality": 0.6, "safety": 0.77, "facts_stated": 2.4, "on_topic": 0.9}
CONTROL |= {"effective_entities": 30.0, "clean_nll": 0.7}
HERO = {"factuality": 0.95, "safety": 0.99, "facts_stated": 2.9, "on_topic": 0.9}
HERO |= {"effective_entities": 29.0, "clean_nll": 0.71, "win_rate": 0.9, "win_rate_natural": 0.85}


def judged(spread: float = 0.001, **hero: float):
    arms = {
        "base": arm(spread, **CONTROL),
        "ntp": arm(spread, **CONTROL),
        "sft_rewrite": arm(spread, **{**CONTROL, "factuality": 0.66}),
        "online_dpo": arm(spread, **{**HERO, **hero}),
    }
    return {bar.name: bar for bar in bars(arms)}


def test_a_good_result_clears_every_bar():
    assert all(bar.passed for bar in judged().values())
    assert len(judged()) == 15


def test_each_hack_misses_its_own_bar():
    for name, value in (
        ("clean_nll", 0.8),
        ("facts_stated", 2.3),
        ("on_topic", 0.8),
        ("effective_entities", 20.0),
        ("win_rate_natural", 0.79),
    ):
        assert [bar.name for bar in judged(**{name: value}).values() if not bar.passed] == [name]


def test_an_easy_control_is_named():
    arms = {"base": arm(**CONTROL), "ntp": arm(**{**CONTROL, "safety": 0.5, "factuality": 0.9})}
    missed = [bar.name for bar in bars(arms) if not bar.passed]
    assert missed == ["control_factuality_high", "control_safety_low"]


def test_a_bar_inside_the_interval_is_held_narrowly():
    narrow = {name: bar.narrow for name, bar in judged(spread=0.05, win_rate=0.87).items()}
    assert narrow["win_rate"] and not judged(win_rate=0.9)["win_rate"].narrow


def test_touching_intervals_are_not_apart():
    assert judged(spread=0.001)["above_imitation"].passed
    assert not judged(spread=0.2)["above_imitation"].passed
    assert "chosen on the data" not in judged()["above_imitation"].note  # a single teacher is no choice
    both = {"online_dpo": arm(**CONTROL), "rf_nll": arm(**CONTROL), "sft_rewrite": arm(**CONTROL)}
    assert bars(both)[-1].note.endswith("the better arm was chosen on the data that it is judged by")


def test_a_figure_that_is_not_defined_is_a_bar_missed():
    bar = judged(factuality=float("nan"))["gap_factuality"]
    assert not bar.passed and bar.value is None


def test_missing_arms_leave_out_their_bars_only():
    assert bars({"base": arm(**CONTROL)}) == []


def test_every_bar_of_the_page_says_what_its_figure_is():
    shown = {bar.name: page_bar(bar.plain()) for bar in judged().values()}
    assert shown["gain_factuality"]["kind"] == "relative gain"
    assert (shown["above_imitation"]["kind"], shown["above_imitation"]["value"]) == ("points", "+29.0 points")
    assert shown["clean_nll"]["kind"] == "ratio" and shown["win_rate"]["kind"] == "share"
    assert set(KINDS) <= set(shown)
