"""``tutelage view``: which runs are meant, and where it listens."""

import socket
from pathlib import Path

import pytest

from tutelage.cli import main
from tutelage.commands import view
from tutelage.commands.view import bound, view_command, watched


def made(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "run.yaml").write_text("phases: []\n")
    return path


def test_a_studys_directory_stands_for_its_runs(tmp_path: Path):
    for name in ("b", "a"):
        made(tmp_path / "study" / name)
    single = made(tmp_path / "single")
    assert [run.name for run in watched([tmp_path / "study", single])] == ["a", "b", "single"]


def test_runs_of_one_name_are_told_apart_and_a_run_that_is_named_twice_is_shown_once(tmp_path: Path):
    paths = [made(tmp_path / study / "dpo") for study in ("one", "two")]
    assert [run.name for run in watched([*paths, paths[0]])] == ["one/dpo", "two/dpo"]


def test_a_directory_in_which_nothing_is_yet_is_watched(tmp_path: Path):
    assert [run.directory for run in watched([tmp_path])] == [tmp_path]


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["view", str(tmp_path / "none")]) == 1
    assert "there is no directory" in capsys.readouterr().err
    assert main(["view"]) == 2
    assert "name a run" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_and_without_one_another_is_found(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"cannot listen on 127.0.0.1, port {port}.*--port"):
            bound("127.0.0.1", port)
        monkeypatch.setattr(view, "PORT", port)
        with bound("127.0.0.1", None) as other:
            assert other.getsockname()[1] != port


def test_it_listens_on_the_loopback_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    seen: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(view, "serve", lambda runs, on, names: seen.append((on.getsockname()[0], list(names))))
    assert main(["view", str(made(tmp_path / "run")), "--port", "0"]) == 0
    assert seen == [("127.0.0.1", ["127.0.0.1"])]
    assert "run: http://127.0.0.1:" in capsys.readouterr().out
    assert view_command([tmp_path / "run"], host="0.0.0.0", port=0, names=["machine.example"]) == 0
    assert seen[1] == ("0.0.0.0", ["machine.example"])
    assert "http://machine.example:" in capsys.readouterr().out


def test_every_address_needs_a_name_by_which_it_may_be_called(tmp_path: Path):
    with pytest.raises(ValueError, match="whoever reaches it can read the runs"):
        view_command([made(tmp_path / "run")], host="0.0.0.0", port=0)


def test_a_signal_is_the_ordinary_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(view, "serve", interrupted)
    assert view_command([made(tmp_path / "run")], host="127.0.0.1", port=0) == 0
