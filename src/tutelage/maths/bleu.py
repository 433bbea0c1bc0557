"""Self-BLEU: how far each text of a sample could be put together from the others."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

Gram = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Most:
    """How often an ``n``-gram occurs in the text that has most of it, and in the next one."""

    text: int
    first: int
    second: int


def self_bleu(texts: Sequence[Sequence[Hashable]], n: int = 4) -> list[float]:
    """BLEU of every text against all others as references (arXiv 1802.01886), 0 to 1; high where all say the same.

    ``BP · exp(Σ_{m≤n} log p_m / n)`` with ``p_m`` the clipped share of ``m``-grams that stand in some other text; a
    share of nothing is smoothed to ``1 / (2 · count)`` (Chen and Cherry's method 1 with ε = 1/2 [I]). Orders beyond a
    text's length are left out. Grows with the sample: compare samples of equal size only.

    Raises:
        ValueError: fewer than two texts, or ``n`` below 1.
    """
    if n < 1 or len(texts) < 2:
        raise ValueError(f"self-BLEU needs two texts and n of at least 1, got {len(texts)} and {n}")
    lengths = [len(text) for text in texts]
    logs: list[list[float]] = [[] for _ in texts]
    for order in range(1, n + 1):
        counts = [Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1)) for text in texts]
        most = _most(counts)
        for i, own in enumerate(counts):
            if total := own.total():
                kept = sum(min(count, _elsewhere(most[gram], i)) for gram, count in own.items())
                logs[i].append(math.log(kept / total if kept else 0.5 / total))
    return [
        _brevity(lengths, i) * math.exp(math.fsum(found) / len(found)) if found else 0.0 for i, found in enumerate(logs)
    ]


def _most(counts: Sequence[Counter[Gram]]) -> dict[Gram, _Most]:
    found: dict[Gram, _Most] = {}
    for i, own in enumerate(counts):
        for gram, count in own.items():
            known = found.get(gram)
            if known is None:
                found[gram] = _Most(i, count, 0)
            elif count > known.first:
                found[gram] = _Most(i, count, known.first)
            elif count > known.second:
                found[gram] = _Most(known.text, known.first, count)
    return found


def _elsewhere(most: _Most, text: int) -> int:
    """The most that any text but ``text`` has."""
    return most.second if most.text == text else most.first


def _brevity(lengths: Sequence[int], text: int) -> float:
    """BLEU's penalty of texts that are shorter than the reference nearest to them in length, the shorter of two."""
    own = lengths[text]
    near = min((abs(other - own), other) for i, other in enumerate(lengths) if i != text)[1]
    return 1.0 if own >= near else math.exp(1 - near / own) if own else 0.0
