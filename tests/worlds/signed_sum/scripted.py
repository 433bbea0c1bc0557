"""Policies that are written down: what they say is a function of what they read."""

from collections.abc import Callable, Sequence

from tutelage.protocols import Sampled, SampleRequest
from tutelage.types import Floats, Tokens
from tutelage.worlds.signed_sum import REVISE, SignedSumWorld
from tutelage.worlds.signed_sum.language import Key


class Scripted:
    """Answers each prefix, given as its words, by the words that ``write`` returns; end-of-text follows by itself."""

    version = 3

    def __init__(self, world: SignedSumWorld, write: Callable[[list[str], int], str], *, ends: bool = True) -> None:
        self._world = world
        self._write = write
        self._ends = ends
        self.asked: list[SampleRequest] = []

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        self.asked += requests
        return [tuple(self._one(request, seed) for seed in request.seeds) for request in requests]

    def _one(self, request: SampleRequest, seed: int) -> Sampled:
        words = self._write(self._world.text(request.prefix).split(), seed)
        end = [self._world.language.end] if self._ends else []
        tokens = Tokens([*self._world.tokens(words).tolist(), *end])
        return Sampled(tokens, Floats([-1.0] * len(tokens)), "stop" if self._ends else "length")


def chain(numbers: Sequence[int], signs: Sequence[int], modulus: int = 7) -> str:
    """The right sums of these signs."""
    running, words = 0, list[str]()
    for number, sign in zip(numbers, signs, strict=True):
        running = (running + sign * number) % modulus
        words.append(f"{'+' if sign > 0 else '-'}={running}")
    return " ".join(words)


def all_signs(count: int) -> list[tuple[int, ...]]:
    signs: list[tuple[int, ...]] = [()]
    for _ in range(count):
        signs = [(*before, sign) for before in signs for sign in (1, -1)]
    return signs


def answer(words: Sequence[str], *, right: bool) -> str:
    """A chain for the problem that ``words`` begin with, the first that is right or the first that is wrong."""
    mark = target_at(words)
    key = Key(tuple(map(int, words[:mark])), int(words[mark][1:]), 7)
    chains = [chain(key.numbers, signs) for signs in all_signs(len(key.numbers))]
    return next(text for text in chains if key.solved_by(tuple(text.split())) == right)


def turn_of(words: Sequence[str]) -> int:
    """How many attempts stand in ``words``."""
    return words.count(REVISE)


def target_at(words: Sequence[str]) -> int:
    """Where the target stands, behind the numbers."""
    return next(place for place, word in enumerate(words) if word.startswith("="))
