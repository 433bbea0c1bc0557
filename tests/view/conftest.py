"""A run in progress, and the application that shows it."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.view.made import write_run

from tutelage.view import application
from tutelage.view.watching import WatchedRun

HOME = "http://127.0.0.1:8765"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def client(run: Path) -> TestClient:
    return TestClient(application([WatchedRun(run, "run")]), base_url=HOME)
