"""Tiny runs on disk for the commands to work on."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.tiny import WORLD, resumable_run, tiny_phase, tiny_run, train_all

import tutelage
from tutelage.run import Checkpointing, save_run
from tutelage.samples import Recording


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WORLD.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def finished(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps of online DPO, all of it kept; to be read only."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    settings = Checkpointing(every=2, keep_last=2, replay_steps=20)
    run = tiny_run(tokenizer, tiny_phase(steps=6), checkpoint=settings, samples=Recording(text_every=2))
    train_all(run, directory)
    return directory


@pytest.fixture(scope="session")
def phased(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phases, a measured rule, a synced reference, plain documents; every record is kept, no early checkpoint."""
    directory = tmp_path_factory.mktemp("runs") / "phased"
    train_all(resumable_run(tokenizer, checkpoint=Checkpointing(every=100, replay_steps=100)), directory)
    return directory


@pytest.fixture
def run_file(tokenizer: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    save_run(tiny_run(tokenizer, tiny_phase(steps=3)), path)
    return path


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts functions in the place of the package's recipes."""

    def put(**functions: Any) -> None:
        stub = SimpleNamespace(__all__=list(functions), **functions)
        monkeypatch.setitem(sys.modules, "tutelage.recipes", stub)
        monkeypatch.setattr(tutelage, "recipes", stub, raising=False)

    yield put
