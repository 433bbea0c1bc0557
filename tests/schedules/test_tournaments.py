"""What holds for every schedule, whatever the judge says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.maths.bradley_terry import Belief
from tutelage.maths.credit import best_and_worst, win_rates
from tutelage.schedules import Adaptive, AllPairs, KnockOut, Pivot, Schedule, Seat, Swiss, Tournament
from tutelage.schedules.bracket import Bracket

SCHEDULES: tuple[Schedule, ...] = (
    AllPairs(),
    Pivot(),
    KnockOut(),
    Swiss(),
    Swiss(rounds=7),
    Adaptive(),
    Adaptive(budget=0.01),
    Adaptive(budget=1.0, repeats=3, breadth=2, tolerance=0.0),
)
schedules = st.sampled_from(SCHEDULES)
sizes = st.integers(2, 19)


def begin(schedule: Schedule, pools: int, num: int) -> Tournament:
    return schedule.begin([[Seat("rollout" if index else "suffix", index) for index in range(num)]] * pools)


def judged(tournament: Tournament, quality: np.ndarray, draw: np.random.Generator, noise: float = 0.0) -> Tournament:
    """The next round; with ``noise`` a share of the verdicts is a win, a loss, a tie or missing by lot."""
    first, second = tournament.pairs[:, :, 0], tournament.pairs[:, :, 1]
    rows = np.arange(len(quality))[:, None]
    lead = quality[rows, first] - quality[rows, second]
    won = np.where(lead == 0, 0.5, lead > 0)
    lot = draw.random(won.shape)
    won = np.where(lot < noise, draw.integers(0, 3, won.shape) / 2, won)
    answers = np.where((first >= 0) & ~(lot < noise / 4), 1.0, 0.0)
    return tournament.after(won * answers, answers)


@settings(max_examples=60, deadline=None)
@given(schedule=schedules, num=sizes, pools=st.integers(1, 3), seed=st.integers(0, 99), noise=st.sampled_from([0, 0.6]))
def test_every_pair_is_of_two_candidates_and_no_schedule_exceeds_its_budget(
    schedule: Schedule, num: int, pools: int, seed: int, noise: float
) -> None:
    draw = np.random.default_rng(seed)
    quality = draw.standard_normal((pools, num))
    tournament, met = begin(schedule, pools, num), np.zeros((pools, num, num), int)
    for _ in range(3 * num * num):
        pairs = tournament.pairs
        asked = pairs[:, :, 0] >= 0
        assert pairs.shape[0] == pools and np.array_equal(asked, pairs[:, :, 1] >= 0)
        if not asked.any():
            break
        rows, columns = np.nonzero(asked)
        low, high = pairs[rows, columns].min(1), pairs[rows, columns].max(1)
        assert (low < high).all() and (high < num).all() and (low >= 0).all()
        np.add.at(met, (rows, low, high), 1)
        tournament = judged(tournament, quality, draw, noise)
    else:
        raise AssertionError("it never ends")
    calls = met.sum((1, 2))
    match schedule:
        case AllPairs():
            assert (calls == num * (num - 1) // 2).all() and met.max() == 1
        case Pivot():
            assert (calls == num - 1).all() and met.max() == 1
        case KnockOut():
            assert (calls == 2 * (num - 1) - num // 2).all() and met.max() == 1
        case Swiss(rounds):
            assert (calls == rounds * (num // 2)).all()
        case Adaptive(budget, repeats):
            assert (calls <= max(num - 1, budget * num * (num - 1) / 2 + 1e-6)).all() and met.max() <= repeats
        case _:
            raise AssertionError(schedule)
    scores = tournament.scores
    assert scores.shape == (pools, num) and ((scores >= 0) & (scores <= 1) | np.isnan(scores)).all()


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from([AllPairs(), KnockOut(), Swiss(rounds=19), Adaptive(), Adaptive(budget=1.0, breadth=2)]),
    num=sizes,
    seed=st.integers(0, 999),
)
def test_a_judge_without_noise_finds_the_best_and_the_worst(schedule: Schedule, num: int, seed: int) -> None:
    if isinstance(schedule, Adaptive) and schedule.calls(num) < 2 * (num - 1) - num // 2:
        return
    draw = np.random.default_rng(seed)
    quality = draw.permuted(np.arange(num, dtype=float))[None]
    tournament = begin(schedule, 1, num)
    while (tournament.pairs >= 0).any():
        tournament = judged(tournament, quality, draw)
    scores = tournament.scores[0]
    assert scores.argmax() == quality.argmax() and scores.argmin() == quality.argmin()
    assert (scores == scores.max()).sum() == (scores == scores.min()).sum() == 1


@settings(max_examples=20, deadline=None)
@given(schedule=schedules, num=sizes, seed=st.integers(0, 99))
def test_how_many_pools_stand_side_by_side_changes_nothing(schedule: Schedule, num: int, seed: int) -> None:
    verdicts = np.random.default_rng(seed).choice([0.0, 0.5, 1.0, np.nan], (3, num, num))

    def answer(tournament: Tournament, own: np.ndarray) -> Tournament:
        first, second = tournament.pairs[:, :, 0], tournament.pairs[:, :, 1]
        points = own[np.arange(len(own))[:, None], first, second]
        answers = np.where(np.isnan(points) | (first < 0), 0.0, 1.0)
        return tournament.after(np.nan_to_num(points) * answers, answers)

    together, alone = begin(schedule, 3, num), [begin(schedule, 1, num) for _ in range(3)]
    while (together.pairs >= 0).any():
        for pool, one in enumerate(alone):
            mine = [tuple(pair) for pair in together.pairs[pool].tolist() if pair[0] >= 0]
            assert mine == [tuple(pair) for pair in one.pairs[0].tolist() if pair[0] >= 0]
        together = answer(together, verdicts)
        alone = [answer(one, verdicts[[pool]]) if (one.pairs >= 0).any() else one for pool, one in enumerate(alone)]
    assert np.array_equal(together.scores, np.concatenate([one.scores for one in alone]), equal_nan=True)


@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, None]), min_size=15, max_size=15), st.sampled_from([AllPairs(), Pivot()])
)
def test_schedules_of_one_round_give_win_rates(verdicts: list[float | None], schedule: Schedule) -> None:
    tournament = begin(schedule, 1, 6)
    pairs = [(i, j) for i, j in tournament.pairs[0].tolist()]
    results = [(i, j, v) for (i, j), v in zip(pairs, verdicts, strict=False) if v is not None]
    kept = verdicts[: len(pairs)]
    answers = np.array([[float(v is not None) for v in kept]])
    scores = tournament.after(np.array([[v or 0.0 for v in kept]]), answers).scores[0]
    assert np.array_equal(scores, [rate for rate, _ in win_rates(6, results)], equal_nan=True)


def test_a_pool_without_its_pivot_asks_nothing_beside_one_that_has_it() -> None:
    seated = [[Seat("b", 2), Seat("b", 0), Seat("a", 1)], [Seat("a", 0), Seat("c", 1), Seat("c", 2)]]
    tournament = Pivot("b").begin(seated)
    assert tournament.pairs.tolist() == [[[0, 1], [2, 1]], [[-1, -1], [-1, -1]]]  # the first in the pool, not by seat
    scores = tournament.after(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])).scores
    assert scores[0].tolist() == [1.0, 0.5, 0.0] and np.isnan(scores[1]).all()


def test_a_missing_verdict_moves_no_score_of_the_model() -> None:
    for schedule in (KnockOut(), Swiss(), Adaptive()):
        tournament = begin(schedule, 1, 5)
        while (tournament.pairs >= 0).any():
            none = np.zeros(tournament.pairs.shape[:2])
            tournament = tournament.after(none, none)
        assert np.allclose(tournament.scores, 0.5, atol=1e-12)
        assert best_and_worst(tournament.scores[0].tolist()) is None


def test_a_settled_pool_stops_while_another_goes_on() -> None:
    draw = np.random.default_rng(3)
    quality = np.stack([np.arange(16.0), np.zeros(16)])  # the second judge sees nothing but ties
    tournament, calls = begin(Adaptive(budget=1.0, tolerance=0.1), 2, 16), np.zeros(2, int)
    while (tournament.pairs >= 0).any():
        calls += (tournament.pairs[:, :, 0] >= 0).sum(1)
        tournament = judged(tournament, quality, draw)
    assert calls[0] < 40 < calls[1]


def test_swiss_rounds_do_not_repeat_a_pair_while_they_can_help_it() -> None:
    draw = np.random.default_rng(1)
    quality, tournament, seen = draw.standard_normal((1, 16)), begin(Swiss(6), 1, 16), set[tuple[int, int]]()
    for number in range(6):
        pairs = {(min(pair), max(pair)) for pair in tournament.pairs[0].tolist()}
        assert len(pairs) == 8 and len({seat for pair in pairs for seat in pair}) == 16
        assert number > 3 or not pairs & seen
        seen |= pairs
        tournament = judged(tournament, quality, draw)
    assert (tournament.pairs >= 0).sum() == 0


def test_swiss_rounds_of_equals_come_to_every_pair_once() -> None:
    tournament, met = begin(Swiss(3), 1, 4), list[tuple[int, int]]()
    for _ in range(3):
        met += [(min(pair), max(pair)) for pair in tournament.pairs[0].tolist()]
        tournament = tournament.after(np.full((1, 2), 0.5), np.ones((1, 2)))
    assert sorted(met) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("points", [0.5, np.nan])
def test_of_two_without_a_winner_the_lower_seat_goes_on_and_neither_goes_both_ways(points: float) -> None:
    opened = Bracket.of(1, 4).after(np.full((1, 2), points))
    assert (opened.top.tolist(), opened.bottom.tolist()) == ([[0, 2]], [[1, 3]])
    last = opened.after(np.full((1, 2), points))
    assert (last.top.tolist(), last.bottom.tolist()) == ([[0]], [[1]])


@pytest.mark.parametrize(
    ("results", "mean_off", "covariance_off"),
    [
        ([(0, 1, 1.0)], 0.02, 0.05),
        ([(0, 1, 0.5)], 0.02, 0.05),
        # Moments are matched one comparison after the other: close, not exact.
        ([(0, 1, 1.0), (1, 2, 1.0), (0, 2, 0.5), (0, 1, 0.0)], 0.12, 0.2),
    ],
)
def test_the_belief_is_the_posterior_of_the_model(
    results: list[tuple[int, int, float]], mean_off: float, covariance_off: float
) -> None:
    draws = np.random.default_rng(0).normal(0, 2.0, (400_000, 3))
    log = np.zeros(len(draws))
    for i, j, points in results:
        lead = draws[:, i] - draws[:, j]
        log -= points * np.logaddexp(0, -lead) + (1 - points) * np.logaddexp(0, lead)
    weight = np.exp(log) / np.exp(log).sum()
    exact = weight @ draws
    covariance = (draws - exact).T * weight @ (draws - exact)
    pairs = np.array([[(i, j) for i, j, _ in results]])
    belief = Belief.prior(1, 3, 2.0).after(pairs, np.array([[points for *_, points in results]]))
    assert np.allclose(belief.mean[0], exact, rtol=0, atol=mean_off)
    assert np.allclose(belief.covariance[0], covariance, rtol=0, atol=covariance_off)


def test_expected_improvement_is_that_of_the_belief() -> None:
    pairs = np.array([[(0, 1), (2, 3)]])
    belief = Belief.prior(1, 4, 2.0).after(pairs, np.array([[1.0, 1.0]]))
    draws = np.random.default_rng(0).multivariate_normal(belief.mean[0], belief.covariance[0], 400_000)
    for end in (1, -1):
        leader, gains = belief.improvements(end)
        assert leader[0] == (belief.mean[0] * end).argmax() and gains[0, leader[0]] == -np.inf
        for other in set(range(4)) - {int(leader[0])}:
            lead = end * (draws[:, other] - draws[:, leader[0]])
            assert gains[0, other] == pytest.approx(np.maximum(lead, 0).mean(), abs=0.01)


@pytest.mark.parametrize(
    ("schedule", "wrong"),
    [
        (Adaptive, {"budget": 0.0}),
        (Adaptive, {"budget": 1.1}),
        (Adaptive, {"repeats": 0}),
        (Adaptive, {"breadth": 0}),
        (Adaptive, {"tolerance": -0.1}),
        (Adaptive, {"tolerance": float("nan")}),
        (Adaptive, {"spread": 0.0}),
        (KnockOut, {"spread": float("inf")}),
        (Swiss, {"rounds": 0}),
        (Swiss, {"spread": -1.0}),
    ],
)
def test_impossible_settings_are_refused(schedule: type[Schedule], wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        schedule(**wrong)
