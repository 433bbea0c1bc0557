from pathlib import Path

import pytest
import torch
from tests.tiny import plain_run, train_all
from transformers.utils import logging

from tutelage.quiet import hush
from tutelage.weights import Pretrained, load_model


def test_loading_and_saving_a_model_says_nothing(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    logging.enable_progress_bar()
    logging.set_verbosity_info()
    hush()
    session, _ = train_all(plain_run(tokenizer, 1), tmp_path / "run")
    load_model(
        Pretrained(str(tmp_path / "run" / "hf")), session.run.tokenizer.build(), seed=0, device=torch.device("cpu")
    )
    assert "".join(capfd.readouterr()) == ""
    assert not logging.is_progress_bar_enabled()


def test_who_asks_to_hear_transformers_hears_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "info")
    logging.set_verbosity_info()
    hush()
    assert logging.get_verbosity() == logging.INFO
    logging.set_verbosity_warning()
