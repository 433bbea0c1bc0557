from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tiny import plain_run, tiny_phase, tiny_run, train_all

from tutelage.cli import main
from tutelage.commands.show import ranges, recorded_steps
from tutelage.commands.untrusted import one_line, visible
from tutelage.run import save_run
from tutelage.samples import SCHEMA, Recording, read_samples

EVIL = "red \x1b[31malert\x1b[0m [bold]not markup[/bold] \x07\u202e\r"


def test_a_step_is_shown_with_every_candidate_its_scores_and_what_was_chosen(
    finished: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["show", str(finished), "--step", "4", "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    rows = read_samples(finished / "samples", 4)
    first = [row for row in rows if row["document"] == rows[0]["document"]]
    for row in first:
        assert f"{row['candidate']}  {row['source']}" in shown
        assert row["text"].strip() in shown
    assert first[0]["prefix"].strip() in shown
    assert "factuality" in shown and "in all" in shown and "· chosen" in shown and "· rejected" in shown
    assert "1 of 4 pools" in shown


def test_without_a_step_those_there_are_listed_and_the_last_is_shown(
    finished: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["show", str(finished)]) == 0
    assert "Recorded: steps 1–6. Step 6:" in capsys.readouterr().out


def test_a_step_without_text_says_why(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(finished), "--step", "3"]) == 0
    shown = capsys.readouterr().out
    assert "samples.text_every" in shown and "factuality" in shown


def test_one_document_can_be_asked_for(finished: Path, capsys: pytest.CaptureFixture[str]):
    document = read_samples(finished / "samples", 2)[-1]["document"]
    assert main(["show", str(finished), "--step", "2", "--document", document]) == 0
    assert capsys.readouterr().out.count("· epoch 0 ·") == 1
    assert main(["show", str(finished), "--step", "2", "--document", "none"]) == 1
    assert document in capsys.readouterr().err


def test_a_step_that_is_not_there_is_told_with_those_that_are(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(finished), "--step", "99"]) == 1
    assert "steps 1 to 6 are there" in capsys.readouterr().err


def test_a_limit_that_shows_nothing_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(finished), "--limit", "0"]) == 1
    assert "limit must be at least 1, not 0" in capsys.readouterr().err


def test_a_directory_of_several_runs_names_them(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(finished.parent)]) == 1
    assert str(finished) in capsys.readouterr().err


def test_text_from_outside_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    row = dict.fromkeys(SCHEMA.names) | {"step": 1, "epoch": 0, "cut": 3, "candidate": 0, "length": 2, "role": "chosen"}
    row |= dict.fromkeys(["corpus", "document", "source", "author", "words", "prefix", "text"], EVIL)
    row |= {"verdicts": '{"quality\\u001b[2J": {"abstained": "no \\u001b[2J"}}'}
    (tmp_path / "samples").mkdir()
    (tmp_path / "run.yaml").touch()
    pq.write_table(
        pa.Table.from_pylist([row], schema=SCHEMA), tmp_path / "samples" / "step-00000001-00000001.rank-0000.parquet"
    )
    assert main(["show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert not set(shown) & {"\x1b", "\x07", "\u202e", "\r"}
    assert r"\x1b[31malert" in shown and "[bold]not markup[/bold]" in shown
    assert main(["show", str(tmp_path), "--document", "other"]) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_what_a_terminal_would_obey_is_written_out_and_the_rest_stays():
    assert visible("naïve 日本\tnew\nline \u200dzwj") == "naïve 日本\tnew\nline \u200dzwj"
    assert visible("\x1b\x9b\x00\u2028\ud800") == r"\x1b\x9b\x00\u2028\ud800"
    assert one_line("a\n b\x1b" + "c" * 100, 10) == r"a b\x1bccc"[:9] + "…"


def test_steps_are_listed_as_ranges(finished: Path):
    assert ranges([1, 2, 3, 5, 7, 8]) == "1–3, 5, 7–8"
    assert recorded_steps(finished / "samples") == [1, 2, 3, 4, 5, 6]


def test_without_a_step_the_last_one_with_text_is_shown(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    train_all(tiny_run(tokenizer, tiny_phase(steps=3), samples=Recording(text_every=2)), tmp_path)
    assert main(["show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Recorded: steps 1–3. Step 2, the last one whose text was kept:" in shown
    assert "was not kept;" not in shown


def test_a_run_without_sources_has_no_samples_to_wait_for(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    save_run(plain_run(tokenizer), tmp_path / "run.yaml")
    assert main(["show", str(tmp_path)]) == 1
    assert "has no sources, so nothing was sampled" in capsys.readouterr().err
