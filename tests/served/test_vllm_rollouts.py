"""Weights pushed to a real vLLM, which then samples from them.

Runs where ``make peers`` has installed vLLM, or where TUTELAGE_VLLM names a Python that has it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from benchmarks.vllm_server import Vllm, vllm_python
from tests.served.test_pushing import ASKED, gap, learn
from tests.tiny import LLAMA

from tutelage.codec import HFCodec
from tutelage.endpoints import LEDGER, Requests, forget
from tutelage.policy import Policy
from tutelage.served import PushFailed, RolloutServers, ServedSampler, push, write_folder
from tutelage.served.control import Control
from tutelage.types import Tokens
from tutelage.weights import FromConfig, load_model

SHAPE = LLAMA | {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
PROBE = [Tokens([4, 9, 12, 7, 30])]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not vllm_python().exists(), reason="vLLM is not installed (make peers)"),
]


@pytest.fixture(scope="module")
def one(tiny_codec: HFCodec) -> Policy:
    return Policy(load_model(FromConfig("llama", SHAPE), tiny_codec, seed=0, device=torch.device("cpu")))


@pytest.fixture(scope="module")
def urls(one: Policy, tiny_codec: HFCodec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Of a server that was started on a folder with the head apart, and of one with the head tied."""
    place = tmp_path_factory.mktemp("rollouts")
    apart = write_folder(one, tiny_codec, place / "apart")
    tied = place / "tied"
    one.save_hf(tied)
    tiny_codec.save(tied)
    settings = {"context": 64, "takes_weights": True}
    with (
        Vllm(apart, "policy", log=place / "apart.log", **settings) as first,
        Vllm(tied, "policy", log=place / "tied.log", **settings) as second,
    ):
        yield first.ready().url, second.ready().url
        forget()
        LEDGER.__init__()


@pytest.mark.parametrize("which", [0, 1], ids=["apart", "tied"])
def test_what_it_samples_has_the_log_probabilities_of_the_weights_that_were_pushed(
    which: int, urls: tuple[str, str], one: Policy, tiny_codec: HFCodec, tmp_path: Path
):
    sampler = ServedSampler(RolloutServers("policy", (urls[which],)), one, tiny_codec, tmp_path)
    for _ in range(3):
        found = sampler.sample(ASKED)
        assert gap(one, found) < 1e-4
        learn(one, 0.05)
    assert len(sampler.pushes) == 3 and all(done.gap < 1e-4 and done.same > 3 for done in sampler.pushes)
    assert all(done.moved > 0.05 for done in sampler.pushes[1:])
    sampler.close()


def test_the_same_seeds_give_the_same_tokens_and_others_do_not(
    urls: tuple[str, str], one: Policy, tiny_codec: HFCodec, tmp_path: Path
):
    sampler = ServedSampler(RolloutServers("policy", urls[:1]), one, tiny_codec, tmp_path)
    first = [sampled.tokens for several in sampler.sample(ASKED) for sampled in several]
    assert [sampled.tokens for several in sampler.sample(ASKED) for sampled in several] == first
    assert len(set(first)) == len(first)
    sampler.close()


def test_an_old_head_is_found_out(urls: tuple[str, str], one: Policy, tiny_codec: HFCodec, tmp_path: Path):
    """vLLM on a CPU packs a tied head when it starts, and does not look at the embedding again."""
    learn(one, 0.2)
    one.save_hf(tmp_path / "tied")
    tiny_codec.save(tmp_path / "tied")
    control = Control(urls[1], "", Requests())
    with pytest.raises(PushFailed, match="log-probabilities differ"):
        push(control, "policy", one, tmp_path / "tied", "x", PROBE, 1e-3)
    whole = write_folder(one, tiny_codec, tmp_path / "apart")
    assert push(control, "policy", one, whole, "x", PROBE, 1e-3).gap < 1e-4
    control.close()
