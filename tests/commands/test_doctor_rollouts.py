"""What the doctor finds out about servers of rollouts, before weights are sent to them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.endpoints.conftest import QUICK
from tests.served.fake_vllm import FakeVllm
from tests.tiny import LLAMA, WORLD, plain_run, tiny_phase, tiny_run

from tutelage.codec import HFCodec
from tutelage.commands.doctor import examine
from tutelage.commands.machine import Finding
from tutelage.endpoints import forget
from tutelage.policy import Policy
from tutelage.run import Run
from tutelage.served import RolloutServers, write_folder
from tutelage.sources import RolloutSource
from tutelage.weights import FromConfig, load_model

LONGEST = WORLD.prefix_length + WORLD.suffix_length


def folder_of(codec: HFCodec, out: Path, **sizes: int) -> Path:
    model = load_model(FromConfig("llama", LLAMA | sizes), codec, seed=0, device=torch.device("cpu"))
    return write_folder(Policy(model), codec, out)


@pytest.fixture
def server(tiny_codec: HFCodec, tmp_path: Path) -> Iterator[FakeVllm]:
    with FakeVllm(folder_of(tiny_codec, tmp_path / "start"), tiny_codec) as one:
        one.listed = {"root": str(tmp_path / "start"), "max_model_len": 64}
        yield one
        forget()


def served(tokenizer: Path, *urls: str, **settings: Any) -> Run:
    whole: dict[str, Any] = {"requests": QUICK} | settings
    return tiny_run(tokenizer, rollout_servers=RolloutServers("policy", urls, **whole))


def of(run: Run, subject: str = "rollout_servers") -> list[Finding]:
    return [finding for finding in examine(run) if finding.subject == subject]


def test_a_server_that_takes_weights_into_the_same_model_is_found_fit(server: FakeVllm, tokenizer: Path):
    run = served(tokenizer, server.url)
    found = of(run)
    assert [finding.verdict for finding in found] == ["ok", "ok", "ok"]
    up, takes, model = (finding.told for finding in found)
    assert up == f"{server.url} has policy (start) with a context of 64 tokens"
    assert takes == f"{server.url} takes weights; those that it has are called 'default'"
    assert model.startswith(f"{server.url} was started on a model of the policy's shape")
    assert server.called == ["v1/models"], "it was asked for more than what it is"
    (context,) = of(run, "context of rollout_servers")
    assert (context.verdict, f"take {LONGEST} tokens" in context.told) == ("ok", True)
    (step,) = of(run, "a step of rollout")
    assert step.told.startswith("12 calls a step, ") and f"up to {12 * WORLD.suffix_length} written" in step.told


def test_a_context_that_is_one_token_short_is_a_problem(server: FakeVllm, tokenizer: Path):
    for context, verdict in ((LONGEST, "ok"), (LONGEST - 1, "problem")):
        server.listed["max_model_len"] = context
        (finding,) = of(served(tokenizer, server.url), "context of rollout_servers")
        assert finding.verdict == verdict and ("--max-model-len" in finding.told) is (verdict == "problem")


def test_a_server_that_takes_no_weights_is_a_problem_with_its_remedy(server: FakeVllm, tokenizer: Path):
    server.takes_weights = False
    finding = of(served(tokenizer, server.url))[1]
    assert finding.verdict == "problem" and "VLLM_SERVER_DEV_MODE=1" in finding.told


def test_another_model_behind_the_same_name_is_a_problem(
    server: FakeVllm, tiny_codec: HFCodec, tokenizer: Path, tmp_path: Path
):
    server.listed["root"] = str(folder_of(tiny_codec, tmp_path / "other", intermediate_size=48))
    finding = of(served(tokenizer, server.url))[-1]
    assert finding.verdict == "problem" and "start it on the folder that the run writes" in finding.told
    server.listed["root"] = "/elsewhere"
    assert [finding.verdict for finding in of(served(tokenizer, server.url))] == ["ok", "ok"]


def test_a_server_that_is_not_up_yet_is_no_problem_and_a_wrong_one_is(server: FakeVllm, tokenizer: Path):
    (down,) = of(served(tokenizer, "http://127.0.0.1:9/v1"))
    assert down.verdict == "warning" and "the run writes the folder to start it on" in down.told
    run = served(tokenizer, server.url)
    assert run.rollout_servers is not None
    (missing,) = of(replace(run, rollout_servers=replace(run.rollout_servers, model="other")))
    assert missing.verdict == "problem" and "does not have the model 'other'" in missing.told
    (key,) = of(served(tokenizer, server.url, key_variable="NO_SUCH_KEY"))
    assert key.verdict == "problem" and "NO_SUCH_KEY" in key.told


def test_rollouts_that_servers_cannot_give_or_nobody_wants_are_told(server: FakeVllm, tokenizer: Path):
    run = served(tokenizer, server.url)
    warm = tiny_phase(sources=(RolloutSource(3, temperature=0.7),))
    assert of(replace(run, phases=(warm,)))[0] == Finding(
        "rollout_servers",
        "problem",
        "rollouts are sampled at temperature 0.7, servers give 0 or 1 alone: choose 1, or leave out rollout_servers",
    )
    none = of(plain_run(tokenizer, rollout_servers=run.rollout_servers))[0]
    assert none.verdict == "warning" and "nobody would ask them" in none.told
