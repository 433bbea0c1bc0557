"""Problems in keyed order, epoch after epoch; those that cannot be used are counted and left out when they are read."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.correction.formats import PromptFormat
from tutelage.episodes import Problem
from tutelage.problems.contract import ProblemSet
from tutelage.protocols import Cursor
from tutelage.stream.places import first_place, next_in_order
from tutelage.types import Tokens

NAME = "problems"
"""What a cursor calls them."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A problem as it was met in one epoch, with the tokens that ask it."""

    problem: Problem
    epoch: int
    prompt: Tokens


def drawn(problems: ProblemSet, count: int, seed: int) -> ProblemSet:
    """``count`` of the problems that have a question and an answer, or all of them, in their order.

    A draw goes by the id alone: whoever is asked, by whatever means, meets the same ones.

    Raises:
        ValueError: none can be used, or two have one id.
    """
    found = Counter[str]()
    pairs = [(p, s) for p, s in zip(problems.problems, problems.solutions, strict=True) if _is_whole(p, found)]
    if not pairs:
        raise ValueError(f"no problem can be used ({_told(found)})")
    require_own_ids([problem for problem, _ in pairs])
    kept = sorted(range(len(pairs)), key=lambda i: rng.seed(seed, "exam", pairs[i][0].id))[:count]
    chosen = [pairs[i] for i in sorted(kept)]
    return replace(problems, problems=tuple(p for p, _ in chosen), solutions=tuple(s for _, s in chosen))


def require_own_ids(problems: Sequence[Problem]) -> None:
    """Refuse problems of which two have one id.

    Raises:
        ValueError: naming it.
    """
    ids = Counter(problem.id for problem in problems)
    if twice := next((name for name, count in ids.items() if count > 1), None):
        raise ValueError(f"two problems are called {twice!r}: random draws go by the id; give each its own")


def _told(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "there are none"


class ProblemReader:
    """Reads problems by a keyed permutation an epoch. Reading is pure: the same cursor gives the same problems."""

    def __init__(self, problems: ProblemSet, asked: PromptFormat, *, seed: int, most: int) -> None:
        found = Counter[str]({"problems_unusable": len(problems.unusable)} if problems.unusable else {})
        answerable = [problem for problem in problems.problems if _is_whole(problem, found)]
        prompts = asked.questions([problem.question for problem in answerable])
        self._posed = [(p, t) for p, t in zip(answerable, prompts, strict=True) if _fits(t, most, found)]
        self._counts = found
        self._seed = seed
        require_own_ids([problem for problem, _ in self._posed])
        if not self._posed:
            raise ValueError(f"no problem can be used ({_told(found)}); max_prompt_tokens is {most}")

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return first_place(NAME)

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Posed, ...], Cursor]:
        """The next ``count`` problems, and the cursor after them.

        Raises:
            ValueError: the cursor is another stream's.
        """
        places, behind = next_in_order(cursor, NAME, count, len(self._posed), self._seed, NAME)
        return tuple(Posed(self._posed[i][0], epoch, self._posed[i][1]) for epoch, i in places), behind

    def __len__(self) -> int:
        return len(self._posed)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(len(prompt) for _, prompt in self._posed)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the problems, their keys and the tokens that ask them; compared on resume."""
        digest = hashlib.blake2b(repr(self._seed).encode(), digest_size=16)
        for problem, prompt in self._posed:
            digest.update(repr((problem.id, problem.question, problem.key)).encode())
            digest.update(prompt.digest)
        return digest.hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Problems left out: rows that are none, without an answer, without a question, too long."""
        return dict(self._counts)


def _is_whole(problem: Problem, found: Counter[str]) -> bool:
    if not problem.question.strip():
        found["problems_without_a_question"] += 1
        return False
    if not problem.key.strip():
        found["problems_without_an_answer"] += 1
        return False
    return True


def _fits(prompt: Tokens, most: int, found: Counter[str]) -> bool:
    if 0 < len(prompt) <= most:
        return True
    found["problems_too_long"] += 1
    return False
