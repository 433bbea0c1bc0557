"""Keyed randomness: every draw is a function of what it is for, never of when or where it is made.

A seed is a hash of the run's seed, a role and whatever identifies the draw (epoch, corpus, document, cut, k). So
resume, the number of ranks and micro-batching cannot change what is drawn.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Key = str | int | float | bytes


def seed(*key: Key) -> int:
    """A 64-bit seed for ``key``; types are told apart, so that ``seed(1)`` and ``seed("1")`` differ."""
    digest = hashlib.blake2b(digest_size=8)
    for part in key:
        raw = repr(part).encode()
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return int.from_bytes(digest.digest(), "little")


def generator(*key: Key) -> np.random.Generator:
    """A counter-based generator (Philox) for ``key``: cheap to make, independent of all others."""
    return np.random.Generator(np.random.Philox(key=seed(*key)))


def uniform(*key: Key) -> float:
    """One number in [0, 1) for ``key``."""
    return (seed(*key) >> 11) * 2.0**-53


def uniforms(seeds: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """``count`` numbers in [0, 1) for every seed, shape ``(len(seeds), count)``."""
    return np.stack([np.random.Generator(np.random.Philox(key=s)).random(count) for s in seeds])


def below(bound: int, *key: Key) -> int:
    """A whole number in ``[0, bound)`` for ``key``; the bias of the modulus is under ``bound / 2**64``."""
    return seed(*key) % bound
