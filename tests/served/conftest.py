"""A small policy, the folder that a server is started on, and such a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.served.fake_vllm import FakeVllm
from tests.tiny import LLAMA

from tutelage.codec import HFCodec
from tutelage.endpoints import ENDING, LEDGER, forget
from tutelage.policy import Policy
from tutelage.served import write_folder
from tutelage.weights import FromConfig, load_model


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()
    LEDGER.__init__()
    ENDING.clear()


@pytest.fixture
def policy(tiny_codec: HFCodec) -> Policy:
    return Policy(load_model(FromConfig("llama", LLAMA), tiny_codec, seed=0, device=torch.device("cpu")))


@pytest.fixture
def folder(policy: Policy, tiny_codec: HFCodec, tmp_path: Path) -> Path:
    return write_folder(policy, tiny_codec, tmp_path / "start")


@pytest.fixture
def server(folder: Path, tiny_codec: HFCodec) -> Iterator[FakeVllm]:
    with FakeVllm(folder, tiny_codec) as one:
        yield one
        forget()
