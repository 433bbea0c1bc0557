"""How varied a model's continuations are, and how they repeat themselves: what the paper does not tell."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tutelage.maths.bleu import self_bleu
from tutelage.maths.statistics import distinct_n, hierarchical_bootstrap, repeated_ngrams

NGRAM = 4


def diversity(texts: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Figures of equally many texts can be compared. Words stand between white space, for tokenizers differ.

    ``distinct_n`` of all texts together, ``self_bleu`` the mean over texts (its interval holds the others fixed),
    ``repetition`` the share of a text's 4-grams that it has said before, ``words`` the mean length.

    Raises:
        ValueError: fewer than two texts.
    """
    words = [text.split() for text in texts]
    return {
        "texts": len(texts),
        **{f"distinct_{n}": distinct_n(words, n) for n in (1, 2, 4)},
        "self_bleu": _mean(self_bleu(words, NGRAM), seed),
        "repetition": _mean([repeated_ngrams(text, NGRAM) for text in words], seed),
        "words": _mean([float(len(text)) for text in words], seed),
        "empty": sum(not text for text in words),
    }


def _mean(values: Sequence[float], seed: int) -> dict[str, float]:
    return asdict(hierarchical_bootstrap([np.array(values, np.float64)], seed=seed))
