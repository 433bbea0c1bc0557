"""What a model can take is found out by asking it: on both passes, in its precision, and as loud as it may become."""

import logging
from typing import Any

import pytest
import torch
from tests.families import GROUPED, SHAPE, Vocabulary, build, louder, spec
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tutelage import probing, scoring, tree_attention
from tutelage.collate import Batch, collate
from tutelage.limits import context_length
from tutelage.policy import Policy
from tutelage.tree_attention import Part, TreeAttention
from tutelage.types import Group, Pair, Row, Segment, Tokens
from tutelage.weights import FromConfig, load_model

CPU = torch.device("cpu")
WINDOW = 20


def made(architecture: str, settings: dict[str, Any]) -> PreTrainedModel:
    return load_model(FromConfig(architecture, settings), Vocabulary(23), seed=0, device=CPU)


GPT_NEO = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_heads": 4,
    "attention_types": [[["global", "local"], 1]],
    "max_position_embeddings": 64,
    "window_size": WINDOW,
}
LLAMA_4 = GROUPED | {
    "head_dim": 8,
    "attention_chunk_size": WINDOW,
    "num_local_experts": 2,
    "intermediate_size_mlp": 24,
}
VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


def of_text_and_images() -> PreTrainedModel:
    text = GROUPED | {"head_dim": 8, "sliding_window": WINDOW, "vocab_size": 23}
    config = AutoConfig.for_model("gemma3", text_config=text, vision_config=VISION | {"image_size": 28})
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


@pytest.mark.parametrize("family", ["gpt_neo", "llama4_text", "gemma3"])
def test_a_window_is_found_under_whatever_name_it_has(family: str):
    settings = {"gpt_neo": GPT_NEO, "llama4_text": LLAMA_4}
    policy = Policy(louder(made(family, settings[family])) if family in settings else of_text_and_images())
    assert (policy.tree_limit, policy.layout, policy.context_length) == (WINDOW, "trees", 64)
    trunk = Segment(Tokens([i % 23 for i in range(30)]))
    pair = Pair(*(Row((trunk, Segment(Tokens([start, 1, 2, 3]), trained=True))) for start in (4, 5)))
    (limited,) = collate([pair], max_tokens=1000, tree_limit=policy.tree_limit)
    (rows,) = collate([pair], max_tokens=1000, layout="flat")
    torch.testing.assert_close(policy.score(limited).logprobs, policy.score(rows).logprobs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "limit"), [({"use_sliding_window": False}, None), ({"max_window_layers": 3}, None), ({}, None)]
)
def test_what_only_sounds_like_a_window_is_none(settings: dict[str, Any], limit: int | None):
    assert Policy(made("qwen2", GROUPED | settings)).tree_limit == limit


@pytest.mark.parametrize(("family", "alone"), [("gemma2", False), ("cohere", False), ("llama", True), ("opt", True)])
def test_a_head_whose_logits_are_capped_or_scaled_is_never_called_alone(family: str, alone: bool):
    """Fresh weights give logits so small that a cap of 30 changes nothing."""
    own = {"gemma2": GROUPED | {"head_dim": 8}, "opt": SHAPE | {"ffn_dim": 24, "word_embed_proj_dim": 16}}
    settings = own.get(family, GROUPED)
    settings = {k: v for k, v in settings.items() if family != "opt" or k != "intermediate_size"}
    policy = Policy(made(family, settings))
    assert policy.ways.separate_head == alone
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        policy.model.get_input_embeddings().weight.mul_(100)
        (batch,) = collate([Group((Row((Segment(Tokens(tokens[0].tolist()), trained=True),)),))], max_tokens=100)
        logits = policy.model(input_ids=tokens).logits[0].log_softmax(-1)
        ours = policy.score(batch).logprobs
    torch.testing.assert_close(ours, logits[:-1].gather(-1, tokens[0, 1:, None])[:, 0], atol=1e-4, rtol=1e-5)


def test_a_model_keeps_its_own_attention_where_ours_changes_what_it_says():
    """Falcon asks for its kind of attention by name, and is not causal under any other."""
    model = made("falcon", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4})
    first, policy = Policy(model), Policy(model)
    assert model.config._attn_implementation == "sdpa" and first.ways == policy.ways
    assert (policy.layout, policy.ways.kernel) == ("trees", "dense")


@pytest.mark.parametrize("broken", ["fails", "differs"])
def test_a_kernel_whose_gradient_is_wrong_is_left_for_a_dense_mask(broken: str, monkeypatch: pytest.MonkeyPatch):
    def backward(_grad: torch.Tensor, *inputs: torch.Tensor, **_: object) -> tuple[torch.Tensor, ...]:
        if broken == "fails":
            raise RuntimeError("cannot be compiled here")
        return tuple(torch.zeros_like(x) for x in inputs[:3])

    model = build("llama").model
    monkeypatch.setattr(tree_attention, "_backward", backward)
    assert Policy(model).ways.kernel == "dense"
    frozen = Policy(model.requires_grad_(False))
    assert frozen.ways.kernel == "runs", "what is not trained has no gradient to ask for"


def test_a_kernel_that_lets_trees_of_one_sequence_see_each_other_is_left(monkeypatch: pytest.MonkeyPatch):
    def leaky(last: torch.Tensor) -> tuple[Part, ...]:
        seen, width = last.clone(), last.shape[1]
        for row in seen:
            row[: int(row[0]) + 1] = torch.where(row[: int(row[0]) + 1] == row[0], width - 1, row[: int(row[0]) + 1])
        return tree_attention.parts_of(seen)

    model = build("llama").model
    assert Policy(model).ways.kernel == "runs"
    monkeypatch.setattr(scoring, "parts_of", leaky)
    assert Policy(model).ways.kernel == "dense"


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "mixtral"])
def test_a_mixed_policy_learns_over_trees_of_any_width(family: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probing, "RUNS_FROM", 0)
    model = build(family).model
    scores: list[torch.Tensor] = []
    trunk = Segment(Tokens([i % 23 for i in range(15)]))
    rows = tuple(Row((trunk, Segment(Tokens([start, 1, 2, 3]), trained=True))) for start in (4, 5))
    (batch,) = collate([Group(rows), Group(rows[:1])], max_tokens=1000)
    for mixed in (False, True):
        policy = Policy(model, mixed=mixed)
        assert (policy.ways.kernel, policy.layout, policy.ways.runs_from) == ("runs", "trees", 0)
        logprobs = policy.score(batch).logprobs
        logprobs.sum().backward()
        assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
        scores.append(logprobs.detach())
    torch.testing.assert_close(scores[1], scores[0], atol=0.05, rtol=0)
    assert not torch.allclose(scores[1], scores[0], atol=1e-5, rtol=0), "products were not taken in bfloat16"


def test_a_kernel_that_fails_in_bfloat16_alone_is_left_by_a_mixed_policy(monkeypatch: pytest.MonkeyPatch):
    right = TreeAttention.__call__

    def attend(self: TreeAttention, query: torch.Tensor, *rest: Any, **settings: Any) -> torch.Tensor:
        if query.dtype == torch.bfloat16:
            raise RuntimeError("no kernel for bfloat16")
        return right(self, query, *rest, **settings)

    model = build("llama").model
    monkeypatch.setattr(TreeAttention, "__call__", attend)
    assert [Policy(model, mixed=mixed).ways.kernel for mixed in (False, True)] == ["runs", "dense"]


def full(most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Memory for ``most`` columns; what was asked for."""
    asked: list[int] = []
    score = scoring.score

    def limited(model: PreTrainedModel, batch: Batch, *rest: Any, **settings: Any) -> scoring.Scores:
        asked.append(batch.tokens.shape[1])
        if asked[-1] > most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return score(model, batch, *rest, **settings)

    monkeypatch.setattr(probing, "score", limited)
    return asked


def test_a_trial_that_does_not_fit_in_memory_is_made_smaller_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    model = build("llama").model
    expected = Policy(model).ways
    asked = full(15, monkeypatch)
    with caplog.at_level(logging.WARNING, "tutelage.probing"):
        assert Policy(model).ways == expected
    assert max(asked) > 15 and asked[-1] <= 15
    (record,) = caplog.records
    assert "LlamaForCausalLM: out of memory on a trial of 20 tokens" in record.message


def test_a_model_beside_which_nothing_fits_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch):
    model = build("llama").model
    full(0, monkeypatch)
    with pytest.raises(RuntimeError, match=r"LlamaForCausalLM.*does not fit in memory.*smaller model"):
        Policy(model)


def test_a_model_is_asked_little():
    """Twenty-two runs of the demonstration start with it."""
    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        asked = full(1 << 20, patch)
        Policy(load_model(spec("llama"), Vocabulary(23), seed=0, device=CPU), mixed=True)
    assert len(asked) <= 8 and max(asked) <= WINDOW


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 24}),
        ("mpt", {"d_model": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": 24}),
        ("whisper", {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2, "max_target_positions": 24}),
        ("llama", SHAPE | {"max_position_embeddings": 24}),
        ("xlnet", {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16}),
    ],
)
def test_the_context_is_read_under_every_name_that_configurations_have_for_it(
    architecture: str, settings: dict[str, Any]
):
    config: Any = AutoConfig.for_model(architecture, vocab_size=23, pad_token_id=0, **settings)
    assert context_length(config) == (None if architecture == "xlnet" else 24)


def test_a_model_that_cannot_read_token_ids_is_refused_by_name():
    model: Any = build("llama").model

    def other(**_: Any) -> Any:
        raise TypeError("ne() received None")

    model.forward = other
    with pytest.raises(ValueError, match=r"LlamaForCausalLM cannot score a batch of token ids \(ne\(\) received None"):
        Policy(model)


def test_rotations_that_change_beyond_a_length_end_the_context_there():
    """With longrope one long row changes what a short one beside it is given."""
    factors = {"short_factor": [1.0, 1.0], "long_factor": [4.0, 4.0], "factor": 2.0}
    longrope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 32, **factors}
    settings = {**SHAPE, "rope_parameters": longrope, "original_max_position_embeddings": 32}
    model = load_model(FromConfig("phi3", settings), Vocabulary(23), seed=0, device=CPU)
    policy = Policy(louder(model))
    assert policy.context_length == 32 < SHAPE["max_position_embeddings"]
    short, long = (Group((Row((Segment(Tokens([i % 23 for i in range(n)]), trained=True),)),)) for n in (10, 40))
    beside, alone = (policy.score(collate(items, max_tokens=1000)[0]) for items in ([short, long], [short]))
    assert not torch.allclose(beside.logprobs[:9], alone.logprobs, atol=1e-3), "the limit protects from nothing"
