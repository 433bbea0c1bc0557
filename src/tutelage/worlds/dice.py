"""Keyed chance for text that is written word by word."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from tutelage import rng

T = TypeVar("T")


class Dice:
    """Choices that depend on a key alone: the same key gives the same choices in the same order.

    Example:
        >>> Dice("example", 1).below(6) == Dice("example", 1).below(6)
        True
    """

    def __init__(self, *key: rng.Key) -> None:
        self._draws = _uniforms(*key)

    def chance(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return next(self._draws) < probability

    def below(self, bound: int) -> int:
        """A whole number in ``[0, bound)``."""
        return int(next(self._draws) * bound)

    def pick(self, choices: Sequence[T]) -> T:
        """One of ``choices``."""
        return choices[self.below(len(choices))]

    def sample(self, choices: Sequence[T], count: int) -> list[T]:
        """``count`` different members of ``choices`` in random order.

        Raises:
            ValueError: there are fewer than ``count``.
        """
        if count > len(choices):
            raise ValueError(f"cannot choose {count} of {len(choices)}")
        pool = list(choices)
        for place in range(count):
            other = place + self.below(len(pool) - place)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:count]


def _uniforms(*key: rng.Key) -> Iterator[float]:
    """Endless uniform draws in [0, 1), made in blocks because one at a time is slow."""
    generator = rng.generator(*key)
    while True:
        yield from generator.random(256).tolist()
