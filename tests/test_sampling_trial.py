"""What a sampler finds out about its model before it samples from it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.families import GROUPED, Vocabulary, build, louder
from tests.test_sampler import forks, requests, sampler_of, trainer_logprobs

from tutelage import sampling_trial
from tutelage.decoding import Branching, fixed_steps, own_copies, prefill, shared_trunk
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Tokens
from tutelage.weights import FromConfig, load_model

VOCABULARY = 23


def changed(family: str, change: Callable[[dict[str, Any]], object]) -> Policy:
    """A model whose layers are called with other arguments than were given."""
    model: Any = build(family, vocabulary=VOCABULARY).model
    forward = model.base_model.forward

    def other(**arguments: Any) -> Any:
        change(arguments)
        return forward(**arguments)

    model.base_model.forward = other
    return Policy(model)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "tutelage.sampling_trial"]


def test_a_model_that_ignores_masks_is_sampled_from_whole_prefixes(caplog: pytest.LogCaptureFixture):
    policy = changed("llama", lambda arguments: arguments.pop("attention_mask", None))
    assert policy.layout == "flat"
    sampler = InProcessSampler(policy, eos=0)
    unpadded, copied = messages(caplog)
    assert "prefixes are sampled beside others of the same length only" in unpadded
    assert "sampling copies the prefix for each continuation" in copied
    asked = [*requests(5), *forks(3), *forks(3)]
    for request, written in zip(asked, sampler.sample(asked), strict=True):
        for sampled in written:
            np.testing.assert_allclose(sampled.logprobs.array, trainer_logprobs(policy, request, sampled), atol=1e-5)


def test_a_model_whose_cache_misleads_it_is_refused():
    def forget(arguments: dict[str, Any]) -> None:
        if arguments["input_ids"].shape[1] == 1 and "past_key_values" in arguments:
            arguments["position_ids"] = arguments["position_ids"] + 1

    with pytest.raises(ValueError, match=r"LlamaForCausalLM: read on from its cache it gives other log-probabilities"):
        InProcessSampler(changed("llama", forget), eos=0)


@pytest.mark.parametrize("context", [2, 4, 5])
def test_a_context_too_short_for_a_trial_has_a_memory_plan_too_and_says_what_it_does(
    context: int, caplog: pytest.LogCaptureFixture
):
    model: Any = build("gpt2", vocabulary=VOCABULARY).model
    policy = Policy(model)
    model.config.n_positions = context  # the weights hold more; what counts is what the model says
    sampler = InProcessSampler(policy, eos=0)
    assert sampler._room.bytes < float("inf") and sampler._room.column_bytes == 2 * 2 * 16 * 4
    assert f"its context of {context} tokens leaves none for a trial" in messages(caplog)[0]
    asked = [SampleRequest(Tokens([1, 2][:n]), (1, 2), context - n) for n in (1, 2)[: context - 1]]
    for request, written in zip(asked, sampler.sample(asked), strict=True):
        for sampled in written:
            np.testing.assert_allclose(sampled.logprobs.array, trainer_logprobs(policy, request, sampled), atol=1e-5)


# ------------------------------------------------------------------ mixed precision


def mixed(family: str) -> Policy:
    """Weights in float32; scored flat, so that nothing here depends on how trees are."""
    return Policy(build(family, vocabulary=VOCABULARY).model, mixed=True)


def logprobs_of(policy: Policy, asked: list[SampleRequest], tokens: torch.Tensor, how: Branching) -> torch.Tensor:
    """Log-probabilities of given tokens, one row a continuation, as the sampler comes by them."""
    with torch.inference_mode(), policy.computing():
        prefilled = prefill(policy, [[request] for request in asked])
        logits = [prefilled.logits.float()]
        with how(policy.model, prefilled, tokens.shape[1]) as advance:
            for step in range(tokens.shape[1] - 1):
                at = (prefilled.positions + step)[:, None]
                logits.append(advance(step, tokens[:, step : step + 1], at).float().clone())
    return torch.stack(logits, 1).log_softmax(-1).gather(-1, tokens[..., None])[..., 0]


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2"])
def test_branches_share_their_trunk_in_mixed_precision_and_say_what_copies_say(family: str):
    policy, asked = mixed(family), requests(4)
    assert InProcessSampler(policy, eos=0)._sharing is shared_trunk
    tokens = torch.randint(1, VOCABULARY, (12, 6), generator=torch.Generator().manual_seed(1))
    copies = logprobs_of(policy, asked, tokens, own_copies)
    exact = logprobs_of(Policy(policy.model), asked, tokens, own_copies)
    rounding = float((copies - exact).abs().max())
    assert rounding > 1e-3  # products are in bfloat16, indeed
    for how in (shared_trunk, fixed_steps):
        assert float((logprobs_of(policy, asked, tokens, how) - copies).abs().max()) < max(5e-2, 2 * rounding)


def test_mixed_precision_samples_nested_prefixes_from_one_trunk():
    policy = mixed("llama")
    sampler, asked = InProcessSampler(policy, eos=0), forks(4)
    for how in (shared_trunk, fixed_steps):
        sampler._sharing = how
        for request, written in zip(asked, sampler.sample(asked), strict=True):
            for sampled in written:
                expected = trainer_logprobs(policy, request, sampled)
                np.testing.assert_allclose(sampled.logprobs.array, expected, atol=0.25)


# ------------------------------------------------------------------ memory


def failing(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Have memory not suffice for that many trials of sharing."""
    left = [times]

    def short(model: Any, prefilled: Any, steps: int) -> Any:
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return shared_trunk(model, prefilled, steps)

    monkeypatch.setattr(sampling_trial, "ways_to_share", lambda device: (short,))


def test_memory_that_does_not_suffice_on_trial_is_no_incapacity(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    failing(monkeypatch, 1)
    sampler = InProcessSampler(build("llama", vocabulary=VOCABULARY), eos=0)
    assert sampler._sharing is not None and sampler._room.rows == 2
    assert messages(caplog) == ["out of memory on trial: 2 continuations at a time from the start (sampler_rows)"]
    said = [[s.tokens for s in written] for written in sampler.sample(forks(3))]
    assert said == [[s.tokens for s in written] for written in sampler_of("llama").sample(forks(3))]


def test_a_model_beside_which_nothing_fits_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch):
    failing(monkeypatch, 2)
    with pytest.raises(RuntimeError, match="two continuations of 6 tokens do not fit in memory beside the weights"):
        InProcessSampler(build("llama", vocabulary=VOCABULARY), eos=0)


def from_config(architecture: str, **changes: Any) -> Policy:
    model = load_model(FromConfig(architecture, changes), Vocabulary(VOCABULARY), seed=0, device=torch.device("cpu"))
    return Policy(louder(model))


BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 24}


def test_a_model_that_takes_positions_from_columns_reads_no_fork_inside_a_trunk():
    policy = from_config("bart", **BART, max_position_embeddings=64)
    sampler = InProcessSampler(policy, eos=0)
    assert sampler._sharing is shared_trunk and not sampler._padded
    asked = forks(3)
    for request, written in zip(asked, sampler.sample(asked), strict=True):
        for sampled in written:
            np.testing.assert_allclose(sampled.logprobs.array, trainer_logprobs(policy, request, sampled), atol=1e-5)


CONV = {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8, "block_auto_adjust_ff_dim": False}


def test_a_model_with_recurrent_layers_is_sampled_on_copies(caplog: pytest.LogCaptureFixture):
    policy = from_config("lfm2", **GROUPED, **CONV)
    sampler = InProcessSampler(policy, eos=0)
    assert policy.layout == "flat" and "sampling copies the prefix" in messages(caplog)[-1]
    states = sum(layer.conv_states[0].nbytes for layer in _cache(policy).layers if hasattr(layer, "conv_states"))
    assert states > 0 and sampler._room.row_bytes == 24 * VOCABULARY + states
    asked = [*requests(5), *forks(3)]
    for request, written in zip(asked, sampler.sample(asked), strict=True):
        for sampled in written:
            np.testing.assert_allclose(sampled.logprobs.array, trainer_logprobs(policy, request, sampled), atol=1e-5)


@torch.no_grad()
def _cache(policy: Policy) -> Any:
    return prefill(policy, [[SampleRequest(Tokens([1, 2, 3]), (0,), 1)]]).cache


def test_a_model_without_a_cache_of_keys_is_refused_by_name():
    policy = from_config("mamba", hidden_size=16, num_hidden_layers=2, state_size=4)
    with pytest.raises(ValueError, match=r"MambaForCausalLM: .*nothing can be sampled from it in this process"):
        InProcessSampler(policy, eos=0)


def test_a_failure_on_trial_names_the_model():
    def fail(arguments: dict[str, Any]) -> None:
        if arguments.get("past_key_values") is not None:
            raise TypeError("past_key_values is not known")

    with pytest.raises(ValueError, match=r"LlamaForCausalLM: it cannot be read on .*past_key_values is not known"):
        InProcessSampler(changed("llama", fail), eos=0)


def test_copies_for_want_of_a_window_are_told_once(caplog: pytest.LogCaptureFixture):
    sampler = InProcessSampler(build("mistral_windowed", vocabulary=VOCABULARY), eos=0)
    for _ in range(2):
        sampler.sample([SampleRequest(Tokens([1, 2, 3]), (1,), 4)])
    assert not caplog.records
    for _ in range(2):
        sampler.sample([SampleRequest(Tokens([1] * 18), (1,), 4)])
    (record,) = caplog.records
    assert "attention window of 20 tokens" in record.message
