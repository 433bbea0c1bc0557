"""What is true in the world, and what is widely believed instead."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage import rng
from tutelage.worlds.facts.language import VALUES

FRIENDS = 4
"""How many people a text may turn to from any one person."""


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """The ground truth."""

    facts: NDArray[np.int64]
    """The true value of every attribute of every person, shape ``(people, 5)``."""
    misconceptions: NDArray[np.int64]
    """The value that most texts state instead, -1 where there is none, shape ``(people, 5)``."""
    friends: NDArray[np.int64]
    """Whom a text about somebody may turn to, shape ``(people, FRIENDS)``.

    Everybody has as many friends as friends of theirs: no name is more at hand than another.
    """

    def true(self, person: int, attribute: int) -> int:
        """The true value."""
        return int(self.facts[person, attribute])

    def are_friends(self, person: int, other: int) -> bool:
        """Whether a text may turn from ``person`` to ``other``."""
        return other in self.friends[person]


def make_knowledge(people: int, misconceptions: float, seed: int) -> Knowledge:
    """Draw a world's facts, the share ``misconceptions`` of which is popularly mistaken."""
    generator = rng.generator("facts", "knowledge", seed)
    sizes = np.array([len(values) for values in VALUES.values()])
    facts = generator.integers(0, sizes, (people, len(sizes)))
    wrong = (facts + generator.integers(1, sizes, facts.shape)) % sizes
    rank = generator.permutation(facts.size).reshape(facts.shape)
    mistaken = rank < round(misconceptions * facts.size)
    ring = generator.permutation(people)
    steps = generator.permutation(np.arange(1, people))[:FRIENDS]
    friends = np.empty((people, FRIENDS), np.int64)
    friends[ring] = ring[(np.arange(people)[:, None] + steps) % people]
    return Knowledge(facts, np.where(mistaken, wrong, -1), friends)
