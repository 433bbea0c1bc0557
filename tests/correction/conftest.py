"""The tokenizer of the world of digits."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tutelage.codec import HFCodec


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.correction.parts import write_tokenizer

    return write_tokenizer(tmp_path_factory.mktemp("digits") / "tokenizer")


@pytest.fixture(scope="session")
def digits_codec(digits: Path) -> "HFCodec":
    from tutelage.codec import Tokenizer

    return Tokenizer(str(digits)).build()
