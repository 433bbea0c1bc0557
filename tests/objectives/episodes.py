"""Episodes made by hand."""

from collections.abc import Sequence

from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.types import Abstained, Floats, Scored, Tokens, Verdict

QUESTION, AGAIN = Tokens([1, 2, 3]), Tokens([4])
ATTEMPTS = (Tokens([5, 6]), Tokens([7, 8, 9]), Tokens([5, 9, 9]))


def verdict(value: float | str) -> Verdict:
    return Abstained(value) if isinstance(value, str) else Scored(value)


def turn(
    number: int, reward: float | str, attempt: Tokens | None = None, *, sampled: bool = True, answer: str | None = None
) -> Turn:
    said = ATTEMPTS[number] if attempt is None else attempt
    logprobs = Floats([-0.5 - 0.1 * i for i in range(len(said))]) if sampled else Floats([])
    return Turn(QUESTION if number == 0 else AGAIN, said, logprobs, "stop", verdict(reward), answer)


def episode(*rewards: float | str, draw: int = 0, offline: bool = False, attempts: Sequence[Tokens] = ()) -> Episode:
    """A number is the reward of an attempt, a string an abstention; ``offline`` has a first attempt by another."""
    turns = tuple(
        turn(i, reward, attempts[i] if attempts else None, sampled=not (offline and i == 0))
        for i, reward in enumerate(rewards)
    )
    return Episode(turns, draw, 0, "base" if offline else "policy")


def group(*episodes: Episode | Sequence[float | str], name: str = "p") -> EpisodeGroup:
    """Episodes, or their rewards."""
    made = tuple(e if isinstance(e, Episode) else episode(*e, draw=i) for i, e in enumerate(episodes))
    return EpisodeGroup(Problem(name, "2 + 3?", "5"), made)
