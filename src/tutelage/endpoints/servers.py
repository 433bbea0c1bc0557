"""Servers: whether each is up, how much is out there, and the one table of them that all roles share."""

import asyncio
import logging
import os
from typing import Protocol
from weakref import WeakSet

from tutelage import rng
from tutelage.endpoints import background
from tutelage.endpoints.client import Client
from tutelage.endpoints.errors import FatalForRun, KeyRefused, Retryable
from tutelage.endpoints.settings import Requests
from tutelage.endpoints.wire import Listed

log = logging.getLogger(__name__)
LOOK_EVERY_S = 60.0
"""How old a look at a server may be when a batch begins."""
_servers: dict[tuple[str, str, str, Requests], "Server"] = {}


def server(url: str, model: str, variable: str, requests: Requests) -> "Server":
    """The server at ``url``; all that ask it for the same model in the same manner share it."""
    place = (url.rstrip("/"), model, variable, requests)
    if place not in _servers:
        _servers[place] = Server(Client(*place), requests)
    return _servers[place]


async def close_servers() -> None:
    """Close all connections and forget all servers."""
    servers = list(_servers.values())
    _servers.clear()
    for one in servers:
        await one.close()


background.at_close(close_servers)


class Watcher(Protocol):
    """Somebody who waits for a place."""

    def wake(self) -> None:
        """Look again."""
        ...


class Server:
    """A server with its circuit breaker. All methods but ``__init__`` run on the background loop."""

    def __init__(self, client: Client, requests: Requests) -> None:
        self.client = client
        self.url = client.url
        self.requests = requests
        self._session = os.urandom(6).hex()
        self._probing: asyncio.Task[None] | None = None
        self._failures = 0
        self._wait_s = requests.probe_s
        self._paused_until = 0.0
        self._looked = 0.0
        self.in_flight = 0
        self.is_down = False
        self.listed: Listed | None = None
        """The model as it was listed when it was last looked for."""
        self.last_error = ""
        self.fatal: FatalForRun | None = None
        """What a health check found that must stop the run."""
        self.watchers: WeakSet[Watcher] = WeakSet()
        """Told when a place may have come free or the server is back."""

    def __repr__(self) -> str:
        return f"Server({self.url})"

    async def meet(self) -> None:
        """``look``, and keep what was seen.

        Raises:
            Retryable: it is not up.
            FatalForRun: it must not be asked.
        """
        self.listed = await self.client.look() or self.listed
        self.client.met, self.client.is_doubtful = True, False
        self._looked = asyncio.get_running_loop().time()

    def pardon(self) -> None:
        """Look again at what stopped a run before: somebody may have mended it."""
        if self.fatal is not None:
            self.fatal, self.client.is_doubtful = None, True

    def is_due(self, now: float) -> bool:
        """Whether it should be looked at again before it is asked."""
        return not self.client.met or self.client.is_doubtful or now - self._looked > LOOK_EVERY_S

    def is_free(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return not self.is_down and self.in_flight < self.requests.concurrency and now >= self._paused_until

    def paused_s(self, now: float) -> float:
        """Seconds for which it asked to be left alone still."""
        return max(self._paused_until - now, 0.0)

    def enter(self) -> None:
        """Take a place."""
        self.in_flight += 1

    def leave(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        self._notify()

    def succeeded(self) -> None:
        """Note a sound answer."""
        self.client.met = self.client.answered = True
        self._failures = 0
        self._wait_s = self.requests.probe_s

    def failed(self, error: Retryable) -> None:
        """Note a failure; with ``trip_after`` of them in a row the server is down until a health check succeeds."""
        self.last_error = str(error)
        if error.after_s:
            self._paused_until = asyncio.get_running_loop().time() + error.after_s
        if error.blames:
            self._failures += 1
            if self._failures >= self.requests.trip_after:
                self.trip()

    def trip(self) -> None:
        """Take the server for down and begin to look after it."""
        if not self.is_down:
            self.is_down = True
            log.info("%s is left alone for now: %s", self.url, self.last_error)
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Look, ever less often, until the server is up again."""
        attempt = 0
        while True:
            jitter = 0.5 + rng.uniform("probe", self.url, self._session, attempt)
            attempt += 1
            await asyncio.sleep(self._wait_s * jitter)
            self._wait_s = min(self._wait_s * 2, max(self.requests.max_backoff_s, self.requests.probe_s))
            try:
                await self.meet()
            except Retryable as error:
                self.last_error = str(error)
                continue
            except KeyRefused as error:
                self.fatal = error
            except FatalForRun as error:
                if self.client.met:  # on its way up a server, or the proxy before it, may say anything
                    self.last_error = str(error)
                    continue
                self.fatal = error
            self._failures, self.is_down = 0, False
            self._notify()
            return

    def _notify(self) -> None:
        for watch in tuple(self.watchers):
            watch.wake()

    async def close(self) -> None:
        """Close all connections and look no more."""
        if self._probing is not None:
            self._probing.cancel()
        self.is_down, self._failures = False, 0
        await self.client.close()
