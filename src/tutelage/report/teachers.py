"""What teachers on servers took in a run, by role, from the books that the run keeps."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.endpoints import read_books


@dataclass(frozen=True, slots=True)
class Teaching:
    """One role over the whole run, its repeated steps included."""

    role: str
    answering: str
    """Who answered, as the servers told."""
    requests: float
    known: float
    """Prompts whose answer was in the cache."""
    unanswered: float
    read: float
    """Tokens of prompts."""
    written: float
    """Tokens of answers."""
    assumed: float
    """Tokens of requests that may have been computed without an answer arriving, at most."""
    seconds: float
    """Of all sound requests together; they overlap."""
    down: float
    """Seconds of waiting with every server down."""
    cost: float | None
    """``None`` where no price is given."""


def teachings(directory: Path) -> list[Teaching]:
    """A row for each role of the run in ``directory``; none for a run without servers.

    Raises:
        ValueError: its books cannot be read.
    """
    spent, models = read_books(directory)
    return [
        Teaching(
            role=role,
            answering=", ".join(dict.fromkeys(who for name, who in models.items() if name.split(" ")[0] == role)),
            requests=amounts.get("requests", 0.0),
            known=amounts.get("cached", 0.0),
            unanswered=amounts.get("unanswered", 0.0),
            read=amounts.get("prompt_tokens", 0.0),
            written=amounts.get("answer_tokens", 0.0),
            assumed=amounts.get("assumed_tokens", 0.0),
            seconds=amounts.get("server_seconds", 0.0),
            down=amounts.get("seconds_down", 0.0),
            cost=amounts.get("cost"),
        )
        for role, amounts in spent.items()
    ]
