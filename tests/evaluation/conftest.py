"""An executable that stands in for lm-eval."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest


class FakeLmEval:
    """What was asked of it."""

    def __init__(self, log: Path) -> None:
        self.log = log

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def lm_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLmEval:
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "lm_eval"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "fake_lm_eval.py"} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("FAKE_LM_EVAL_LOG", str(tmp_path / "log"))
    return FakeLmEval(tmp_path / "log")
