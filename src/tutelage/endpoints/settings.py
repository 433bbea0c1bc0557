"""How servers are asked: time-outs, repeats, caps, prices, and where answers are kept."""

from dataclasses import dataclass
from typing import Any

from tutelage.maths.ranges import require

HOW_ASKED = ("servers", "key_variable", "requests", "price", "cap", "cache")
"""Fields of an endpoint that decide how it is asked and not what it answers: they may differ on resume."""


def deciding(plain: Any) -> Any:
    """``plain`` settings without those of the endpoints in them that may differ on resume."""
    if isinstance(plain, list):
        items: list[Any] = plain
        return [deciding(item) for item in items]
    if not isinstance(plain, dict):
        return plain
    fields: dict[str, Any] = plain
    is_endpoint = all(name in fields for name in HOW_ASKED)  # plain settings are complete
    return {name: deciding(value) for name, value in fields.items() if not (is_endpoint and name in HOW_ASKED)}


@dataclass(frozen=True, slots=True)
class Requests:
    """How a server is asked and when it is taken for down. No field decides what an answer says."""

    concurrency: int = 32
    """Most requests that are out at one server."""
    connect_timeout_s: float = 10.0
    """Longest time until a connection stands, and of a health check."""
    timeout_s: float = 120.0
    """Longest time of an attempt, from sending to the answer's last byte."""
    retries: int = 8
    """Further attempts at a prompt before it is given up; waiting for a server that is down uses up none."""
    backoff_s: float = 0.5
    """Mean wait before the second attempt; it doubles from attempt to attempt."""
    max_backoff_s: float = 30.0
    """Longest wait between two attempts; a server's ``Retry-After`` may ask for more."""
    hedge: float = 0.02
    """Largest share of prompts sent a second time while the first request is out, the slowest ones; 0 never."""
    max_answer_bytes: int = 1_000_000
    """A response is broken off where it grows larger."""
    trip_after: int = 5
    """A server that fails so often in a row is left alone until a health check succeeds."""
    probe_s: float = 1.0
    """Wait before the first health check of a server that is down; it doubles up to ``max_backoff_s``."""
    start_timeout_s: float = 120.0
    """How long a role's servers may take until the first of them answers at all."""
    max_wait_s: float | None = None
    """Stop the run where all servers of a role are down for so long; without it, it waits."""

    def __post_init__(self) -> None:
        require(self, "concurrency", "max_answer_bytes", "trip_after", at_least=1)
        require(self, "connect_timeout_s", "timeout_s", "probe_s", "start_timeout_s", "max_wait_s", above=0)
        require(self, "retries", "backoff_s", "max_backoff_s", at_least=0)
        require(self, "hedge", at_least=0, at_most=1)


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost, in any currency; of one's own servers, the rent of the machines."""

    prompt: float = 0.0
    """Of a million tokens that are read."""
    answer: float = 0.0
    """Of a million tokens that are written."""

    def __post_init__(self) -> None:
        require(self, "prompt", "answer", at_least=0)

    def of(self, prompt_tokens: float, answer_tokens: float) -> float:
        """The cost of so many tokens."""
        return (self.prompt * prompt_tokens + self.answer * answer_tokens) / 1e6


@dataclass(frozen=True, slots=True)
class Cap:
    """What a role may spend in a run, resumed or not; nothing is sent that could lead beyond. Ranks share it evenly."""

    tokens: int | None = None
    """Read and written together."""
    cost: float | None = None
    """In the currency of the price."""

    def __post_init__(self) -> None:
        require(self, "tokens", "cost", above=0)


@dataclass(frozen=True, slots=True)
class AnswerCache:
    """Answers on local disk, one file for all runs of a machine; prompts are not in it."""

    file: str = "~/.cache/tutelage/answers.sqlite"
    """On a local disk: SQLite's log is not safe on a network's."""
    max_bytes: int = 4_000_000_000
    """Of answers; beyond it those that were not used for longest go."""

    def __post_init__(self) -> None:
        require(self, "max_bytes", at_least=1)
