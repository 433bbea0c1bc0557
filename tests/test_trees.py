"""Trees: every row is its path, and a token sees its own path and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tutelage.tree_attention import TreeAttention, parts_of, visible
from tutelage.trees import common_prefix, grow, runs_of
from tutelage.types import Row, Segment, Tokens

texts = st.lists(st.integers(0, 2), min_size=1, max_size=9)
rows_of_text = st.lists(texts, min_size=1, max_size=7)


def tree_of(rows: list[list[int]]):
    return grow([Row((Segment(Tokens(row[:2])), Segment(Tokens(row[2:])))) for row in rows])


@given(rows_of_text)
def test_every_row_is_a_path_and_shared_beginnings_stand_once(rows: list[list[int]]):
    tree = tree_of(rows)
    for row, columns in zip(rows, tree.columns, strict=True):
        assert tree.tokens[columns].tolist() == row
        assert tree.positions[columns].tolist() == list(range(len(row)))
    assert tree.length == len({tuple(row[: i + 1]) for row in rows for i in range(len(row))})


@given(rows_of_text)
def test_a_token_sees_its_path_and_nothing_else(rows: list[list[int]]):
    tree = tree_of(rows)
    seen = visible(torch.from_numpy(tree.last)[None])[0].numpy()
    expected = np.zeros_like(seen)
    for columns in tree.columns:
        for i, column in enumerate(columns):
            expected[column, columns[: i + 1]] = True
    assert np.array_equal(seen, expected)


@given(rows_of_text)
def test_runs_tell_a_sequence_apart_where_it_forks(rows: list[list[int]]):
    tree = tree_of(rows)
    runs = runs_of(tree.last)
    assert [column for run in runs for column in range(run.start, run.stop)] == list(range(tree.length))
    for run in runs:
        assert set(tree.last[run.start : run.stop]) == {run.last}
        assert np.diff(tree.positions[run.start : run.stop]).tolist() == [1] * (run.stop - run.start - 1)


def test_common_beginnings_are_counted():
    one, other = np.array([1, 2, 3]), np.array([1, 2, 4, 5])
    assert common_prefix(one, other) == 2 and common_prefix(one, one[:1]) == 1 and common_prefix(one[:0], one) == 0


def random_last(seed: int, width: int) -> Tensor:
    """Two sequences of trees, padded behind."""
    rng = np.random.default_rng(seed)
    sequences: list[np.ndarray] = []
    for _ in range(2):
        trunk = rng.integers(0, 9, rng.integers(1, width // 3)).tolist()
        rows = [trunk + rng.integers(0, 2, rng.integers(0, 6)).tolist() for _ in range(rng.integers(1, 6))]
        last = tree_of(rows).last
        sequences.append(np.concatenate([last, np.full(width - len(last), width - 1)]))
    return torch.from_numpy(np.stack(sequences))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([(2, 2, 8), (4, 2, 4), (6, 1, 8)]))
def test_attention_by_runs_reads_and_teaches_what_a_dense_mask_does(seed: int, heads: tuple[int, int, int]):
    many, few, width = heads
    torch.manual_seed(seed)
    last = random_last(seed, 60)
    query, key, value = (
        torch.randn(2, h, 60, width, dtype=torch.float64, requires_grad=True) for h in (many, few, few)
    )
    weight = torch.randn(2, 60, many, width, dtype=torch.float64)
    ours = TreeAttention(parts_of(last))(query, key, value, layer=0, scale=0.3)
    mask = visible(last)[:, None]
    theirs = scaled_dot_product_attention(query, key, value, mask, scale=0.3, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
    gradients = [torch.autograd.grad((x * weight).sum(), (query, key, value)) for x in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_attention_by_runs_keeps_the_precision_of_its_type(dtype: torch.dtype, tolerance: float):
    last = random_last(3, 60)
    exact = [torch.randn(2, 2, 60, 8, dtype=torch.float64) for _ in range(3)]
    attend = TreeAttention(parts_of(last))
    ours = attend(*(x.to(dtype) for x in exact), layer=0, scale=0.35)  # pyright: ignore[reportCallIssue]
    theirs = attend(*(x.to(dtype).double() for x in exact), layer=0, scale=0.35)  # pyright: ignore[reportCallIssue]
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), theirs, atol=tolerance, rtol=tolerance)


def many_cuts() -> Tensor:
    """Forty forks along one document, three branches at each."""
    trunk = list(range(40))
    return torch.from_numpy(tree_of([[*trunk[: i + 1], 50 + k, 60] for i in range(40) for k in range(3)]).last)[None]


@pytest.mark.parametrize("last", [random_last(3, 60), many_cuts()], ids=["trees", "cuts"])
@pytest.mark.parametrize("heads", [(2, 2), (4, 2)])
def test_attention_by_runs_teaches_in_bfloat16_as_well_as_its_type_allows(last: Tensor, heads: tuple[int, int]):
    torch.manual_seed(0)
    many, few = heads
    count, width = last.shape
    rounded = [torch.randn(count, h, width, 8).bfloat16() for h in (many, few, few)]
    weight = torch.randn(count, width, many, 8).bfloat16()

    def gradients(attend: Callable[..., Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
        leaves = [x.to(dtype).requires_grad_() for x in rounded]
        return torch.autograd.grad((attend(*leaves) * weight.to(dtype)).sum(), leaves)

    def by_runs(*leaves: Tensor) -> Tensor:
        return TreeAttention(parts_of(last))(*leaves, layer=0, scale=0.35)  # pyright: ignore[reportCallIssue]

    def dense(*leaves: Tensor) -> Tensor:
        query, key, value = leaves
        mask = visible(last)[:, None]
        return scaled_dot_product_attention(query, key, value, mask, scale=0.35, enable_gqa=True).transpose(1, 2)

    for ours, exact in zip(gradients(by_runs, torch.bfloat16), gradients(dense, torch.float64), strict=True):
        assert ours.dtype == torch.bfloat16
        assert float((ours.double() - exact).abs().max()) < 2**-7 * float(exact.abs().max())


def test_siblings_of_equal_length_are_one_part():
    tree = tree_of([[0, 0, 1, i] for i in range(3)] + [[0, 0, 2]])
    parts = parts_of(torch.from_numpy(tree.last)[None])
    assert [part.count for part in parts if part.causal] == [1, 5]
    assert [(part.queries, part.keys) for part in parts if not part.causal] == [
        (slice(2, 7), slice(0, 2)),
        (slice(3, 6), slice(2, 3)),
    ]
