"""What a judge really said, put down and played on: its figures, the bill in tokens, and the committed numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import recorded
from benchmarks.recorded import figures, measured, own_scores, play, table
from benchmarks.recording import ALIKE, LOST, SILENT, WON, Matrices, ask, read, write
from benchmarks.schedules import PAGE, SCHEDULES, filled
from benchmarks.served_demo import WORLD

from tutelage.codec import HFCodec
from tutelage.scripted import ScriptedModel
from tutelage.types import Tokens

K = 8


def made(verdict: np.ndarray, truth: np.ndarray | None = None, prompt: int | np.ndarray = 100) -> Matrices:
    """Matrices with the given verdicts, shape ``(P, K, K)``; the diagonal was never asked."""
    pools, num = verdict.shape[:2]
    verdict = np.where(np.eye(num, dtype=bool), ALIKE, verdict).astype(np.int8)
    asked = verdict != ALIKE
    truth = np.tile(np.linspace(0.0, 3.0, num), (pools, 1)) if truth is None else truth
    tokens = np.broadcast_to(prompt, verdict.shape) * asked
    return Matrices(verdict, tokens.astype(np.uint16), (7 * asked).astype(np.uint8), truth.astype(np.float32))


def knowing(pools: int = 6) -> Matrices:
    """A judge without any fault: later candidates are better."""
    better = np.subtract.outer(np.arange(K), np.arange(K)) > 0
    return made(np.tile(better, (pools, 1, 1)))


def test_a_judge_without_fault_has_no_figure_of_one():
    found = figures(knowing())
    assert (found.accuracy, found.first_option, found.contradicted, found.circles) == (1.0, 0.5, 0.0, 0.0)
    assert (found.questions, found.tokens, found.silent, found.alike) == (6 * K * (K - 1), 107.0, 0.0, 0.0)


def test_a_judge_that_takes_the_first_contradicts_itself_everywhere():
    found = figures(made(np.full((3, K, K), WON)))
    assert (found.first_option, found.contradicted, found.accuracy, found.circles) == (1.0, 1.0, 0.5, 0.0)


def test_circles_are_counted_among_triples_that_are_decided():
    around = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert figures(made(around[None])).circles == 1.0
    straight = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert figures(made(np.stack([around, straight]))).circles == 0.5


def test_silence_and_twins_are_told_apart():
    verdict = knowing(1).verdict.copy()
    verdict[0, 0, 1], verdict[0, 2, 3], verdict[0, 3, 2] = SILENT, ALIKE, ALIKE
    found = figures(made(verdict))
    assert found.silent == pytest.approx(1 / (K * (K - 1) - 2)) and found.alike == pytest.approx(2 / (K * (K - 1)))
    assert own_scores(made(verdict))[0, 2] == pytest.approx((2 * 2 + 1) / (2 * (K - 1)))  # a twin is half a win


@pytest.mark.parametrize(("name", "calls"), [("all pairs", 28), ("knock-out", 10), ("pivot", 7), ("adaptive, 30 %", 8)])
def test_a_sharp_judge_is_asked_as_often_as_the_schedule_says(name: str, calls: int):
    played = play(SCHEDULES[name], knowing(), seatings=5)
    assert played.calls.tolist() == [calls] * 6 and played.tokens.tolist() == [107.0 * calls] * 6
    if name in ("all pairs", "knock-out"):
        assert played.true == pytest.approx(3.0) and played.own == pytest.approx(1.0)


def test_the_bill_is_of_the_prompts_that_were_sent():
    dear = np.full((K, K), 100)
    dear[:, -1] = dear[-1] = 1000  # whatever the last candidate is compared with
    found = made(knowing().verdict, prompt=dear)
    played = play(SCHEDULES["pivot"], found, seatings=3)
    assert played.tokens.tolist() == [6 * 107.0 + 1007.0] * 6


def test_twins_cost_nothing_and_a_silent_judge_decides_nothing():
    silent = made(np.full((200, K, K), SILENT))
    played = play(SCHEDULES["all pairs"], silent, seatings=5)
    assert played.calls.tolist() == [28.0] * 200 and abs(played.true.mean()) < 0.3
    twins = play(SCHEDULES["all pairs"], made(np.full((2, K, K), ALIKE)), seatings=1)
    assert twins.calls.tolist() == twins.tokens.tolist() == [0.0, 0.0]


def test_both_orders_are_used_and_a_repeat_turns_the_options_round():
    first = made(np.full((400, 2, 2), WON), truth=np.tile([0.0, 1.0], (400, 1)))
    # Whoever is shown first wins, and that is drawn: half of the pools are lost.
    assert abs(play(SCHEDULES["all pairs"], first, seatings=4).true.mean()) < 0.15
    gap = play(SCHEDULES["all pairs"], first, seatings=4).true
    assert np.array_equal(gap, play(SCHEDULES["all pairs"], first, seatings=4).true)


def test_every_two_candidates_are_asked_about_in_both_orders_but_twins(tiny_codec: HFCodec):
    chunk = WORLD.cut(WORLD.document("recorded", "1"))
    answers = iter(["VERDICT: 1", "VERDICT: 2", "I cannot say", "VERDICT: 1"])
    judge = ScriptedModel(lambda prompt, seed: next(answers))
    found = ask(judge, tiny_codec, chunk, [chunk.suffix, chunk.suffix, Tokens(chunk.suffix.array[:4])])
    assert found.verdict[0].tolist() == [[ALIKE, ALIKE, WON], [ALIKE, ALIKE, LOST], [SILENT, WON, ALIKE]]
    assert (found.prompt_tokens[0] > 0).sum() == 4 and found.answer_tokens[0, 0, 2] == len(
        tiny_codec.encode("VERDICT: 1")
    ) + 1
    assert found.truth.shape == (1, 3) and found.truth[0, 0] == found.truth[0, 1]


def test_what_is_put_down_is_read_and_nothing_is_unpickled(tmp_path: Path):
    path = tmp_path / "verdicts.npz"
    write(path, knowing())
    assert figures(read(path)) == figures(knowing())
    np.savez(path, verdict=np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="record it anew"):
        read(path)
    np.savez(path, **{name: np.array([print], dtype=object) for name in Matrices.__slots__})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="allow_pickle"):
        read(path)


def test_committed_numbers_are_of_the_committed_verdicts_and_stand_in_the_page():
    judge, rows = measured()
    found = read()
    assert figures(found) == judge and judge.pools >= 40
    by = {row.name: row for row in rows}
    assert set(by) == set(SCHEDULES)
    played = play(SCHEDULES["knock-out"], found, seatings=2)
    assert by["knock-out"].calls == pytest.approx(played.calls.mean(), abs=0.5)
    page = PAGE.read_text("utf-8")
    assert filled(page, table(judge, rows), "recorded") == page, "run python -m benchmarks.recorded --fill"


def test_the_command_writes_a_row_a_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr(recorded, "SEATINGS", 2)
    write(tmp_path / "verdicts.npz", knowing(2))
    recorded.main(["--verdicts", str(tmp_path / "verdicts.npz"), "--out", str(tmp_path / "out.json")])
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))["schedules"]
    assert {row["name"] for row in rows} == set(SCHEDULES) and rows[0]["tokens_share"] == 1.0
    assert "| knock-out | 10 | 35.7% |" in capsys.readouterr().out
