"""One thread, a tiny world, and its tokenizer.

The package is imported inside the fixtures: the hook that checks types must come before the first import.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tutelage.codec import HFCodec

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizer folder of ``tests.tiny.WORLD``."""
    from tests.tiny import WORLD

    return WORLD.write_tokenizer(tmp_path_factory.mktemp("tiny") / "tokenizer")


@pytest.fixture(scope="session")
def tiny_codec(tiny_tokenizer: Path) -> "HFCodec":
    from tutelage.codec import Tokenizer

    return Tokenizer(str(tiny_tokenizer)).build()
