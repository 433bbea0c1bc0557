"""Sampling: keyed, exact to the trainer, whatever is in the batch."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.families import FAMILIES, build

from tutelage import rng
from tutelage.branches import Branches
from tutelage.collate import collate
from tutelage.decoding import fixed_steps, shared_trunk
from tutelage.picking import pick
from tutelage.policy import Policy
from tutelage.protocols import Sampled, SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.sampling_plan import Reading, Room, plan, split
from tutelage.types import Group, Row, Segment, Tokens

VOCABULARY = 23


@cache
def policy_of(family: str) -> Policy:
    return build(family, vocabulary=VOCABULARY)


@cache
def sampler_of(family: str) -> InProcessSampler:
    return InProcessSampler(policy_of(family), eos=0)


def requests(count: int, seeds: int = 3, *, tokens: int = 12, temperature: float = 1.0, top_p: float = 1.0):
    """Prefixes of different lengths, longer than any window, each with its own seeds."""
    draw = rng.generator("requests", count).integers
    return [
        SampleRequest(
            Tokens(draw(1, VOCABULARY, 2 + 7 * i % 31)),
            tuple(rng.seed("sample", i, k) for k in range(seeds)),
            tokens,
            temperature,
            top_p,
        )
        for i in range(count)
    ]


def test_the_same_seed_gives_the_same_tokens_whatever_the_batch_and_the_order():
    asked = [*requests(6), *requests(2, 2, tokens=5), *requests(2, 2, temperature=0.7)]
    sampler = sampler_of("llama")
    together = sampler.sample(asked)
    backwards = sampler.sample(asked[::-1])[::-1]
    alone = [sampler.sample([request])[0] for request in asked]
    few = InProcessSampler(policy_of("llama"), eos=0, max_rows=2).sample(asked)
    split = [
        tuple(
            sampler.sample([SampleRequest(r.prefix, (seed,), r.max_new_tokens, r.temperature)])[0][0]
            for seed in r.seeds
        )
        for r in asked
    ]
    said = [[[s.tokens for s in written] for written in run] for run in (together, backwards, alone, few, split)]
    assert all(other == said[0] for other in said[1:])
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a.logprobs.array, b.logprobs.array, atol=1e-5)


def test_different_seeds_and_prefixes_say_different_things():
    said = [s.tokens for written in sampler_of("llama").sample(requests(4, 4)) for s in written if len(s.tokens) > 2]
    assert len(set(said)) == len(said) > 8


def trainer_logprobs(policy: Policy, request: SampleRequest, sampled: Sampled) -> np.ndarray:
    row = Row((Segment(request.prefix), Segment(sampled.tokens, trained=True)))
    (batch,) = collate([Group((row,))], max_tokens=1000, layout="flat")
    with torch.no_grad():
        return policy.score(batch).logprobs.numpy()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_recorded_logprobs_are_the_trainers(family: str):
    asked = requests(5)
    for request, written in zip(asked, sampler_of(family).sample(asked), strict=True):
        for sampled in written:
            expected = trainer_logprobs(policy_of(family), request, sampled)
            np.testing.assert_allclose(sampled.logprobs.array, expected, atol=1e-5)


def test_logprobs_are_at_the_temperature_and_before_truncation():
    policy, asked = policy_of("gpt2"), requests(2, temperature=0.5, top_p=0.6)
    for request, written in zip(asked, sampler_of("gpt2").sample(asked), strict=True):
        for sampled in written:
            text = Tokens.join([request.prefix, sampled.tokens])
            with torch.no_grad():
                logits = policy.model(input_ids=torch.tensor([text.tolist()])).logits[0, len(request.prefix) - 1 : -1]
            expected = (logits / 0.5).log_softmax(-1)[range(len(sampled.tokens)), sampled.tokens.tolist()]
            np.testing.assert_allclose(sampled.logprobs.array, expected.numpy(), atol=1e-5)


def test_temperature_zero_is_greedy_for_any_seed():
    policy, asked = policy_of("llama"), requests(3, 2, temperature=0.0)
    for request, (one, two) in zip(asked, sampler_of("llama").sample(asked), strict=True):
        text = Tokens.join([request.prefix, one.tokens])
        with torch.no_grad():
            best = (
                policy.model(input_ids=torch.tensor([text.tolist()])).logits[0, len(request.prefix) - 1 : -1].argmax(-1)
            )
        assert one.tokens == two.tokens and one.tokens.tolist() == best.tolist()


def test_a_text_ends_at_end_of_text_and_says_whether_it_did():
    policy = build("gpt2", vocabulary=4)
    asked = [SampleRequest(Tokens([1, 2, 3]), tuple(range(60)), 5)]
    (written,) = InProcessSampler(policy, eos=0).sample(asked)
    assert {s.finish for s in written} == {"stop", "length"} and len({len(s.tokens) for s in written}) > 2
    for s in written:
        ids = s.tokens.tolist()
        assert len(ids) == len(s.logprobs) and 0 not in ids[:-1]
        assert (ids[-1] == 0) == (s.finish == "stop") and (s.finish == "stop" or len(ids) == 5)


def test_first_tokens_follow_the_models_distribution():
    policy, number = build("gpt2", vocabulary=5), 4000
    prefix = Tokens([1, 4, 2])
    seeds = tuple(rng.seed("chi", i) for i in range(number))
    (written,) = InProcessSampler(policy, eos=0, max_rows=number).sample([SampleRequest(prefix, seeds, 1)])
    with torch.no_grad():
        expected = policy.model(input_ids=torch.tensor([prefix.tolist()])).logits[0, -1].softmax(-1).double().numpy()
    counts = np.bincount([s.tokens[0] for s in written], minlength=5)
    statistic = float((((counts - number * expected) ** 2) / (number * expected)).sum())
    assert expected.min() * number > 5
    assert statistic < 18.47  # the 0.999 quantile of χ² with 4 degrees of freedom; the seeds are fixed


def test_requests_that_cannot_be_met_are_refused():
    sampler = sampler_of("llama")
    with pytest.raises(ValueError, match=r"a prefix of 60 tokens and 5 new ones exceed the model's context of 64"):
        sampler.sample([SampleRequest(Tokens([1] * 60), (1,), 5)])
    assert len(sampler.sample([SampleRequest(Tokens([1] * 60), (1,), 4)])[0]) == 1
    for request in (
        SampleRequest(Tokens([]), (1,), 4),
        SampleRequest(Tokens([1]), (), 4),
        SampleRequest(Tokens([1]), (1,), 0),
    ):
        with pytest.raises(ValueError, match="needs a prefix of at least one token"):
            sampler.sample([request])
    assert sampler.sample([]) == []


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (SampleRequest(Tokens([1]), (1,), 4, temperature=-1.0), "temperature must be at least 0"),
        (SampleRequest(Tokens([1]), (1,), 4, temperature=float("nan")), "temperature"),
        (SampleRequest(Tokens([1]), (1,), 4, top_p=0.0), "top_p must be above 0"),
        (SampleRequest(Tokens([1]), (1,), 4, top_p=2.0), "top_p"),
        (SampleRequest(Tokens([1, VOCABULARY]), (1,), 4), f"holds token {VOCABULARY}, and the model has {VOCABULARY}"),
    ],
)
def test_settings_and_tokens_that_no_text_can_come_of_are_refused(request_: SampleRequest, told: str):
    with pytest.raises(ValueError, match=told):
        sampler_of("llama").sample([request_])


def test_no_continuation_at_a_time_is_refused():
    with pytest.raises(ValueError, match="max_rows is 0; at least one continuation"):
        InProcessSampler(build("llama", vocabulary=VOCABULARY), eos=0, max_rows=0)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(value: float, temperature: float):
    policy = build("gpt2", vocabulary=VOCABULARY)
    sampler = InProcessSampler(policy, eos=0)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[3] = value
    with pytest.raises(RuntimeError, match="non-finite logits in 2 of 2 continuations"):
        sampler.sample([SampleRequest(Tokens([1, 2, 3]), (1, 2), 4, temperature)])


# ------------------------------------------------------------------ one step

LOGITS = torch.tensor([[2.0, 0.0, 1.0, -1.0]]).log_softmax(-1)
PROBABILITIES = LOGITS.exp()[0].double()


def picks(logits: torch.Tensor, uniforms: list[float], temperature: float = 1.0, top_p: float = 1.0) -> list[int]:
    many = logits.expand(len(uniforms), -1)
    return pick(many, torch.tensor(uniforms, dtype=torch.float64), temperature, top_p)[0].tolist()


def test_a_token_is_picked_by_inverting_the_cumulative_distribution():
    edges = PROBABILITIES.cumsum(0).tolist()
    assert picks(LOGITS, [0.0, edges[0] - 1e-6, edges[0] + 1e-6, edges[1] + 1e-6, edges[2] + 1e-6, 1 - 2**-53]) == [
        *(0, 0, 1, 2, 3, 3)
    ]


def test_temperature_flattens_or_sharpens():
    middle = [i / 1000 for i in range(1000)]
    shares = {t: picks(LOGITS, middle, t).count(0) / 1000 for t in (0.5, 1.0, 2.0)}
    for temperature, share in shares.items():
        assert share == pytest.approx(float((LOGITS / temperature).softmax(-1)[0, 0]), abs=2e-3)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=8), st.floats(0.05, 1.0), st.floats(0, 1 - 2**-53))
def test_only_the_nucleus_is_ever_picked(values: list[float], top_p: float, uniform: float):
    logits = torch.tensor([values])
    weights = logits.softmax(-1)[0].double()
    token = picks(logits, [uniform], top_p=top_p)[0]
    # The nucleus is the shortest run of most probable tokens that reaches top_p: what comes before is less than that.
    assert float(weights[weights > weights[token]].sum()) < top_p + 1e-6


def test_the_nucleus_keeps_its_proportions():
    shares = np.bincount(picks(LOGITS, [i / 1000 for i in range(1000)], top_p=0.8), minlength=4) / 1000
    kept = PROBABILITIES[[0, 2]] / PROBABILITIES[[0, 2]].sum()
    np.testing.assert_allclose(shares, [kept[0], 0, kept[1], 0], atol=2e-3)


def test_greedy_takes_the_largest_and_reports_it_at_temperature_one():
    token, logprob = pick(LOGITS, torch.tensor([0.99], dtype=torch.float64), 0.0, 1.0)
    assert token.tolist() == [0] and float(logprob[0]) == pytest.approx(float(LOGITS[0, 0]))


# ------------------------------------------------------------------ one trunk, many forks


def forks(count: int, seeds: int = 2) -> list[SampleRequest]:
    """Cuts of two documents, in no order, each with its own seeds."""
    draw = rng.generator("forks").integers
    documents = [Tokens(draw(1, VOCABULARY, 30)) for _ in range(2)]
    cuts = [(d, 6 + 5 * i) for i in range(count) for d in (1, 0)]
    return [
        SampleRequest(documents[d][:cut], tuple(rng.seed("fork", d, cut, k) for k in range(seeds)), 8)
        for d, cut in cuts
    ]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_cuts_of_one_document_are_sampled_from_one_trunk_as_they_are_alone(family: str):
    policy, sampler, asked = policy_of(family), sampler_of(family), forks(4)
    together = sampler.sample(asked)
    for request, written in zip(asked, together, strict=True):
        (alone,) = sampler.sample([request])
        assert [s.tokens for s in written] == [s.tokens for s in alone]
        for sampled in written:
            np.testing.assert_allclose(sampled.logprobs.array, trainer_logprobs(policy, request, sampled), atol=1e-5)


def test_a_trunk_is_computed_once_for_all_cuts_of_its_document(monkeypatch: pytest.MonkeyPatch):
    model, widths = policy_of("llama").model, list[tuple[int, ...]]()
    forward = model.base_model.forward

    def counted(input_ids: torch.Tensor, **settings: object):
        widths.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(model.base_model, "forward", counted)
        sampler_of("llama").sample(forks(4))
    assert widths[0] == (2, 21) and set(widths[1:]) == {(16, 1)}


Decode = Callable[[InProcessSampler, Any, Any, torch.Tensor, Any], Any]


def watched(patch: pytest.MonkeyPatch, look: Callable[[int], object]) -> None:
    """Have ``look`` see how many continuations are decoded together, before they are."""
    decode: Decode = InProcessSampler._decode

    def seen(self: InProcessSampler, given: Any, batch: Any, uniforms: torch.Tensor, how: Any) -> Any:
        look(len(uniforms))
        return decode(self, given, batch, uniforms, how)

    patch.setattr(InProcessSampler, "_decode", seen)


def test_what_does_not_fit_in_memory_is_sampled_in_smaller_batches_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    asked = [*requests(6), *requests(1, 9)]
    expected = sampler_of("llama").sample(asked)
    sampler, rows = InProcessSampler(policy_of("llama"), eos=0), list[int]()

    def limited(count: int) -> None:
        rows.append(count)
        if count > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    watched(monkeypatch, limited)
    most = 5
    assert [[s.tokens for s in w] for w in sampler.sample(asked)] == [[s.tokens for s in w] for w in expected]
    assert rows == [18, 9, 3, 3, 3, 3, 3, 3, 1, 4, 4]
    most = 0
    with pytest.raises(RuntimeError, match=r"a continuation of 2 tokens does not fit in memory: lower max_length"):
        sampler.sample(requests(1))
    assert "out of memory while sampling: 9 continuations at a time from now on" in caplog.records[0].message


def test_a_failed_attempt_is_let_go_before_the_next_one(monkeypatch: pytest.MonkeyPatch):
    sampler, failed, held = InProcessSampler(policy_of("llama"), eos=0), list[Any](), list[int]()

    def limited(count: int) -> None:
        held.append(sum(reference() is not None for reference in failed))
        tensors = torch.empty(1)
        if count > 3:
            failed.append(weakref.ref(tensors))
            raise torch.OutOfMemoryError("CUDA out of memory")

    watched(monkeypatch, limited)
    gc.disable()  # what only a cycle holds would be let go too late
    try:
        sampler.sample(requests(6))
    finally:
        gc.enable()
    assert len(failed) == 2 and len(held) == 8 and set(held) == {0}


def test_more_continuations_of_one_prefix_than_may_go_at_a_time_go_in_parts(monkeypatch: pytest.MonkeyPatch):
    asked = [*requests(1, 9), *requests(2, 2)]
    expected = sampler_of("llama").sample(asked)
    sampler, rows = InProcessSampler(policy_of("llama"), eos=0, max_rows=4), list[int]()
    watched(monkeypatch, rows.append)
    written = sampler.sample(asked)
    assert max(rows) == 4 and sum(rows) == 13
    assert [[s.tokens for s in w] for w in written] == [[s.tokens for s in w] for w in expected]


def test_the_memory_plan_bounds_a_batch_by_what_its_keys_and_values_take():
    room = Room(rows=100, bytes=1000.0, column_bytes=1.0, row_bytes=10.0)
    assert room.holds(2, 100, 20, 10, copies=False) and not room.holds(3, 300, 20, 10, copies=False)
    assert not room.holds(1, 1, 101, 0, copies=False)
    asked = requests(6)
    whole = plan(asked, ["prefixes"] * 6, room, padded=True)
    tight = plan(asked, ["prefixes"] * 6, replace(room, bytes=150.0), padded=True)
    assert len(whole) == 1 and len(tight) > 1
    for batch in tight:
        rows = sum(trunk.rows for trunk in batch)
        assert len(batch) == 1 or room.holds(len(batch), max(t.length for t in batch), rows, 12, copies=False)


def test_a_copy_of_the_prefix_for_each_continuation_counts_as_such():
    room = Room(rows=100, bytes=1000.0, column_bytes=1.0, row_bytes=10.0)
    assert room.holds(1, 100, 8, 10, copies=True) and not room.holds(1, 100, 9, 10, copies=True)
    assert room.holds(1, 100, 45, 10, copies=False) and not room.holds(1, 100, 46, 10, copies=False)
    request = SampleRequest(Tokens([1] * 100), tuple(range(20)), 10)
    parts = [part.seeds for part in split(request, room, "copies")]
    assert parts == [tuple(range(8)), tuple(range(8, 16)), tuple(range(16, 20))]
    assert split(request, room, "trunks") == [request]
    assert len(split(request, replace(room, bytes=50.0), "trunks")) == 20  # one at a time, whatever it takes


def test_only_what_is_read_alike_goes_together():
    room = Room(rows=100, bytes=1e9, column_bytes=1.0, row_bytes=1.0)
    asked = [SampleRequest(Tokens([1] * n), (n,), 4) for n in (9, 7, 5, 3)]
    readings: list[Reading] = ["copies", "copies", "trunks", "trunks"]
    together = [[trunk.requests for trunk in batch] for batch in plan(asked, readings, room, padded=True)]
    assert together == [[(1,), (0,)], [(2, 3)]]
    apart = [[trunk.requests for trunk in batch] for batch in plan(asked, ["prefixes"] * 4, room, padded=False)]
    assert apart == [[(3,)], [(2,)], [(1,)], [(0,)]]


def test_the_plan_measures_what_a_column_takes_on_the_model_itself():
    sampler = sampler_of("llama")
    # Two layers of keys and values, two heads of four numbers, four bytes each; the vocabulary's row of logits.
    assert sampler._room.column_bytes == 2 * 2 * 2 * 4 * 4 and sampler._room.row_bytes == 24.0 * VOCABULARY


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2"])
def test_steps_of_equal_shape_say_what_growing_ones_say(family: str):
    """What a GPU records: the same step for each token, played eagerly here."""
    sampler = InProcessSampler(policy_of(family), eos=0)
    assert sampler._sharing is shared_trunk
    grown = sampler.sample(forks(3))
    sampler._sharing = fixed_steps
    for one, other in zip(grown, sampler.sample(forks(3)), strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.tokens == b.tokens
            np.testing.assert_allclose(a.logprobs.array, b.logprobs.array, atol=1e-5)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_shared_trunk_says_what_copies_of_it_say(family: str):
    shared, copied = sampler_of(family), InProcessSampler(policy_of(family), eos=0)
    assert shared._sharing is shared_trunk
    copied._sharing = None
    for asked in (requests(5), forks(4)):
        for one, other in zip(shared.sample(asked), copied.sample(asked), strict=True):
            for a, b in zip(one, other, strict=True):
                assert a.tokens == b.tokens
                np.testing.assert_allclose(a.logprobs.array, b.logprobs.array, atol=1e-5)


@pytest.mark.parametrize("how", [shared_trunk, fixed_steps])
def test_what_hides_columns_is_made_once_a_trunk_not_in_every_layer_and_step(how: Any, monkeypatch: pytest.MonkeyPatch):
    seen = dict[int, torch.Tensor | None]()
    bias = Branches._bias

    def kept(self: Branches, group: int) -> torch.Tensor | None:
        found = bias(self, group)
        seen[id(found)] = found  # held, so that no two have the same address
        return found

    monkeypatch.setattr(Branches, "_bias", kept)
    sampler = InProcessSampler(policy_of("llama"), eos=-1)
    sampler._sharing = how
    seen.clear()
    sampler.sample(forks(3))
    assert len(seen) == 1 and None not in seen.values()


def test_a_model_whose_attention_cannot_be_replaced_decodes_on_copies_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    policy = policy_of("gpt2")
    with monkeypatch.context() as patch:
        patch.setattr(policy.model.config, "_attn_implementation", "eager")
        sampler = InProcessSampler(policy, eos=0)
        assert sampler._sharing is None
        assert [r.message for r in caplog.records] == [
            "GPT2LMHeadModel: sampling copies the prefix for each continuation (GPT2LMHeadModel computes its attention "
            "by itself); it is slower and takes more memory, and the text is the same"
        ]
        said = [[s.tokens for s in written] for written in sampler.sample(forks(3))]
    assert said == [[s.tokens for s in written] for written in sampler_of("gpt2").sample(forks(3))]
