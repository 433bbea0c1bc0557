from pathlib import Path

import pytest
from tests.stream.corpora import sentence

from tutelage.codec import HFCodec, Tokenizer, train_tokenizer
from tutelage.worlds.steps import StepsWorld


@pytest.fixture(scope="session")
def bytes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bytes")
    train_tokenizer([sentence(i) for i in range(20)], 400, folder)
    return folder


@pytest.fixture(scope="session")
def codec(bytes_folder: Path) -> HFCodec:
    return Tokenizer(str(bytes_folder)).build()


@pytest.fixture(scope="session")
def steps_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return StepsWorld().write_tokenizer(tmp_path_factory.mktemp("steps"))


@pytest.fixture(scope="session")
def steps_codec(steps_folder: Path) -> HFCodec:
    return Tokenizer(str(steps_folder)).build()
