"""The client against a real vLLM: a tiny model with random weights, served on the processor.

Runs where ``make peers`` has installed vLLM, or where TUTELAGE_VLLM names a Python that has it.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch
from benchmarks.vllm_server import Vllm, vllm_python

from tutelage.codec import HFCodec, Tokenizer, train_tokenizer
from tutelage.endpoints import LEDGER, Endpoint, EndpointModel, FatalForRun, Requests, forget
from tutelage.protocols import Prompt
from tutelage.types import Absent
from tutelage.weights import FromConfig, load_model

CONTEXT = 256
LLAMA = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": CONTEXT,
}
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
ASKED = Prompt("Judge .", "Which one is better ?", max_new_tokens=8)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not vllm_python().exists(), reason="vLLM is not installed (make peers)"),
]


@pytest.fixture(scope="module")
def folder(tiny_tokenizer: Path, tiny_codec: HFCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tiny_codec, tmp_path_factory.mktemp("served") / "first")


def made(codec: HFCodec, path: Path) -> Path:
    """A model with random weights and a template for conversations."""
    load_model(FromConfig("llama", LLAMA), codec, seed=0, device=torch.device("cpu")).save_pretrained(path)
    codec.save(path)
    settings = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}))
    return path


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with Vllm(folder, "judge", context=CONTEXT, log=folder.parent / "vllm.log", takes_weights=True) as server:
        yield server.ready().url
        forget()


@pytest.fixture(scope="module")
def spelling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One whose tokens spell any text; vLLM's grammars find no way through a vocabulary of whole words alone."""
    place = tmp_path_factory.mktemp("spelling")
    train_tokenizer(["Which one is better? The verdict is one."], 280, place / "tokenizer")
    folder = made(Tokenizer(str(place / "tokenizer")).build(), place / "model")
    with Vllm(folder, "judge", context=CONTEXT, log=place / "vllm.log") as server:
        yield server.ready().url
        forget()


def model(url: str, **settings: object) -> EndpointModel:
    requests = Requests(retries=1, backoff_s=0.01, start_timeout_s=5.0)
    whole = {"model": "judge", "servers": (url,), "role": "judge.quality", "cache": None, "requests": requests}
    built = Endpoint(**{**whole, **settings}).build()  # pyright: ignore[reportArgumentType]
    assert isinstance(built, EndpointModel)
    return built


def test_it_tells_its_model_folder_and_context(url: str):
    one = model(url)
    assert one.check() == "judge (first)"
    with pytest.raises(FatalForRun, match=rf"takes {CONTEXT} tokens of prompt and answer"):
        one.answer([replace(ASKED, max_new_tokens=CONTEXT)], [0])
    with pytest.raises(FatalForRun, match="does not have the model 'other'; it has judge"):
        model(url, model="other").check()


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_seeds_decide_answers_and_many_are_asked_at_once(url: str, api: str):
    one = model(url, api=api, top_p=1.0)
    prompts = [replace(ASKED, user=f"Which one is better ? {number}") for number in range(48)]
    first = one.answer(prompts, range(48))
    told = [answer for answer in first if isinstance(answer, str)]
    assert len(told) >= 40 and len(set(told)) > 20
    assert LEDGER.tokens("judge.quality") > 48 * 10
    again = one.answer(prompts[:8], range(8))
    assert sum(a == b for a, b in zip(first, again, strict=False)) >= 6  # batches round differently
    assert one.answer(prompts[:8], range(100, 108)) != first[:8]


@pytest.mark.parametrize("prefill", ["ask", "continue"])
def test_an_answer_goes_on_from_the_words_that_it_is_given(url: str, prefill: str):
    (answer,) = model(url, prefill=prefill).answer([replace(ASKED, answer_start="They live in")], [3])
    assert isinstance(answer, str) and not answer.startswith("They live in")


def test_it_is_held_to_choices(spelling: str):
    choices = ("VERDICT: 1", "VERDICT: 2")
    asked = [replace(ASKED, choices=choices, max_new_tokens=32)] * 6
    answers = model(spelling, choices="structured_outputs").answer(asked, range(6))
    assert set(answers) <= {*choices}


def test_it_tells_the_probabilities_of_labels(url: str, tiny_codec: HFCodec):
    one = model(url, temperature=0.0)
    (answer,) = one.answer([replace(ASKED, max_new_tokens=1)], [0])
    assert isinstance(answer, str)
    ((likeliest, other),) = one.label_logprobs([ASKED], (answer.strip(), "no such label"))  # pyright: ignore[reportGeneralTypeIssues]
    assert other <= likeliest < 0


def test_a_prompt_that_is_too_long_has_no_answer_and_says_so(url: str):
    long, good = model(url).answer([replace(ASKED, user="They live in Perth . " * 200), ASKED], [0, 1])
    assert isinstance(long, Absent) and "the prompt does not fit into the model's context" in long.reason
    assert isinstance(good, str)


def test_the_probabilities_of_labels_are_those_of_generative_scoring(url: str):
    one = model(url, label_scoring="token_ids", temperature=0.0)
    (told,) = one.label_logprobs([ASKED], (".", "in"))
    assert not isinstance(told, Absent)
    root = url.removesuffix("/v1")
    messages = [{"role": "system", "content": ASKED.system}, {"role": "user", "content": ASKED.user}]
    asked = httpx.post(f"{root}/tokenize", json={"model": "judge", "messages": messages}, trust_env=False).json()
    prompt = asked["tokens"]
    for label, mine in zip((".", "in"), told, strict=True):
        spelt = {"model": "judge", "prompt": f" {label}", "add_special_tokens": False}
        (token,) = httpx.post(f"{root}/tokenize", json=spelt, trust_env=False).json()["tokens"]
        body = {"model": "judge", "query": prompt[:-1], "items": [prompt[-1:]], "label_token_ids": [token]}
        body |= {"apply_softmax": False}
        (score,) = httpx.post(f"{root}/generative_scoring", json=body, trust_env=False).json()["data"]
        assert math.log(score["score"]) == pytest.approx(mine, abs=1e-3)
