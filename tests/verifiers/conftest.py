"""Verifiers that are built once for a file of tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tutelage.verifiers import CodeVerifier, MathsVerifier

DATA = Path(os.environ.get("TUTELAGE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "score"
"""The public problem sets, which the project does not ship."""


@pytest.fixture(scope="module")
def code() -> Iterator["CodeVerifier"]:
    from tutelage.verifiers import Code, Limits

    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with Code(Limits(cpu_s=2, wall_s=8.0, memory_mib=256), workers=2).build() as verifier:
        yield verifier


@pytest.fixture(scope="module")
def unhurried() -> Iterator["CodeVerifier"]:
    """With the limits that are the default."""
    from tutelage.verifiers import Code

    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with Code().build() as verifier:
        yield verifier


@pytest.fixture(scope="module")
def maths() -> Iterator["MathsVerifier"]:
    from tutelage.verifiers import Maths

    with Maths().build() as verifier:
        yield verifier


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there")
    return DATA
