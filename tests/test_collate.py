"""Packing: what stands where, and that a packed tree says what its rows say one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from tutelage import collate as packing
from tutelage.collate import Batch, Layout, collate, rows_of
from tutelage.metrics import reduce
from tutelage.objectives import GRPO, NTP, Lesson, Objective, OnlineDPO
from tutelage.policy import Policy
from tutelage.ranks import OneRank
from tutelage.scoring import Kernel
from tutelage.tree_attention import visible
from tutelage.types import Floats, Group, Item, Pair, Row, Segment, Tokens
from tutelage.update import Learner, Part, update

VOCABULARY = 23


def row(*parts: Segment) -> Row:
    return Row(parts)


def trained(*ids: int, **credit: float) -> Segment:
    return Segment(Tokens(ids), trained=True, **credit)  # pyright: ignore[reportArgumentType]


TRUNK = Segment(Tokens([1, 2, 3]), ntp_weight=0.5)
BARE = Segment(Tokens([1, 2, 3]))


def test_a_pair_is_one_trunk_with_two_branches():
    (batch,) = collate([Pair(row(TRUNK, trained(4, 5)), row(BARE, trained(6)))], max_tokens=100)
    assert batch.tokens.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 3]]
    assert batch.source.tolist() == [0, 1, 2, 3, 2] and batch.target.tolist() == [2, 3, 4, 5, 6]
    assert batch.row.tolist() == [0, 0, 0, 0, 1]
    assert batch.trained.tolist() == [False, False, True, True, True]
    assert batch.ntp_weight.tolist() == [0.5, 0.5, 0, 0, 0]
    assert batch.pairs.tolist() == [[0, 1]] and (batch.num_rows, batch.num_items, batch.num_tokens) == (2, 1, 6)
    assert batch.last is not None and batch.last.tolist() == [[5, 5, 5, 4, 4, 5]]
    assert visible(batch.last)[0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],
    ]


def test_the_same_pair_laid_out_flat_needs_no_mask():
    (batch,) = collate([Pair(row(TRUNK, trained(4, 5)), row(BARE, trained(6)))], max_tokens=100, layout="flat")
    assert batch.tokens.tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 6, 0]] and batch.last is None
    assert batch.source.tolist() == [0, 1, 2, 3, 7] and batch.target.tolist() == [2, 3, 4, 5, 6]
    assert batch.pairs.tolist() == [[0, 1]] and batch.num_tokens == 9


def test_a_chain_and_a_duplicate_need_no_second_branch():
    (chain,) = collate([Group((row(TRUNK, trained(4)),))], max_tokens=100)
    assert chain.last is None and chain.tokens.tolist() == [[1, 2, 3, 4]]
    (twins,) = collate([Pair(row(BARE, trained(4)), row(BARE, trained(4)))], max_tokens=100)
    assert twins.tokens.tolist() == [[1, 2, 3, 4]] and twins.row.tolist() == [0, 1] and twins.source.tolist() == [2, 2]


def test_forks_along_a_fork_go_on_from_their_own_parent():
    attempt = trained(4, 5)
    rows = (row(BARE, attempt, trained(6)), row(BARE, attempt, trained(7, 8)), row(BARE, trained(9)))
    (batch,) = collate([Group(rows)], max_tokens=100)
    assert batch.tokens.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 5, 5, 6, 3]]
    assert batch.target.tolist() == [4, 5, 6, 4, 5, 7, 8, 9] and batch.source.tolist() == [2, 3, 4, 2, 3, 4, 6, 2]


def test_the_first_token_of_a_row_is_no_target_and_empty_segments_pass():
    rows = (
        row(trained(1, 2)),
        row(Segment(Tokens([])), trained(), trained(3, 4)),
        row(Segment(Tokens([5])), trained()),
    )
    (batch,) = collate([Group(rows)], max_tokens=100)
    assert batch.target.tolist() == [2, 4]
    (gap,) = collate([Group((row(Segment(Tokens([1, 2])), trained(), trained(3, 4)),))], max_tokens=100)
    assert gap.target.tolist() == [3, 4] and gap.source.tolist() == [1, 2]


def test_credit_travels_with_its_tokens():
    told = Segment(Tokens([4, 5]), trained=True, advantage=-0.5, kl_weight=0.25, logprobs=Floats([-1.0, -2.0]))
    (batch,) = collate([Group((row(TRUNK, told), row(BARE, trained(6, advantage=2.0))))], max_tokens=100)
    assert batch.advantage.tolist() == [0, 0, -0.5, -0.5, 2.0] and batch.kl_weight.tolist() == [0, 0, 0.25, 0.25, 0]
    assert batch.behaviour[2:4].tolist() == [-1.0, -2.0] and batch.behaviour[[0, 1, 4]].isnan().all()


def test_several_trees_share_a_sequence_and_do_not_see_each_other():
    small = Group((row(Segment(Tokens([9])), trained(8)),))
    large = Pair(row(BARE, trained(4, 5)), row(BARE, trained(6)))
    (batch,) = collate([small, large, small, small], max_tokens=100)
    assert batch.tokens.shape == (2, 6) and batch.num_tokens == 12 and batch.last is not None
    assert batch.pairs.tolist() == [[1, 2]] and batch.target[batch.row == 0].tolist() == [8]
    second = visible(batch.last)[1].int()
    assert torch.equal(second, torch.block_diag(*[torch.tensor([[1, 0], [1, 1]])] * 3))


def test_a_pair_is_never_split_and_a_large_item_gets_a_batch_of_its_own():
    pair = Pair(row(BARE, trained(4, 5)), row(BARE, trained(6)))
    batches = collate([pair] * 5, max_tokens=12)
    assert [b.num_items for b in batches] == [2, 2, 1] and all(b.num_rows == 2 * len(b.pairs) for b in batches)
    assert [b.num_items for b in collate([pair] * 3, max_tokens=1)] == [1, 1, 1]


def test_an_item_beyond_the_tree_limit_is_flat_and_the_others_stay_trees():
    pair = Pair(row(BARE, trained(4, 5)), row(BARE, trained(6)))
    longer = Pair(row(Segment(Tokens([9, 2, 3])), trained(4, 5)), row(Segment(Tokens([9, 2, 3])), trained(6, 7)))
    (within,), (beyond,) = (collate([pair], max_tokens=100, tree_limit=limit) for limit in (6, 5))
    assert within.last is not None and beyond.last is None and beyond.tokens.shape == (2, 5)
    trees, flat = collate([longer, pair, pair], max_tokens=100, tree_limit=6)
    assert trees.last is not None and (trees.items, trees.num_tokens) == ((1, 2), 12)
    assert flat.last is None and (flat.items, flat.tokens.shape) == ((0,), (2, 5))


def test_items_that_begin_alike_are_not_brought_together_beyond_the_tree_limit():
    items = [Group((row(Segment(PREFIX), trained(50 + i, 60, 61)),)) for i in range(4)]
    (whole,), (halves,) = (collate(items, max_tokens=1000, tree_limit=limit) for limit in (52, 51))
    assert whole.last is not None and whole.tokens.shape == (1, 52) and whole.items == (0, 1, 2, 3)
    assert halves.last is not None and halves.tokens.shape == (2, 46) and halves.items == (0, 1, 2, 3)


def test_flat_rows_are_batched_with_others_of_their_length_and_padding_counts():
    lengths = (2, 60, 3, 2, 50, 3)
    items = [Group((row(Segment(Tokens(range(1, n + 1)), ntp_weight=1.0)),)) for n in lengths]
    batches = collate(items, max_tokens=120, layout="flat")
    assert [(batch.items, batch.tokens.shape) for batch in batches] == [((1, 4), (2, 60)), ((0, 2, 3, 5), (4, 3))]
    # 70 tokens would go with the first row's 60; the columns that they come to would not.
    batches = collate([items[1], *[items[2]] * 10], max_tokens=130, layout="flat")
    assert [batch.tokens.shape for batch in batches] == [(2, 60), (9, 3)]
    assert [batch.num_items for batch in collate(items, max_tokens=1, layout="flat")] == [1] * 6


def test_nothing_packs_to_nothing_and_an_empty_row_is_refused():
    assert collate([], max_tokens=10) == []
    with pytest.raises(ValueError, match="row without tokens"):
        collate([Group((row(Segment(Tokens([]))),))], max_tokens=10)


PREFIX = Tokens(range(40))


def test_cuts_of_one_document_share_its_trunk_and_score_its_tokens_once():
    """Three prefixes of one document, a pair on each: 40 tokens of trunk in all, not 30 + 35 + 40."""
    document = [Segment(PREFIX[:n], ntp_weight=1.0) for n in (30, 35, 40)]
    items = [Pair(row(s, trained(50, 51)), row(Segment(s.tokens), trained(52 + i))) for i, s in enumerate(document)]
    stranger = [Group((row(Segment(Tokens([7, 8, 9])), trained(1)),))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SHARED_TOKENS", 30)
        (batch,) = collate([*items, *stranger], max_tokens=1000)
        (flat,) = collate([*items, *stranger], max_tokens=1000, layout="flat")
    assert (
        batch.num_tokens == 40 + 3 * 3 + 4 and batch.num_items == 4 and batch.pairs.tolist() == [[0, 1], [2, 3], [4, 5]]
    )
    assert len(batch.target) == len(flat.target) == 29 + 34 + 39 + 3 * 3 + 1
    assert len(batch.scored) == 39 + 3 * 3 + 1 and len(flat.scored) == len(flat.target)
    for name in ("target", "row", "trained", "ntp_weight"):
        assert torch.equal(getattr(batch, name), getattr(flat, name)), name
    assert torch.equal(batch.target[batch.scored][batch.score], batch.target)


def test_items_that_begin_alike_are_split_where_they_are_too_many_for_a_micro_batch():
    items = [Group((row(Segment(PREFIX), trained(50 + i, 60, 61)),)) for i in range(8)]
    sizes = [(b.num_items, b.num_tokens) for b in collate(items, max_tokens=52)]
    assert sizes == [(4, 52), (4, 52)]
    assert [b.num_items for b in collate(items, max_tokens=10)] == [1] * 8


def test_a_batch_says_which_items_its_rows_are_where_alike_ones_were_brought_together():
    def item(first: int) -> Item:
        return Group((row(Segment(Tokens([first, *range(40)])), trained(5)),))

    batches = collate([item(1), item(2), item(1), item(2)], max_tokens=10_000)
    assert [batch.items for batch in batches] == [(0, 2, 1, 3)]
    assert [batch.items for batch in collate([item(1), item(2)], max_tokens=1)] == [(0,), (1,)]


# ------------------------------------------------------------------ random trees


def text(rng: np.random.Generator, low: int, high: int) -> Tokens:
    return Tokens(rng.integers(0, VOCABULARY, rng.integers(low, high + 1)))


def segment(rng: np.random.Generator, tokens: Tokens, weight: float) -> Segment:
    logprobs = Floats(-rng.random(len(tokens)) * 4)
    advantage, leash = float(rng.normal()), float(rng.random())
    return Segment(tokens, trained=True, advantage=advantage, kl_weight=leash, ntp_weight=weight, logprobs=logprobs)


def random_rows(rng: np.random.Generator, trunk: Tokens, count: int) -> tuple[Row, ...]:
    """Rows of one tree: up to three levels, from few texts each, so that rows share all, some or none of them."""
    attempts = [text(rng, 1, 4) for _ in range(2)]
    ends = [text(rng, 0, 5) for _ in range(3)]
    rows: list[Row] = []
    for i in range(count):
        parts = [Segment(trunk, ntp_weight=0.5 if i == 0 else 0.0)]
        for level in (attempts, ends):
            if rng.random() < 0.8:
                parts.append(segment(rng, level[rng.integers(len(level))], float(rng.integers(0, 2))))
        rows.append(Row(tuple(parts)))
    return tuple(rows)


def random_items(seed: int, pairs: bool) -> list[Item]:
    """Pairs and plain texts, or groups; of several, some have one trunk or begin with a part of it."""
    rng = np.random.default_rng(seed)
    document = text(rng, 3, 7)
    items: list[Item] = []
    for _ in range(rng.integers(1, 5)):
        trunk = document[: rng.integers(2, 8)] if rng.random() < 0.5 else text(rng, 1, 7)
        if pairs and rng.random() < 0.7:
            items.append(Pair(*random_rows(rng, trunk, 2)))
        elif pairs:
            items.append(Group((Row((Segment(trunk, ntp_weight=0.5),)),)))
        else:
            items.append(Group(random_rows(rng, trunk, int(rng.integers(1, 5)))))
    return items


@pytest.fixture(scope="module")
def few_tokens_in_common_make_a_tree() -> Iterator[None]:
    """Items that begin alike become one tree; with so few tokens asked for, there are many of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SHARED_TOKENS", 2)
        yield


@cache
def models(architecture: str, precision: str) -> tuple[Policy, Policy]:
    from tests.families import build

    policy, reference = (build(architecture, precision, seed, vocabulary=VOCABULARY) for seed in (0, 1))
    return policy, reference


def laid_out(policy: Policy, layout: Layout, kernel: Kernel) -> None:
    """Trees of any width go through the kernel, narrow ones too."""
    policy.ways = replace(policy.ways, layout=layout, kernel=kernel, runs_from=0)


OBJECTIVES: dict[str, Objective] = {
    "dpo": OnlineDPO(nll_weight=0.3, ntp_weight=0.5),
    "grpo": GRPO(kl_weight=0.1, ntp_weight=0.5),
    "grpo_token": GRPO(kl_weight=0.1, kl="reference_to_policy", length="token"),
    "ntp": NTP(),
}


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def learn(
    policy: Policy,
    reference: Policy,
    objective: Objective,
    items: Sequence[Item],
    max_tokens: int,
    layout: Layout,
    kernel: Kernel,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The numbers and gradients of one update at rate 0 and without clipping."""
    for model in (policy, reference):
        laid_out(model, layout, kernel)
    rate = torch.optim.SGD([{"params": list(policy.model.parameters()), "scale": 1.0}], lr=0.0)
    lessons = tuple(Lesson(item) for item in items)
    learner = Learner(policy, (rate,), OneRank(), max_tokens, float("inf"))
    parts = (Part(objective, lessons, 0.75), Part(NTP(), lessons[:1], 0.25))
    numbers = reduce(update(learner, reference, parts, 0.0), OneRank())
    return numbers, gradients(policy.model)


def targets(batches: Sequence[Batch], items: Sequence[Item], policy: Policy) -> Tensor:
    """Log-probabilities of all targets, item by item as they were given."""
    found: dict[int, Tensor] = {}
    for batch in batches:
        logprobs, end = policy.score(batch).logprobs.detach(), 0
        for number in batch.items:
            start, end = end, end + len(rows_of(items[number]))
            found[number] = logprobs[(batch.row >= start) & (batch.row < end)]
    return torch.cat([found[number] for number in range(len(items))])


def assert_close(a: Tensor, b: Tensor, tolerance: float) -> None:
    """Relative to the largest entry: single entries may cancel to nothing.

    A whole tensor may too (of a text of one token, queries and keys have no gradient, and by runs it is rounding), so
    that what is smaller than 1e-3 is held to that.
    """
    assert a.shape == b.shape
    assert not a.numel() or float((a - b).abs().max()) <= tolerance * max(float(b.abs().max()), 1e-3)


def compare(
    architecture: str, precision: str, tolerance: float, name: str, seed: int, max_tokens: int, kernel: Kernel
) -> None:
    policy, reference = models(architecture, precision)
    items = random_items(seed, pairs=name == "dpo")
    flat = targets(collate(items, max_tokens=1 << 20, layout="flat"), items, policy)
    theirs, their_gradients = learn(policy, reference, OBJECTIVES[name], items, 1 << 20, "flat", "dense")
    laid_out(policy, "trees", kernel)
    packed = targets(collate(items, max_tokens=max_tokens), items, policy)
    ours, our_gradients = learn(policy, reference, OBJECTIVES[name], items, max_tokens, "trees", kernel)
    assert_close(packed, flat, tolerance)
    for key in theirs:
        if key.startswith(("loss/", "dpo/", "policy/")) and key != "policy/gradient_norm":
            assert ours[key] == pytest.approx(theirs[key], rel=tolerance, abs=tolerance), key
    for key, gradient in their_gradients.items():
        assert_close(our_gradients[key], gradient, tolerance)


# A seed cannot be made simpler, so nothing is gained by trying others after a failure.
quick = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    derandomize=True,
    database=None,
)
thorough = settings(quick, max_examples=150)
name_of = st.sampled_from(sorted(OBJECTIVES))
size = st.integers(1, 60)
kernels = st.sampled_from(("runs", "dense"))


THROUGHOUT = 1e-9
"""Where a model computes in float64 throughout; elsewhere norms and softmaxes cast to float32, and 1e-6 is asked."""


@pytest.mark.usefixtures("few_tokens_in_common_make_a_tree")
@quick
@given(name_of, st.integers(0, 2**20), size, kernels)
def test_a_packed_tree_equals_its_rows_in_float64(name: str, seed: int, max_tokens: int, kernel: Kernel):
    compare("gpt2", "float64", THROUGHOUT, name, seed, max_tokens, kernel)


@pytest.mark.usefixtures("few_tokens_in_common_make_a_tree")
@quick
@given(name_of, st.integers(0, 2**20), size, kernels)
def test_a_packed_tree_equals_its_rows_where_norms_are_float32(name: str, seed: int, max_tokens: int, kernel: Kernel):
    compare("llama", "float64", 1e-6, name, seed, max_tokens, kernel)


SEVERAL = ["llama", "qwen3", "gemma", "gpt2", "gpt_neox", "mistral", "mixtral"]


@pytest.mark.slow
@pytest.mark.usefixtures("few_tokens_in_common_make_a_tree")
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("architecture", SEVERAL)
def test_packed_trees_equal_their_rows_in_every_family(architecture: str, precision: str):
    whole = architecture in ("gpt2", "gpt_neox")
    tolerance = 1e-4 if precision == "float32" else THROUGHOUT if whole else 1e-6

    @thorough
    @given(name_of, st.integers(0, 2**20), size, kernels)
    def check(name: str, seed: int, max_tokens: int, kernel: Kernel) -> None:
        compare(architecture, precision, tolerance, name, seed, max_tokens, kernel)

    check()


@pytest.mark.usefixtures("few_tokens_in_common_make_a_tree")
@quick
@given(name_of, st.integers(0, 2**20), size)
def test_micro_batches_and_the_order_of_items_do_not_change_the_gradient(name: str, seed: int, max_tokens: int):
    policy, reference = models("gpt2", "float64")
    items = random_items(seed, pairs=name == "dpo")
    shuffled = [items[i] for i in np.random.default_rng(seed).permutation(len(items))]
    laid_out(policy, "trees", "runs")
    rate = torch.optim.SGD([{"params": list(policy.model.parameters()), "scale": 1.0}], lr=0.0)
    found: list[dict[str, Tensor]] = []
    for order, tokens in ((items, 1 << 20), (shuffled, max_tokens)):
        learner = Learner(policy, (rate,), OneRank(), tokens, float("inf"))
        parts = (Part(OBJECTIVES[name], tuple(Lesson(item) for item in order), 1.0), Part(NTP(), (), 0.0))
        update(learner, reference, parts, 0.0)
        found.append(gradients(policy.model))
    for key, gradient in found[0].items():
        assert_close(found[1][key], gradient, 1e-9)


def test_items_laid_out_flat_for_want_of_a_window_are_told_once(caplog: pytest.LogCaptureFixture):
    packing._tell.cache_clear()
    pair = Pair(row(TRUNK, trained(4)), row(TRUNK, trained(5)))
    for limit in (1000, 4, 4):
        collate([pair], max_tokens=1000, tree_limit=limit)
    (record,) = caplog.records
    assert "attention window of 4 tokens are laid out flat" in record.message
