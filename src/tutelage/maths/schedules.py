"""Which candidates a judge compares: lists of ``(first, second)`` by their index in the pool."""

from collections.abc import Sequence


def all_pairs(num: int) -> list[tuple[int, int]]:
    """Every two of ``num`` candidates once, lower index first: ``num (num − 1) / 2`` comparisons.

    What arXiv:2601.21343 §1.2.2 does [P].
    """
    return [(first, second) for first in range(num) for second in range(first + 1, num)]


def pivot(num: int, index: int) -> list[tuple[int, int]]:
    """Every other candidate against candidate ``index``: ``num − 1`` comparisons, the pivot always second.

    Cheaper than all pairs, and clearly worse in arXiv:2601.21343 Tables 21 to 23 [P].

    Raises:
        ValueError: ``index`` is not a candidate.
    """
    if not 0 <= index < num:
        raise ValueError(f"pivot must be one of {num} candidates, got index {index}")
    return [(other, index) for other in range(num) if other != index]


def both_orders(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each comparison, then the same with its sides exchanged; what a judge prefers by place alone cancels.

    The authors' public verifier asks in both orders [C]; whether the paper's runs did is not stated.
    """
    return [order for first, second in pairs for order in ((first, second), (second, first))]
