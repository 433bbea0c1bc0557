"""Weights on servers of rollouts: written, loaded, compared, and whether a server that lags is found out."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.served.fake_vllm import STARTED, FakeVllm
from tests.tiny import outcome, tiny_run, train_all

from tutelage.codec import HFCodec
from tutelage.endpoints import FatalForRun, Requests, Retryable
from tutelage.endpoints.errors import OutOfStep, Unreachable
from tutelage.policy import Policy
from tutelage.protocols import Sampled, Sampler, SampleRequest
from tutelage.run import is_free_to_change
from tutelage.served import PushFailed, RolloutServers, ServedSampler, write_folder
from tutelage.served.digests import EMPTY, Compared, compare, digest
from tutelage.served.push import logprobs_of, most_apart
from tutelage.served.sampling import read
from tutelage.trackers import read_metrics
from tutelage.types import Rollout, Tokens
from tutelage.weights import Pretrained, load_model

QUICK = Requests(retries=2, backoff_s=0.001, max_backoff_s=0.01, start_timeout_s=0.2, timeout_s=5.0)
ASKED = [SampleRequest(Tokens([4, 9, 12, 7]), (1, 2, 3), 6), SampleRequest(Tokens([8, 3]), (4,), 5)]
Make = Callable[..., ServedSampler]


@pytest.fixture
def sampler(policy: Policy, tiny_codec: HFCodec, tmp_path: Path) -> Iterator[Make]:
    made: list[ServedSampler] = []

    def make(*servers: FakeVllm | str, **settings: Any) -> ServedSampler:
        urls = tuple(one if isinstance(one, str) else one.url for one in servers)
        spec = RolloutServers("policy", urls, requests=QUICK, **settings)
        made.append(ServedSampler(spec, policy, tiny_codec, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def learn(policy: Policy, by: float = 0.3) -> None:
    """An update, large enough to be seen."""
    with torch.no_grad():
        for number, parameter in enumerate(policy.model.parameters()):
            parameter += by * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    policy.version += 1


def gap(policy: Policy, found: list[tuple[Sampled, ...]]) -> float:
    """By how much what was sampled differs from what the policy says of it."""
    texts = [(asked.prefix, one) for asked, several in zip(ASKED, found, strict=True) for one in several]
    mine = [logprobs_of(policy, Tokens.join([prefix, one.tokens]))[-len(one.tokens) :] for prefix, one in texts]
    return most_apart(mine, [one.logprobs.tolist() for _, one in texts])


def test_rollouts_are_sampled_from_the_weights_of_the_moment(server: FakeVllm, sampler: Make, policy: Policy):
    one = sampler(server)
    assert isinstance(one, Sampler)
    first = one.sample(ASKED)
    assert [len(several) for several in first] == [3, 1] and gap(policy, first) < 1e-4
    learn(policy)
    second = one.sample(ASKED)
    assert one.version == 1 and gap(policy, second) < 1e-4 < gap(policy, first)
    assert [done.version for done in one.pushes] == [0, 1]
    assert one.pushes[1].gap < 1e-4 < 0.1 < one.pushes[1].moved
    assert one.pushes[1].unseen == 0 and one.pushes[1].same > 5


def test_the_same_weights_are_sent_once(server: FakeVllm, sampler: Make):
    one = sampler(server)
    assert one.sample(ASKED) == one.sample(ASKED)
    order = ["pause", "collective_rpc", "reset_prefix_cache", "resume", "weight_checker", "update_weight_version"]
    assert [route for route in server.called if not route.startswith("v1/")] == order


def test_every_server_is_sent_them_and_has_its_share_of_the_prefixes(
    server: FakeVllm, folder: Path, tiny_codec: HFCodec, sampler: Make, policy: Policy
):
    with FakeVllm(folder, tiny_codec) as other:
        one = sampler(server, other, probes=1)
        asked = [SampleRequest(Tokens([3 + i, 4]), (i,), 2) for i in range(12)]
        found = one.sample(asked)
        assert len(one.pushes) == 2 and all(len(several) == 1 for several in found)
        assert min(served.called.count("v1/completions") for served in (server, other)) > 3  # 2 are the probe's


@pytest.mark.parametrize(("packs", "words"), [(False, "holds other weights"), (True, "log-probabilities differ")])
def test_a_server_that_keeps_its_weights_is_found_out(
    packs: bool, words: str, server: FakeVllm, sampler: Make, policy: Policy
):
    one = sampler(server)
    one.sample(ASKED)
    learn(policy)
    server.keeps_weights, server.packs = True, packs
    with pytest.raises(PushFailed, match=words):
        one.sample(ASKED)
    assert server.version.endswith("-0") and not server.is_paused


def test_one_that_packs_its_parameters_is_vouched_for_by_log_probabilities(server: FakeVllm, sampler: Make):
    server.packs = True
    one = sampler(server)
    one.sample(ASKED)
    assert (one.pushes[0].same, one.pushes[0].gap < 1e-4) == (0, True) and one.pushes[0].unseen > 5


def test_what_was_sampled_by_a_server_that_was_started_anew_is_sampled_again(
    server: FakeVllm, sampler: Make, policy: Policy
):
    one = sampler(server)
    expected = one.sample(ASKED)
    stale = [parameter.detach().clone() for parameter in server.model.parameters()]

    def start_anew(answer: dict[str, Any]) -> None:
        server.before_answer = lambda _: None
        server.version = STARTED
        with torch.no_grad():
            for parameter in server.model.parameters():
                parameter.zero_()

    server.before_answer = start_anew
    assert one.sample(ASKED) == expected
    assert len(one.pushes) == 2 and all(
        torch.equal(a, b) for a, b in zip(stale, server.model.parameters(), strict=True)
    )


def test_a_server_without_the_routes_is_named_with_the_remedy(server: FakeVllm, sampler: Make):
    server.takes_weights = False
    with pytest.raises(FatalForRun, match="start vLLM with VLLM_SERVER_DEV_MODE=1"):
        sampler(server).sample(ASKED)


def test_where_no_server_is_the_folder_to_start_one_on_is_named(sampler: Make, tmp_path: Path):
    with pytest.raises(Unreachable, match=r"vllm serve .*rollout-weights, then resume"):
        sampler("http://127.0.0.1:9/v1").sample(ASKED)
    assert (tmp_path / "rollout-weights" / "config.json").exists()


def test_several_ranks_and_other_temperatures_are_refused(
    server: FakeVllm, sampler: Make, policy: Policy, tiny_codec: HFCodec, tmp_path: Path
):
    spec = RolloutServers("policy", (server.url,))
    with pytest.raises(ValueError, match="this run has 2"):
        ServedSampler(spec, policy, tiny_codec, tmp_path, ranks=2)
    with pytest.raises(ValueError, match=r"sampled at 0\.7: choose temperature 1"):
        sampler(server).sample([SampleRequest(Tokens([4]), (1,), 3, temperature=0.7)])
    with pytest.raises(ValueError, match="each once"):
        RolloutServers("policy", (server.url, server.url))


def test_a_run_samples_on_a_server_and_sends_it_every_update(server: FakeVllm, tiny_tokenizer: Path, tmp_path: Path):
    servers = RolloutServers("policy", (server.url,), requests=QUICK)
    run = tiny_run(tiny_tokenizer, rollout_servers=servers)
    _, reports = train_all(run, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["pushed/rollout"] for row in rows] == [1.0] * 4
    rollouts = [c for r in reports for pool in r.take.judged for c in pool.pool.candidates if isinstance(c, Rollout)]
    assert {c.policy_version for c in rollouts} == {0, 1, 2, 3}
    assert is_free_to_change("rollout_servers.servers.0") and not is_free_to_change("rollout_servers")
    before = outcome(tmp_path / "run")
    train_all(run, tmp_path / "run")
    assert outcome(tmp_path / "run") == before


def test_a_folder_holds_the_head_apart_and_computes_the_same(policy: Policy, folder: Path, tiny_codec: HFCodec):
    learn(policy)
    write_folder(policy, tiny_codec, folder)
    assert len(list(folder.glob("*.safetensors"))) == 2
    again = load_model(Pretrained(str(folder)), tiny_codec, seed=0, device=torch.device("cpu"))
    assert policy.model.config.tie_word_embeddings and not again.config.tie_word_embeddings
    probe = Tokens([4, 9, 12])
    assert most_apart([logprobs_of(policy, probe)], [logprobs_of(Policy(again), probe)]) < 1e-5
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


def answer(**changes: Any) -> bytes:
    choice: dict[str, Any] = {
        "token_ids": [5, 6],
        "prompt_token_ids": [8, 3],
        "logprobs": {"token_logprobs": [-1.0, -2.0]},
        "finish_reason": "length",
    }
    whole = {"id": changes.pop("id", "cmpl-x"), "choices": [choice | changes]}
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"id": "cmpl-tut-aaaaaaaaaaaa-7"}, OutOfStep, "another request"),
        ({"logprobs": None}, Retryable, "without one choice and its log-probabilities"),
        ({"finish_reason": "abort"}, Retryable, "ended by 'abort'"),
        ({"token_ids": None}, FatalForRun, "tells no token ids"),
        ({"prompt_token_ids": [8, 4]}, FatalForRun, "continued other tokens"),
        ({"token_ids": [5]}, Retryable, "1 tokens with 2 log-probabilities"),
        ({"logprobs": {"token_logprobs": [-1.0, math.inf]}}, FatalForRun, "the weights are broken"),
        ({"finish_reason": "stop"}, FatalForRun, "ends a text at token 6, the policy at 0"),
        ({"token_ids": [0, 6]}, FatalForRun, "the policy at 0"),
    ],
)
def test_only_a_whole_and_sound_answer_is_a_rollout(changes: dict[str, Any], error: type[Exception], words: str):
    assert read(answer(), ASKED[1], "tut-bbbbbbbbbbbb-1", 0).tokens == Tokens([5, 6])
    assert read(answer(token_ids=[5, 0]), ASKED[1], "", 0).finish == "stop"
    with pytest.raises(error, match=words):
        read(answer(**changes), ASKED[1], "tut-bbbbbbbbbbbb-1", 0)


def test_parameters_are_compared_joined_padded_and_in_the_type_of_the_server():
    q, k, v = (torch.full((2, 3), float(n)) for n in range(3))
    state = {f"layer.{n}_proj.weight": t for n, t in zip("qkv", (q, k, v), strict=True)}
    state |= {"embed.weight": torch.ones(5, 3), "norm.weight": torch.ones(3)}
    padded = torch.cat([torch.ones(5, 3), torch.zeros(59, 3)])
    told = {
        "tp0:layer.qkv_proj.weight": digest(torch.cat([q, k, v])),
        "tp0:embed.weight": digest(padded.bfloat16()),
        "tp0:norm.weight": digest(torch.ones(3)),
        "tp0:layer.o_proj.weight": EMPTY,
        "tp0:other.weight": digest(q),
    }
    assert compare(told, state) == Compared(3, 2, ())
    told["tp0:norm.weight"] = digest(torch.ones(4))
    assert compare(told, state) == Compared(2, 2, ("norm.weight",))
    assert compare({"tp0:norm.weight": "a", "tp1:norm.weight": "b"}, state) == Compared(0, 2, ())


def test_a_push_tells_how_far_apart_the_two_are(server: FakeVllm, sampler: Make, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "tutelage.served.push"):
        sampler(server).sample(ASKED)
    assert "version 0 pushed to http://127.0.0.1" in caplog.text and "nats apart" in caplog.text
    assert math.isnan(most_apart([[1.0]], [[math.nan]])) and most_apart([[1.0, 2.0]], [[1.5, 2.0]]) == 0.5
