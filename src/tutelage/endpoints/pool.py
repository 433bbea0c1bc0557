"""Prompts to answers over the servers of one role: placed, repeated, hedged, counted. All of it is asynchronous."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage import rng
from tutelage.endpoints.balancing import Balancer
from tutelage.endpoints.budget import LEDGER, Entry
from tutelage.endpoints.client import request_id
from tutelage.endpoints.errors import (
    ContextTooShort,
    EndpointError,
    FatalForRun,
    FatalForSample,
    Retryable,
    Unreachable,
    WrongServer,
)
from tutelage.endpoints.servers import Server
from tutelage.endpoints.settings import Cap, Price
from tutelage.endpoints.wire import PATHS, Listed, Reply, Style, payload, read, read_tokens, token_request
from tutelage.protocols import Prompt
from tutelage.types import Absent

RECENT = 256
"""Latencies that tell when a request is slow."""
TEMPLATE_TOKENS = 128
"""The most that a chat template adds to a prompt, as assumed before a request is sent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt on its way."""

    index: int
    prompt: Prompt
    seed: int
    labels: bool = False
    """Whether the probabilities of the first token are wanted in place of an answer."""
    token_ids: tuple[int, ...] = ()
    """Whose probabilities; without any those of the likeliest."""
    ends: bool = False
    """Whether it is wanted how the answer ended, and kept with it."""

    @property
    def most_prompt_tokens(self) -> int:
        """A token is at least a byte; where a control token is spelt, a space more is sent."""
        said = (text for pair in self.prompt.before for text in pair)
        texts = (self.prompt.system, *said, self.prompt.user, self.prompt.answer_start)
        sizes = (len(text.encode("utf-8", "replace")) + text.count("<") + text.count("[") for text in texts)
        return sum(sizes) + TEMPLATE_TOKENS * (1 + len(self.prompt.before))

    @property
    def most_answer_tokens(self) -> int:
        """As the request limits them."""
        return 1 if self.labels else self.prompt.max_new_tokens


class Pool:
    """The servers of one role at work."""

    def __init__(self, servers: Sequence[Server], style: Style, role: str, price: Price, cap: Cap) -> None:
        self._servers = tuple(servers)
        self._balancer: Balancer | None = None
        self._requests = servers[0].requests
        self._style = style
        self._role = role
        self._price = price
        self._cap = cap
        self._vouched: dict[str, Listed | None] = {}
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._slow_s: float | None = None
        self._sent = 0
        self._hedged = 0

    @property
    def identity(self) -> str:
        """Who answers, as far as the servers have told; empty before."""
        return next((one.listed.identity for one in self._servers if one.listed is not None), "")

    async def meet(self) -> None:
        """Look at the servers, and wait for none.

        Raises:
            FatalForRun: one of them is wrong, refuses the key, does not have the model, or has another one than before.
        """
        await self._balanced().meet()
        for one in self._servers:
            self._vouch(one, longest=0)

    async def answer(self, asked: Sequence[Asked], deliver: Callable[[Asked, Reply | Absent], None]) -> None:
        """Ask all of it, as many at a time as the servers take, and ``deliver`` each as it comes.

        Raises:
            FatalForRun: nothing more can be asked; what is out is called back.
        """
        await self._balanced().meet()
        pending = iter([asked[i] for i in self._balanced().dealt([one.prompt.document for one in asked])])

        async def work() -> None:
            for one in pending:
                deliver(one, await self._ask(one))

        places = self._requests.concurrency * len(self._servers)
        most = max(places - math.ceil(self._requests.hedge * places), 1)  # the rest is for second requests
        workers = [asyncio.create_task(work()) for _ in range(min(most, len(asked)))]
        try:
            await asyncio.gather(*workers)
        finally:
            await _call_back(workers)
            if waited := self._balanced().rest():
                LEDGER.count("seconds_down", self._role, waited)

    async def token_ids(self, labels: Sequence[str]) -> tuple[int, ...]:
        """The ids by which the model may begin an answer with one of ``labels``, behind a space or not.

        Raises:
            FatalForRun: a label is no single token, or the servers are not vLLM.
        """
        await self._balanced().meet()
        found: list[int] = []
        for label in labels:
            spelt = [await self._tokens(spelling) for spelling in (label, f" {label}")]
            single = [tokens[0] for tokens in spelt if len(tokens) == 1]
            if not single:
                raise FatalForRun(
                    f"{label!r} is no single token of {self._style.model}, so its probability cannot be asked for: "
                    "choose a prompt of the form 'label'"
                )
            found += single
        return tuple(dict.fromkeys(found))

    async def _tokens(self, text: str) -> tuple[int, ...]:
        last = ""
        for attempt in range(self._requests.retries + 1):
            server = await self._balanced().place("")
            body = token_request(self._style.model, text)
            try:
                return await server.client.post("../tokenize", body, request_id(), read_tokens)
            except WrongServer as error:
                raise WrongServer(
                    f"{server.url} has no /tokenize beside /v1, as vLLM has ({error}): set label_scoring to 'likeliest'"
                ) from error
            except Retryable as error:
                last = str(error)
                server.failed(error)
                await asyncio.sleep(self._requests.backoff_s * 2**attempt)
            finally:
                server.leave()
        raise Unreachable(f"the tokens of {text!r} could not be asked of {self._role}: {last}")

    def _balanced(self) -> Balancer:
        if self._balancer is None:
            self._balancer = Balancer(self._servers, self._role)
        return self._balancer

    async def _ask(self, asked: Asked) -> Reply | Absent:
        """Attempt after attempt until there is a sound answer or no attempt is left."""
        requests, last, avoid = self._requests, "", None
        for attempt in range(requests.retries + 1):
            if attempt:
                LEDGER.count("retries", self._role)
                mean = min(requests.backoff_s * 2 ** (attempt - 1), requests.max_backoff_s)
                await asyncio.sleep(mean * (0.5 + rng.uniform("backoff", asked.seed, attempt)))
            server = await self._balanced().place(asked.prompt.document, avoid)
            try:
                return await self._hedge(asked, server)
            except FatalForSample as error:
                return self._absent(str(error))
            except Retryable as error:
                last, avoid = str(error), server
        return self._absent(f"given up after {requests.retries + 1} attempts, the last: {last}")

    def _absent(self, reason: str) -> Absent:
        LEDGER.count("unanswered", self._role)
        return Absent(self._style.model, reason)

    # ----------------------------------------------------------------- one attempt, perhaps twice

    async def _hedge(self, asked: Asked, server: Server) -> Reply:
        """Send; where that takes longer than nearly all did, send a second time and take what comes first."""
        self._sent += 1
        slow = self._slow_s if self._hedged < self._requests.hedge * self._sent else None
        if slow is None:
            return await self._once(asked, server)
        first = asyncio.create_task(self._once(asked, server))
        tasks = {first}
        try:
            while not (await asyncio.wait(tasks, timeout=slow))[0]:
                other = self._balanced().spare(asked.prompt.document, avoid=server)
                if other is not None:
                    self._hedged += 1
                    LEDGER.count("hedged", self._role)
                    tasks.add(asyncio.create_task(self._once(asked, other)))
                    break
            return await _first_sound(tasks)
        finally:
            await _call_back(tasks)

    async def _once(self, asked: Asked, server: Server) -> Reply:
        """One request on a place that is taken, which is given back whatever happens."""
        loop = asyncio.get_running_loop()
        entry: Entry | None = None
        reply: Reply | None = None
        computed = False
        try:
            if server.client.is_doubtful:
                await server.meet()
            self._vouch(server, asked.most_answer_tokens)
            entry = await self._enter(asked)
            started, name = loop.time(), request_id()
            body = payload(self._style, asked.prompt, asked.seed, labels=asked.labels, token_ids=asked.token_ids)
            path, api = PATHS[self._style.api], self._style.api
            computed = True  # as far as is known, should this request be called back
            reply = await server.client.post(path, body, name, lambda said: self._same(read(said, api, name)))
            server.succeeded()
            self._note(loop.time() - started)
            return reply
        except Retryable as error:
            computed = error.computed
            server.failed(error)
            raise
        except EndpointError as error:
            computed = error.computed
            if isinstance(error, FatalForSample):
                server.succeeded()
            raise
        finally:
            server.leave()
            if entry is not None:
                tokens = (reply.prompt_tokens, reply.answer_tokens) if reply else (None, None)
                LEDGER.settle(entry, *tokens, assumed=computed)

    async def _enter(self, asked: Asked) -> Entry:
        most = (asked.most_prompt_tokens, asked.most_answer_tokens)
        while (entry := LEDGER.enter(self._role, self._cap, self._price, *most)) is None:
            await asyncio.sleep(0.02)  # near the cap only: others have to be settled first
        LEDGER.count("requests", self._role)
        return entry

    def _same(self, reply: Reply) -> Reply:
        """``reply``, if the model that gave it is the one that always did.

        Raises:
            ModelChanged: it is another model's.
        """
        if reply.model:
            LEDGER.identify(self._role, self._style.model, "answering", reply.model)
        return reply

    def _vouch(self, server: Server, longest: int) -> None:
        """Compare what the server lists with what was listed before, and its context with the longest answer."""
        seen = server.listed
        if seen is None:
            return
        if self._vouched.get(server.url) is not seen:
            LEDGER.identify(self._role, self._style.model, "listed", seen.identity)
            self._vouched[server.url] = seen
        if seen.context is not None and longest >= seen.context:
            raise ContextTooShort(
                f"{server.url} takes {seen.context} tokens of prompt and answer together, and the answer alone may be "
                f"{longest}: start it with a longer context, or lower the prompt's max_new_tokens"
            )

    def _note(self, seconds: float) -> None:
        """Count a request's time, and find now and then what is slow."""
        LEDGER.count("server_seconds", self._role, seconds)
        self._latencies.append(seconds)
        if self._requests.hedge and len(self._latencies) >= 32 and self._sent % 32 == 0:
            ordered = sorted(self._latencies)
            self._slow_s = ordered[min(int(len(ordered) * (1 - self._requests.hedge)), len(ordered) - 1)]


async def _first_sound(tasks: set[asyncio.Task[Reply]]) -> Reply:
    """What the first task gives that gives anything.

    Raises:
        EndpointError: of the one that failed last, where all did.
    """
    pending, failure = tasks, None
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            failure = task.exception()
            if failure is None:
                return task.result()
            if not isinstance(failure, Retryable):
                raise failure
    assert failure is not None
    raise failure


async def _call_back(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel what is not done, and wait until it is."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
