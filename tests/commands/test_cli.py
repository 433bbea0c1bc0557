import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.commands import parts

import tutelage
from tutelage.cli import main
from tutelage.config import load_yaml


def test_help_needs_none_of_the_heavy_libraries():
    script = (
        "import sys\nfrom tutelage.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for command in (
        "train",
        "demo",
        "evaluate",
        "judge-check",
        "show",
        "replay",
        "recipes",
        "doctor",
        "rewrite",
        "think",
        "plan",
        "view",
    ):
        assert command in found.stdout


@pytest.mark.parametrize("words", [[], ["nonsense"], ["train"], ["replay", "runs/x"], ["show", "a", "--step", "x"]])
def test_a_command_line_that_makes_no_sense_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err


def test_a_word_that_a_command_does_not_know_exits_with_2(capsys: pytest.CaptureFixture[str]):
    assert main(["show", "somewhere", "--stpe", "3"]) == 2
    assert "--stpe 3" in capsys.readouterr().err


def test_a_users_mistake_is_one_paragraph_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(tmp_path / "none")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("tutelage: there is no directory")
    assert len(told.splitlines()) == 1


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--debug", "show", str(tmp_path / "none")]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_error_that_was_not_foreseen_says_so(recipes: Callable[..., None], capsys: pytest.CaptureFixture[str]):
    def odd() -> None:
        """Break."""
        raise KeyError("inside\x1b[2J")

    recipes(odd=odd)
    assert main(["recipes", "odd"]) == 1
    told = capsys.readouterr().err
    assert "KeyError" in told and "--debug" in told and "Traceback" not in told
    assert "\x1b" not in told


def test_recipes_are_listed_with_their_parameters(recipes: Callable[..., None], capsys: pytest.CaptureFixture[str]):
    recipes(small=parts.small, several=parts.several)
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert "A run so small that it hardly is one." in listed and "Nothing else" not in listed
    assert "--preset tiny --seeds 0 1" in listed


def test_a_recipe_is_printed_as_yaml_that_can_be_trained(
    recipes: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipes(small=parts.small)
    assert main(["recipes", "small", "--seeds", "9"]) == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert main(["train", str(path), "--seed", "10", "--print-config"]) == 0
    again = tmp_path / "again.yaml"
    again.write_text(capsys.readouterr().out)
    before, after = load_yaml(path), load_yaml(again)
    assert isinstance(before, dict) and isinstance(after, dict)
    assert before["seed"] == 9 and after == before | {"seed": 10}


def test_the_version_is_told_and_the_help_says_how(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tutelage {tutelage.__version__}\n"
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--version" in capsys.readouterr().out
