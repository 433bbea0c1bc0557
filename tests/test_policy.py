"""Models of many families: how they are built, what they can take, and a whole step with each."""

import logging
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families import FAMILIES, SHAPE, Vocabulary, build, spec
from tests.tiny import LLAMA, WORLD, tiny_phase, tiny_run, train_all
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_layers import GradientCheckpointingLayer

from tutelage import scoring
from tutelage.codec import HFCodec
from tutelage.collate import collate
from tutelage.objectives import OnlineDPO
from tutelage.policy import Policy
from tutelage.scoring import Kernel
from tutelage.tree_attention import TreeAttention
from tutelage.types import Group, Pair, Row, Segment, Tokens
from tutelage.weights import FromConfig, Pretrained, load_model
from tutelage.worlds.facts import FactsJudge

CPU = torch.device("cpu")
FLAT = {"gemma3"}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_samples_judges_and_learns(
    family: str, tiny_tokenizer: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    phase = tiny_phase(OnlineDPO(ntp_weight=0.5), steps=2, judges=(FactsJudge(WORLD),))
    with caplog.at_level(logging.WARNING, "tutelage"):
        session, reports = train_all(tiny_run(tiny_tokenizer, phase, model=spec(family)), tmp_path)
    learner = session.learner
    assert learner.policy.version == 2 and [report.progress.step for report in reports] == [1, 2]
    assert all(report.metrics["pool/taught"] > 0 and report.metrics["loss/dpo"] > 0 for report in reports)
    assert reports[1].metrics["policy/gradient_norm"] > 0
    assert reports[0].metrics["dpo/margin"] == pytest.approx(0, abs=1e-5) != reports[1].metrics["dpo/margin"]
    assert learner.policy.layout == ("flat" if family in FLAT else "trees")
    told = [record for record in caplog.records if "rows are laid out flat" in record.message]
    assert len(told) == (family in FLAT)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    ours = dict(learner.policy.model.named_parameters())
    assert all(torch.equal(p, ours[name]) for name, p in again.named_parameters())


LONG = Segment(Tokens([i % 23 for i in range(15)]))
TREE = Pair(*(Row((LONG, Segment(Tokens([start, 1, 2, 3]), trained=True))) for start in (4, 5)))


@pytest.mark.parametrize(("family", "flat"), [("mistral", False), ("mistral_windowed", True), ("llama", False)])
def test_trees_longer_than_an_attention_window_are_laid_out_flat(family: str, flat: bool):
    policy = build(family)
    assert policy.layout == "trees"
    (batch,) = collate([TREE], max_tokens=1000, layout=policy.layout, tree_limit=policy.tree_limit)
    assert (batch.last is None) == flat
    (rows,) = collate([TREE], max_tokens=1000, layout="flat")
    assert torch.allclose(policy.score(batch).logprobs, policy.score(rows).logprobs, atol=1e-5)


def test_the_window_is_what_the_limit_protects_from():
    policy = build("mistral_windowed")
    short = Pair(*(Row((LONG, LONG, Segment(Tokens([1, 2, 3, start]), trained=True))) for start in (4, 5)))
    (tree,) = collate([short], max_tokens=1000)
    (rows,) = collate([short], max_tokens=1000, layout="flat")
    assert not torch.allclose(policy.score(tree).logprobs, policy.score(rows).logprobs, atol=1e-3)


def test_a_model_in_training_mode_is_scored_without_dropout():
    settings = {**SHAPE, "attention_dropout": 0.5, "vocab_size": 23}
    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **settings))
    assert Policy(model.train()).layout == "trees" and not model.training


def test_scores_are_those_of_the_models_own_logits():
    for family in ("gpt2", "gpt_neox", "gemma"):
        policy = build(family, "float64")
        tokens = Tokens([3, 1, 4, 1, 5, 9])
        (batch,) = collate([Group((Row((Segment(tokens, trained=True),)),))], max_tokens=100)
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([tokens.tolist()])).logits[0]
            scores = policy.score(batch)
        expected = logits.log_softmax(-1)
        assert torch.allclose(
            scores.logprobs, expected[:-1].gather(-1, torch.tensor(tokens.tolist()[1:])[:, None])[:, 0]
        )
        assert torch.allclose(scores.entropy, -(expected.exp() * expected).sum(-1)[:-1])


def test_the_reference_stays_while_the_policy_moves_until_it_is_synced():
    policy = build("gpt2")
    reference = policy.frozen_copy()
    assert not any(p.requires_grad for p in reference.model.parameters())
    assert all(p.requires_grad for p in policy.model.parameters())
    weight = policy.model.get_input_embeddings().weight
    with torch.no_grad():
        weight.add_(1.0)
    policy.version = 5
    assert not torch.equal(reference.model.get_input_embeddings().weight, weight)
    reference.copy_weights(policy)
    assert torch.equal(reference.model.get_input_embeddings().weight, weight) and reference.version == 5


def test_a_model_that_refuses_branching_masks_is_laid_out_flat_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    policy = build("llama")

    def refuse(*_: object) -> torch.Tensor:
        raise RuntimeError("no such mask")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "tutelage.probing"):
        patch.setattr(scoring, "_packed", refuse)
        again = Policy(policy.model)
    assert again.layout == "flat" and [r.levelname for r in caplog.records] == ["WARNING"] * 2
    assert "LlamaForCausalLM" in caplog.records[1].message and "rows are laid out flat" in caplog.records[1].message
    assert "slower and trains the same" in caplog.records[1].message


@pytest.mark.parametrize("broken", ["fails", "differs"])
def test_a_kernel_that_fails_or_differs_is_left_for_a_dense_mask_and_says_so_once(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    policy = build("llama")
    assert policy.ways.kernel == "runs"

    def attend(self: TreeAttention, query: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        if broken == "fails":
            raise RuntimeError("cannot be compiled here")
        return torch.zeros_like(query).transpose(1, 2)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "tutelage.probing"):
        patch.setattr(TreeAttention, "__call__", attend)
        again = Policy(policy.model)
    assert (again.layout, again.ways.kernel) == ("trees", "dense")
    (record,) = caplog.records
    assert "LlamaForCausalLM" in record.message and "attention by 'runs' fails or differs" in record.message
    assert "slower and trains the same" in record.message


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma"])
def test_flex_attention_reads_a_tree_as_the_dense_mask_does(family: str):
    policy = build(family)
    scores: list[torch.Tensor] = []
    rows = tuple(Row((LONG, LONG, Segment(Tokens([1, 2, start]), trained=True))) for start in (4, 5, 6))
    (batch,) = collate([Group(rows), Group(rows[:1])], max_tokens=1000)
    with torch.no_grad():
        for kernel in ("dense", "flex"):
            policy.ways = replace(policy.ways, kernel=kernel, runs_from=0)
            scores.append(policy.score(batch).logprobs)
    torch.testing.assert_close(scores[1], scores[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "mixtral"])
def test_recomputed_activations_give_the_same_gradient_and_leave_dropout_off(family: str):
    policy = build(family, "float64")
    policy.ways = replace(policy.ways, runs_from=0)
    (batch,) = collate([TREE], max_tokens=1000)
    gradients: list[dict[str, torch.Tensor]] = []
    for save_memory in (False, True):
        policy.save_memory = save_memory
        policy.model.zero_grad()
        kept: list[torch.Tensor] = []

        def keep(x: torch.Tensor, kept: list[torch.Tensor] = kept) -> torch.Tensor:
            kept.append(x)
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss = policy.score(batch).logprobs.sum()
        loss.backward()
        gradients.append({name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None})
        assert not any(module.training for module in policy.model.modules())
        gradients[-1]["kept"] = torch.tensor(len(kept))
    plain, saved = (g.pop("kept") for g in gradients)
    assert saved < plain / 2
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-12, rtol=1e-12)


OPT = {"hidden_size": 16, "ffn_dim": 24, "num_attention_heads": 4, "num_hidden_layers": 2, "word_embed_proj_dim": 16}


@pytest.mark.parametrize("family", ["opt", "biogpt"])
def test_layers_that_drop_out_by_themselves_do_not_while_they_are_recomputed(family: str):
    settings = {"opt": OPT | {"dropout": 0.5}, "biogpt": SHAPE | {"hidden_dropout_prob": 0.5}}
    policy = Policy(load_model(FromConfig(family, settings[family]), Vocabulary(23), seed=0, device=CPU))
    (batch,) = collate([TREE], max_tokens=1000)
    found: list[dict[str, torch.Tensor]] = []
    for save_memory in (False, True):
        policy.save_memory = save_memory
        policy.model.zero_grad()
        policy.score(batch).logprobs.sum().backward()
        found.append({name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(gradient, found[1][name]) for name, gradient in found[0].items())


def test_recomputing_leaves_a_layers_own_forward_in_its_place():
    policy = build("llama")
    policy.save_memory = True
    wrapped, *others = (m for m in policy.model.modules() if isinstance(m, GradientCheckpointingLayer))
    calls: list[int] = []
    plain = wrapped.forward

    def mine(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        return plain(*arguments, **settings)

    wrapped.forward = mine
    (batch,) = collate([TREE], max_tokens=1000)
    policy.score(batch).logprobs.sum().backward()
    assert len(calls) == 2 and wrapped.forward is mine
    assert not any("forward" in vars(layer) for layer in others)


def test_a_mixed_policy_multiplies_its_head_in_bfloat16_as_the_model_would():
    policy = build("llama")
    policy.mixed = True
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    (batch,) = collate([Group((Row((Segment(Tokens(tokens[0].tolist()), trained=True),)),))], max_tokens=100)
    with torch.no_grad(), policy.computing():
        logits = policy.model(input_ids=tokens).logits[0]
    assert logits.dtype == torch.bfloat16
    expected = logits.float().log_softmax(-1)[:-1].gather(-1, tokens[0, 1:, None])[:, 0]
    torch.testing.assert_close(policy.score(batch).logprobs, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("kernel", "made"), [("runs", "parts_of"), ("dense", "visible")])
def test_policy_and_reference_share_the_mask_of_a_batch_and_hold_one_at_a_time(
    kernel: Kernel, made: str, monkeypatch: pytest.MonkeyPatch
):
    policy = build("llama")
    policy.ways = replace(policy.ways, kernel=kernel, runs_from=0)
    reference = policy.frozen_copy()
    times: list[int] = []
    plain = getattr(scoring, made)

    def counted(last: torch.Tensor) -> Any:
        times.append(1)
        return plain(last)

    monkeypatch.setattr(scoring, made, counted)
    (one,), (two,) = (collate([TREE], max_tokens=1000) for _ in range(2))
    expected = policy.score(one).logprobs
    assert torch.equal(reference.score(one).logprobs, expected) and len(times) == 1
    assert torch.equal(policy.score(two).logprobs, expected) and len(times) == 2
    policy.score(one)
    assert len(times) == 3
    assert one.last is not None
    gone = weakref.ref(one.last)
    del one
    assert gone() is None, "a mask keeps its batch alive"


def test_weights_from_scratch_are_a_function_of_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (load_model(spec("llama"), Vocabulary(23), seed=s, device=CPU) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.get_input_embeddings().weight, other.get_input_embeddings().weight)
    assert not one.training


def test_precision_is_that_of_the_spec(tmp_path: Path):
    assert {p.dtype for p in build("gpt2", "float64").model.parameters()} == {torch.float64}
    build("gpt2").save_hf(tmp_path)
    loaded = load_model(Pretrained(str(tmp_path), "float64"), Vocabulary(23), seed=0, device=CPU)
    assert {p.dtype for p in loaded.parameters()} == {torch.float64}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (FromConfig("lama"), "model.architecture 'lama'"),
        (FromConfig("llama", LLAMA | {"hiden_size": 3}), "the architecture 'llama' has no setting 'hiden_size'"),
        (FromConfig("llama", LLAMA | {"vocab_size": 20}), "the tokenizer has 23 ids but the model embeds only 20"),
        (Pretrained("./nowhere"), "there is no folder './nowhere'"),
    ],
)
def test_a_model_that_cannot_be_is_refused_by_name(model: FromConfig | Pretrained, words: str):
    with pytest.raises(ValueError, match=words):
        load_model(model, Vocabulary(23), seed=0, device=CPU)


def test_an_architecture_that_knows_no_padding_is_built_all_the_same():
    settings = {"n_embd": 16, "n_layer": 1, "n_head": 4, "rotary_dim": 4, "n_positions": 64}
    model = load_model(FromConfig("codegen", settings), Vocabulary(23), seed=0, device=CPU)
    assert model.config.eos_token_id == Vocabulary(23).eos


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"model\.path: cannot load"):
        load_model(Pretrained(str(tmp_path)), Vocabulary(23), seed=0, device=CPU)


def test_pickled_weights_are_never_read_and_the_error_says_how_to_convert_them(tmp_path: Path):
    policy = build("llama")
    policy.save_hf(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(policy.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"no safetensors.*AutoModelForCausalLM\.from_pretrained.*\.save_pretrained"):
        load_model(Pretrained(str(tmp_path)), Vocabulary(23), seed=0, device=CPU)
    AutoModelForCausalLM.from_pretrained(str(tmp_path)).save_pretrained(str(tmp_path))  # as the error says
    assert load_model(Pretrained(str(tmp_path)), Vocabulary(23), seed=0, device=CPU).config.model_type == "llama"


def test_an_exported_folder_holds_a_tokenizer_that_reads_the_same(
    tiny_tokenizer: Path, tiny_codec: HFCodec, tmp_path: Path
):
    train_all(tiny_run(tiny_tokenizer, tiny_phase(steps=1)), tmp_path)
    exported = HFCodec(AutoTokenizer.from_pretrained(tmp_path / "hf"))
    assert exported.fingerprint == tiny_codec.fingerprint and exported.eos == tiny_codec.eos
