from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tutelage.codec import HFCodec
from tutelage.protocols import Resources, Sampled, SampleRequest
from tutelage.types import Chunk
from tutelage.worlds.facts import FactsWorld


class NoSampler:
    """The oracle needs no policy."""

    version = 0

    def sample(self, requests: list[SampleRequest]) -> list[tuple[Sampled, ...]]:
        raise AssertionError("the oracle asked the policy")


@pytest.fixture(scope="session")
def world() -> FactsWorld:
    return FactsWorld()


@pytest.fixture(scope="session")
def codec(world: FactsWorld, tmp_path_factory: pytest.TempPathFactory) -> HFCodec:
    folder = world.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return HFCodec(AutoTokenizer.from_pretrained(folder))


@pytest.fixture
def resources(codec: HFCodec, tmp_path: Path) -> Resources:
    return Resources(seed=0, codec=codec, sampler=NoSampler(), suffix_length=32, directory=tmp_path)


@pytest.fixture(scope="session")
def natural(world: FactsWorld) -> tuple[Chunk, ...]:
    return world.evaluation_chunks("natural", 600)
