"""What can go wrong with a server, by what is to be done: try again, give up the sample, stop the run."""

import json
import re
from email.utils import parsedate_to_datetime
from typing import Any

from tutelage.prompts import quote

QUOTA = ("insufficient_quota", "billing_hard_limit_reached")
"""Codes of an account that is spent: trying again does not help."""
CONTEXT = re.compile(
    r"context[_ ](length|window|size)|maximum context|too many tokens|prompt is too long", re.IGNORECASE
)
LONGEST_PAUSE_S = 3600.0
"""A ``Retry-After`` beyond this is cut to it."""


class EndpointError(ValueError):
    """Something about a server; which of the three kinds says what follows."""

    def __init__(self, message: str, *, computed: bool = False) -> None:
        super().__init__(message)
        self.computed = computed
        """Whether the server may have computed, and charged for, an answer that is of no use."""


class Retryable(EndpointError):
    """This attempt failed, another may succeed."""

    def __init__(
        self, message: str, *, after_s: float | None = None, blames: bool = True, computed: bool = False
    ) -> None:
        super().__init__(message, computed=computed)
        self.after_s = after_s
        """Seconds that the server asked to be left alone."""
        self.blames = blames
        """Whether it counts towards taking the server for down; being busy does not."""


class OutOfStep(Retryable):
    """What came is the answer to another request: the connection is not to be used again."""


class FatalForSample(EndpointError):
    """This prompt gets no answer, others may."""


class FatalForRun(EndpointError):
    """Nothing can be asked until a person acts."""


class KeyMissing(FatalForRun):
    """The environment variable that should hold the key is not set."""


class KeyRefused(FatalForRun):
    """The server does not accept the key."""


class WrongServer(FatalForRun):
    """What answers under the address is no server of the kind that was named."""


class ModelMissing(FatalForRun):
    """The server does not have the model."""


class ModelChanged(FatalForRun):
    """Another model answers than the one that the run began with."""


class ContextTooShort(FatalForRun):
    """No prompt can fit: the answer alone takes the model's whole context."""


class BudgetSpent(FatalForRun):
    """A role's cap of tokens or money is reached."""


class Unreachable(FatalForRun):
    """No server of a role could be reached."""


class Ended(FatalForRun):
    """The run was asked to end while it waited for a server."""


def of_status(status: int, headers: dict[str, str], body: bytes, where: str, *, met: bool = True) -> EndpointError:
    """The error that a response with ``status`` is; ``met`` tells whether the server has ever answered as it should."""
    code, said = _complaint(body)
    told = f"{where} answered {status}" + (f": {quote(said)}" if said else "")
    if status in (401, 403):
        return KeyRefused(f"{told}; check the key in the environment variable that the endpoint names (key_variable)")
    if status == 402 or code in QUOTA:
        return FatalForRun(f"{told}; the account is spent: top it up, then resume")
    if status == 404:
        return _not_found(told, code, said, met)
    if status == 429:
        return Retryable(told, after_s=retry_after(headers), blames=False)
    if status in (408, 409, 425) or status >= 500:
        return Retryable(told, after_s=retry_after(headers))
    if status in (400, 413, 422):
        hint = "the prompt does not fit into the model's context; " if CONTEXT.search(said) else ""
        return FatalForSample(hint + told)
    if 300 <= status < 400:
        return WrongServer(f"{told}, which leads elsewhere; name the address that it leads to")
    return WrongServer(f"{told}; is this the address of an OpenAI-compatible server, ending in /v1?")


def _not_found(told: str, code: str, said: str, met: bool) -> EndpointError:
    if "model" in code or re.search(r"\bmodel\b.*\b(not|does)\b", said, re.IGNORECASE):
        return ModelMissing(f"{told}; name a model that the server has")
    if met:  # a proxy whose server is away says so too
        return Retryable(told)
    return WrongServer(f"{told}; the address should end where chat/completions follows, mostly in /v1")


def _complaint(body: bytes) -> tuple[str, str]:
    """Code and message of an error's body; both are empty where it holds none that can be read."""
    try:
        plain: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "", body[:200].decode("utf-8", "replace").strip()
    error: Any = plain.get("error", plain) if isinstance(plain, dict) else plain
    if not isinstance(error, dict):
        return "", str(error)[:500]
    return str(error.get("code") or ""), str(error.get("message") or error.get("detail") or "")[:500]


def retry_after(headers: dict[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for, at most an hour; a date counts from the response's own date."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return min(float(said), LONGEST_PAUSE_S)
    try:
        until, now = parsedate_to_datetime(said), parsedate_to_datetime(headers.get("date", ""))
        return min(max((until - now).total_seconds(), 0.0), LONGEST_PAUSE_S)
    except (ValueError, TypeError):
        return None
