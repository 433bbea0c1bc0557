"""Which server a prompt goes to: a document's prompts to one server, while it is up and not much fuller than others."""

import asyncio
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from tutelage.endpoints.errors import Ended, Retryable, Unreachable
from tutelage.endpoints.servers import Server

log = logging.getLogger(__name__)
TELL_AFTER_S = 1.0
"""How long a wait for servers that are down is not worth a word."""
TELL_EVERY_S = 30.0
"""How often a longer one is told of."""
LOOK_S = 0.5
"""How often a wait in which no server takes requests asks whether it should end."""
ENDING = threading.Event()
"""Set where the run was asked to end: no wait for servers goes on then."""
SLACK = 1.25
"""A server may hold so many times the mean of requests before its documents go elsewhere (bounded loads)."""


@lru_cache(maxsize=4096)
def preference(document: str, urls: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of ``urls``, the server that ``document`` belongs to first: rendezvous hashing.

    A server that comes or goes moves its own documents only.
    """
    weights = [hashlib.blake2b(f"{url}\n{document}".encode(), digest_size=8).digest() for url in urls]
    return tuple(sorted(range(len(urls)), key=lambda i: weights[i], reverse=True))


class Balancer:
    """The servers of one role. It lives on the background loop."""

    def __init__(self, servers: Sequence[Server], role: str) -> None:
        self.servers = tuple(servers)
        self._urls = tuple(one.url for one in servers)
        self._role = role
        self._requests = servers[0].requests
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._down_since: float | None = None
        self._told: float | None = None
        self._waited_s = 0.0
        for one in self.servers:
            one.watchers.add(self)

    async def meet(self) -> None:
        """Look at every server that was not looked at for a while; those that do not answer are taken for down.

        Raises:
            FatalForRun: one of them is the wrong server, refuses the key, or does not have the model.
        """
        now = asyncio.get_running_loop().time()
        for one in self.servers:
            one.pardon()
        await asyncio.gather(*(self._meet(one) for one in self.servers if one.is_due(now) and not one.is_down))

    async def _meet(self, one: Server) -> None:
        try:
            await one.meet()
        except Retryable as error:
            one.last_error = str(error)
            one.trip()

    def dealt(self, documents: Sequence[str]) -> list[int]:
        """Indices of ``documents`` in turn by the server that each belongs to, so that all servers are busy at once."""
        homes: list[list[int]] = [[] for _ in self.servers]
        for index, document in enumerate(documents):
            homes[preference(document, self._urls)[0]].append(index)
        return [index for turn in zip_longest(*homes) for index in turn if index is not None]

    async def place(self, document: str, avoid: Server | None = None) -> Server:
        """A server with a place taken on it; waits while there is none. ``avoid`` comes last.

        Raises:
            FatalForRun: a health check found what must stop the run, or the wait has an end and it is over.
        """
        while True:
            found = self.spare(document, avoid)
            if found is not None:
                return found
            await self._wait()

    def spare(self, document: str, avoid: Server | None = None) -> Server | None:
        """A server with a place taken on it, or ``None`` where there is none at once."""
        now = asyncio.get_running_loop().time()
        for one in self.servers:
            if one.fatal is not None:
                raise one.fatal
        order = [self.servers[i] for i in preference(document, self._urls)]
        free = [one for one in order if one.is_free(now)]
        if not free:
            return None
        others = [one for one in free if one is not avoid] or free
        mean = sum(one.in_flight for one in order) / len(order)
        chosen = next((one for one in others if one.in_flight <= SLACK * mean + 1), None)
        chosen = chosen or min(others, key=lambda one: one.in_flight)
        chosen.enter()
        self._is_up(now)
        return chosen

    async def _wait(self) -> None:
        """Until a place may be free; tells of it where no server is up, and ends the run where the wait has an end."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        idle = all(one.is_down or one.paused_s(now) for one in self.servers)
        if idle and ENDING.is_set():
            raise Ended(f"the run was asked to end while it waited for a server of {self._role}")
        if all(one.is_down for one in self.servers):
            self._all_down(now)
        paused = [s for one in self.servers if not one.is_down and (s := one.paused_s(now))]
        if len(paused) == len(self.servers) and min(paused) > TELL_AFTER_S and self._is_news(now):
            log.warning("every server of %s asked to be left alone: waiting %.0f s", self._role, min(paused))
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait_for(future, min([*paused, self._patience(now), *([LOOK_S] if idle else [])]))
        except TimeoutError:
            self._waiting = deque(other for other in self._waiting if other is not future)

    def _patience(self, now: float) -> float:
        """Seconds until somebody should be told again, or the wait ends."""
        if self._down_since is None:
            return TELL_EVERY_S
        ends, gone = self._end(), now - self._down_since
        soon = TELL_AFTER_S - gone if gone < TELL_AFTER_S else TELL_EVERY_S
        return max(min(soon, soon if ends is None else ends - gone), 0.001)

    def _is_news(self, now: float) -> bool:
        """Whether nothing was said for a while; it will be now."""
        if self._told is not None and now - self._told < TELL_EVERY_S:
            return False
        self._told = now
        return True

    def _end(self) -> float | None:
        met = any(one.client.met for one in self.servers)
        return self._requests.max_wait_s if met else self._requests.start_timeout_s

    def _all_down(self, now: float) -> None:
        if self._down_since is None:
            self._down_since, self._told = now, None
        ends = self._end()
        why = "; ".join(one.last_error for one in self.servers)
        if ends is not None and now - self._down_since >= ends:
            raise Unreachable(
                f"no server of {self._role} has answered for {now - self._down_since:.0f} s ({why}); start one or mend "
                "the addresses, then resume with the same command"
            )
        if now - self._down_since >= TELL_AFTER_S and self._is_news(now):
            log.warning("every server of %s is down: waiting for one to return (%s)", self._role, why)

    def _is_up(self, now: float) -> None:
        if self._down_since is not None:
            waited, self._down_since = now - self._down_since, None
            self._waited_s += waited
            if self._told is not None:
                log.warning("a server of %s is back after %.1f s: going on", self._role, waited)

    def rest(self) -> float:
        """Seconds in which no server was up and somebody waited, since the last call; made when a batch ends."""
        if self._down_since is not None and all(future.done() for future in self._waiting):
            self._waited_s += asyncio.get_running_loop().time() - self._down_since
            self._down_since = None
        waited, self._waited_s = self._waited_s, 0.0
        return waited

    def wake(self) -> None:
        """Let the first who waits look again; everybody where a server has come back or must stop the run."""
        everybody = self._down_since is not None or any(one.fatal for one in self.servers)
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                if not everybody:
                    return
