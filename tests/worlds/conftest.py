from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tutelage.codec import HFCodec
from tutelage.protocols import Resources
from tutelage.scripted import NoPolicy
from tutelage.types import Chunk
from tutelage.worlds.facts import FactsWorld


@pytest.fixture(scope="session")
def world() -> FactsWorld:
    return FactsWorld()


@pytest.fixture(scope="session")
def codec(world: FactsWorld, tmp_path_factory: pytest.TempPathFactory) -> HFCodec:
    folder = world.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return HFCodec(AutoTokenizer.from_pretrained(folder))


@pytest.fixture
def resources(codec: HFCodec, tmp_path: Path) -> Resources:
    nobody = NoPolicy(AssertionError("the oracle asked the policy"))
    return Resources(seed=0, codec=codec, sampler=nobody, suffix_length=32, directory=tmp_path)


@pytest.fixture(scope="session")
def natural(world: FactsWorld) -> tuple[Chunk, ...]:
    return world.evaluation_chunks("natural", 600)
