"""Requests to one address: its connections, its key, its time-outs, and how much of a response is read."""

import asyncio
import os
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import count
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from tutelage.endpoints.errors import (
    FatalForRun,
    KeyMissing,
    ModelMissing,
    OutOfStep,
    Retryable,
    WrongServer,
    of_status,
)
from tutelage.endpoints.settings import Requests
from tutelage.endpoints.wire import Listed, Reply, listed

MOST_LISTED_BYTES = 8_000_000
"""A list of models larger than this is none."""
_SESSION = os.urandom(6).hex()
_numbers = count()
T = TypeVar("T")


def request_id() -> str:
    """A name for one attempt, which servers repeat in their answer's id."""
    return f"tut-{_SESSION}-{next(_numbers)}"


def require_address(url: str, *, like: str = "http://localhost:8000/v1") -> None:
    """Refuse an address that is none, ``like`` being one, or that carries a secret.

    Raises:
        ValueError: not ``http(s)://host…``, or with a user, a password, a query or a fragment.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            f"the address of the server at {parts.hostname} carries a user, a password or a query; addresses are "
            "written to files: leave that out, and where there is a key_variable, name by it the environment variable "
            "that holds the key"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server; write one like {like}")


def is_local(url: str) -> bool:
    """Whether a server runs on this machine: a proxy is for what is elsewhere.

    Example:
        >>> is_local("http://localhost:8000/v1"), is_local("http://localhost.org/v1")
        (True, False)
    """
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def read_key(variable: str) -> str:
    """The key that the environment variable holds; empty where none is named.

    Raises:
        KeyMissing: it is named and not set, or cannot stand in a header.
    """
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise KeyMissing(f"the environment variable {variable} is not set; it should hold the server's key")
    if not key.isascii() or not key.isprintable():
        raise KeyMissing(f"the environment variable {variable} holds characters that no key has; set it anew")
    return key


# httpcore tries to import it several times a request; where it is missing, every try would search the disk.
_modules: dict[str, Any] = sys.modules
if "sniffio" not in _modules and find_spec("sniffio") is None:
    _modules["sniffio"] = None


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that servers are checked by; reading them takes long."""
    return httpx.create_ssl_context()


@dataclass(slots=True)
class Lane:
    """One connection, lent to a request at a time."""

    http: httpx.AsyncClient
    last: str = ""
    """Id of the answer that came over it last."""


class Client:
    """One address that is asked for one model. All methods but ``__init__`` run on the background loop."""

    def __init__(self, url: str, model: str, key_variable: str, requests: Requests) -> None:
        self.url = url
        self.model = model
        self.requests = requests
        self._key = read_key(key_variable)
        self._lanes: list[Lane] = []
        self._looking: httpx.AsyncClient | None = None
        self.is_doubtful = False
        """Whether it refused a connection: it may have been started anew since, with another model."""
        self.met = False
        """Whether it was ever found up."""
        self.answered = False
        """Whether it has ever answered a prompt; before, what it does not find is not there."""
        self._first_id = ""
        self._ids_given = 0
        self._ids_differ = self._ids_are_one = False

    async def post(self, path: str, body: bytes, name: str, read: Callable[[bytes], T]) -> T:
        """What ``read`` makes of the answer to ``body``, which is sent as the request ``name``.

        Raises:
            EndpointError: of the kind that the failure is.
        """
        headers = {"Content-Type": "application/json", "X-Request-Id": name}
        lane = self._lanes.pop() if self._lanes else Lane(self._connection())
        try:
            status, found, content = await self._exchange(lane.http, "POST", path, headers, body)
            if status != 200:
                raise of_status(status, found, self._clean(content), self.url, met=self.answered)
            if "json" not in found.get("content-type", "json"):
                raise Retryable(f"{self.url} answered {found['content-type'][:60]!r} in place of JSON")
            reply = read(self._clean(content))
            if isinstance(reply, Reply):
                self._check_once(lane, reply)
        except OutOfStep:
            await lane.http.aclose()  # whatever else comes over this connection is not for who asks next
            raise
        except BaseException:
            self._lanes.append(lane)
            raise
        self._lanes.append(lane)
        return reply

    def _check_once(self, lane: Lane, reply: Reply) -> None:
        """Refuse an answer that came over ``lane`` before: what a server sends twice is read by who asks next.

        Some servers give every answer the same id; they are known by that id's coming over two connections.
        """
        before, lane.last = lane.last, reply.id
        self._first_id = self._first_id or reply.id
        self._ids_differ = self._ids_differ or reply.id != self._first_id
        self._ids_are_one = not self._ids_differ and (self._ids_are_one or (not before and self._ids_given > 0))
        self._ids_given += bool(reply.id)
        if reply.id and reply.id == before and not self._ids_are_one:
            raise OutOfStep(f"{self.url} sent an answer twice", computed=True)

    async def look(self) -> Listed | None:
        """Ask for the list of models: whether the server is up, and what it says of the model.

        Raises:
            Retryable: it is not up.
            FatalForRun: it is the wrong server, refuses the key, or does not have the model.
        """
        self._looking = self._looking or self._connection()
        status, found, content = await self._exchange(self._looking, "GET", "models", {}, None)
        if status in (404, 405, 501) and content.lstrip()[:1] == b"{":
            return None  # not every server lists its models
        if status != 200:
            error = of_status(status, found, self._clean(content), f"{self.url}/models", met=self.met)
            raise error if isinstance(error, FatalForRun | Retryable) else Retryable(str(error))
        try:
            seen = listed(content, self.model, self.url)
        except WrongServer as error:
            if self.met:  # the proxy before it speaks while it is away
                raise Retryable(str(error)) from error
            raise
        if isinstance(seen, list):
            names = ", ".join(name[:80] for name in seen[:8]) or "none"
            raise ModelMissing(f"{self.url} does not have the model {self.model!r}; it has {names}")
        return seen

    async def _exchange(
        self, http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and at most ``max_answer_bytes`` of body, all within the time-out."""
        asks = method == "POST"
        most = self.requests.max_answer_bytes if asks else MOST_LISTED_BYTES
        timeout_s = self.requests.timeout_s if asks else self.requests.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                async with http.stream(method, f"{self.url}/{path}", headers=headers, content=body) as response:
                    content = await self._read(response, most)
                    return response.status_code, {k.lower(): v for k, v in response.headers.items()}, content
        except (TimeoutError, httpx.TimeoutException) as error:
            early = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            told = f"{self.url} gave no whole answer within {timeout_s:g} s"
            raise Retryable(told, computed=asks and not early) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise WrongServer(f"{self.url}: {type(error).__name__}; mend the address") from None
        except httpx.RequestError as error:
            told = f"{self.url}: {type(error).__name__}: {self._clean(str(error).encode()).decode()[:200]}"
            self.is_doubtful = self.is_doubtful or isinstance(error, httpx.ConnectError)
            raise Retryable(told, computed=not isinstance(error, httpx.ConnectError)) from None

    async def _read(self, response: httpx.Response, most: int) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Retryable(f"{self.url} sent a packed response, which was not asked for")
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > most:
                raise Retryable(f"{self.url} sent more than {most} bytes (max_answer_bytes)", computed=True)
            parts.append(part)
        return b"".join(parts)

    def _connection(self) -> httpx.AsyncClient:
        """A client with one connection: a pool of many is searched through several times a request."""
        known = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.AsyncClient(
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **known},
            timeout=httpx.Timeout(self.requests.timeout_s, connect=self.requests.connect_timeout_s),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=60.0),
            verify=_trusted(),
            trust_env=not is_local(self.url),
        )

    def _clean(self, said: bytes) -> bytes:
        """``said`` without the key, should a server have repeated it; before it is cut, or a part would stay."""
        return said.replace(self._key.encode(), b"[key]") if self._key else said

    async def close(self) -> None:
        """Close all connections."""
        clients = [*(lane.http for lane in self._lanes), *([self._looking] if self._looking else [])]
        self._lanes, self._looking = [], None
        for client in clients:
            await client.aclose()
