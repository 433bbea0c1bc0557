from pathlib import Path

import pytest

from tutelage.codec import HFCodec, Tokenizer
from tutelage.worlds.signed_sum import SignedSumWorld


@pytest.fixture(scope="session")
def sums() -> SignedSumWorld:
    return SignedSumWorld()


@pytest.fixture(scope="session")
def sums_tokenizer(sums: SignedSumWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sums.write_tokenizer(tmp_path_factory.mktemp("sums"))


@pytest.fixture(scope="session")
def sums_codec(sums_tokenizer: Path) -> HFCodec:
    return Tokenizer(str(sums_tokenizer)).build()
