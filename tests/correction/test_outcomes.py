"""What became of episodes as sums, figures and votes."""

from pathlib import Path

import numpy as np
import pytest

from tutelage.correction.outcomes import COLUMNS, Outcomes, figures_of, outcomes_of
from tutelage.correction.voting import budgets_of, majority, vote, votes
from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.types import Abstained, Floats, Scored, Tokens


def turn(said: str | None, reward: float | None, finish: str = "stop") -> Turn:
    verdict = Abstained("it hung") if reward is None else Scored(reward)
    return Turn(Tokens([1]), Tokens([2, 3]), Floats([0.0, 0.0]), finish, verdict, said)  # pyright: ignore


def group(name: str, *episodes: tuple[Turn, ...]) -> EpisodeGroup:
    return EpisodeGroup(Problem(name, name, "4"), tuple(Episode(turns, i, 0) for i, turns in enumerate(episodes)))


RIGHT, WRONG, NONE, SILENT = turn("4", 1.0), turn("5", 0.0), turn(None, 0.0, "length"), turn("4", None)
FOUND = outcomes_of(
    [
        group("a", (WRONG, RIGHT), (RIGHT, RIGHT), (RIGHT, WRONG), (WRONG, WRONG)),
        group("b", (NONE, RIGHT), (NONE, NONE), (SILENT, RIGHT), (WRONG, SILENT)),
    ]
)


def test_sums_leave_out_episodes_of_which_a_verdict_is_missing():
    assert [dict(zip(COLUMNS, row, strict=True)) for row in FOUND.sums().tolist()] == [
        {"episodes": 4, "t1": 2, "t2": 2, "i_to_c": 1, "c_to_i": 1, "changed": 2, "wrong": 2},
        {"episodes": 2, "t1": 0, "t2": 1, "i_to_c": 1, "c_to_i": 0, "changed": 1, "wrong": 2},
    ]
    assert FOUND.accuracies()[:, 1].tolist() == [[2, 4], [2, 3]]


def test_figures_are_points_of_the_sums_of_all_problems():
    found = figures_of(FOUND.sums().sum(axis=0))
    assert found["t1"] == pytest.approx(100 / 3) and found["delta"] == pytest.approx(100 / 6)
    assert found["change_rate"] == pytest.approx(50) and found["mended"] == pytest.approx(50)
    assert np.isnan(figures_of(np.zeros(len(COLUMNS)))["t1"])


def test_outcomes_survive_a_file_and_a_torn_one_is_named(tmp_path: Path):
    FOUND.save(tmp_path / "test.npz")
    again = Outcomes.load(tmp_path / "test.npz")
    assert again.ids == ("a", "b") and again.sums().tolist() == FOUND.sums().tolist()
    assert again.cut.tolist() == FOUND.cut.tolist() and again.cut.sum() == 3 and again.tokens.min() == 2
    (tmp_path / "test.npz").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"test\.npz holds no outcomes of episodes"):
        Outcomes.load(tmp_path / "test.npz")


def test_a_problem_that_came_again_has_its_episodes_together_and_uneven_ones_are_refused():
    one = group("a", (WRONG, RIGHT))
    assert outcomes_of([one, group("b", (WRONG, WRONG)), one, group("b", (RIGHT, RIGHT))]).right.shape == (2, 2, 2)
    with pytest.raises(ValueError, match="as many episodes"):
        outcomes_of([one, one, group("b", (WRONG, WRONG))])


@pytest.mark.parametrize(
    ("ballots", "right"),
    [
        ([("a", True), ("b", False), ("b", False)], False),
        ([("b", False), ("a", True), ("a", True)], True),
        ([("a", True), ("b", False)], True),
        ([("b", False), ("a", True)], False),
        ([(None, False), (None, False), ("a", True)], True),
        ([(None, False)], False),
        ([], False),
    ],
)
def test_the_most_frequent_answer_is_elected_and_of_two_the_first(ballots: list[tuple[str | None, bool]], right: bool):
    assert vote(ballots) is right


def test_an_attempt_without_a_verdict_does_not_vote():
    """Nor does it lend its answer to others: what it would have been worth is not known."""
    found = outcomes_of([group("a", (SILENT, SILENT), (SILENT, RIGHT), (WRONG, WRONG), (WRONG, SILENT))])
    assert majority(found, 0) == [0.0], "two wrong ones outvote none"
    parallel, sequential = votes(found, (2, 4))
    assert parallel.tolist() == [[0.0], [0.0]] and sequential.tolist() == [[0.0], [1.0]]


def test_votes_set_first_attempts_beside_half_as_many_corrected_ones():
    parallel, sequential = votes(FOUND, (2, 4))
    assert parallel.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert sequential.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert majority(FOUND, 0) == [0.0, 0.0] and majority(FOUND, 1) == [1.0, 1.0] and budgets_of(FOUND) == (2, 4)


@pytest.mark.parametrize("budgets", [(3,), (8,), (0,)])
def test_a_budget_that_cannot_be_split_is_refused(budgets: tuple[int, ...]):
    with pytest.raises(ValueError, match="a vote at budgets"):
        votes(FOUND, budgets)
