"""A server of answers that misbehaves on purpose: in a thread of its own, over raw sockets, by a keyed draw a request.

What it answers is a function of prompt and seed alone, so that every answer can be checked.
"""

import asyncio
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tutelage import rng

TRANSIENT = (
    *("refuse", "hang", "reset", "busy", "error", "torn", "short", "malformed", "html", "empty"),
    *("huge", "drip", "duplicate", "out_of_order", "two_choices", "aborted"),
)
"""Faults that another attempt may not meet."""


def answer_to(prompt: str, seed: int) -> str:
    """What the model behind the server says."""
    digest = hashlib.blake2b(f"{prompt}|{seed}".encode(), digest_size=4).hexdigest()
    return f"{digest} VERDICT: {1 + int(digest, 16) % 2}"


@dataclass(frozen=True)
class Request:
    """As much of a request as an answer depends on."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def prompt(self) -> str:
        if "messages" in self.body:
            return next(m["content"] for m in reversed(self.body["messages"]) if m["role"] == "user")
        return self.body["prompt"]

    @property
    def name(self) -> str:
        return f"chatcmpl-{self.headers.get('x-request-id', 'none')}"


class FaultServer:
    """Answers ``POST …/chat/completions``, ``…/completions`` and ``GET …/models``.

    ``faults`` with ``rate`` are drawn by the number of the request; ``rate=1`` with one fault is a persistent one. Set
    the attributes while it runs to change what it does.
    """

    def __init__(
        self,
        faults: Sequence[str] = (),
        rate: float = 1.0,
        *,
        model: str = "judge",
        delay_s: float = 0.0,
        key: str = "",
        answer: Callable[[str, int], str] = answer_to,
        listed: Mapping[str, Any] | None = None,
    ) -> None:
        self.faults, self.rate, self.delay_s, self.key, self.answer = tuple(faults), rate, delay_s, key, answer
        self.model = self.answers_as = model
        self.listed: dict[str, Any] = dict(listed or {})
        self.ids = "ours"
        """Ids of answers: the request's own name, ``own`` ones, ``one`` for all, or ``none``."""
        self.at: frozenset[int] = frozenset()
        """Numbers of requests that meet the first fault; none is drawn where there are any."""
        self.counts: Counter[str] = Counter()
        self.asked: list[Request] = []
        self.in_flight = self.most_in_flight = 0
        self.retry_after = "0"
        self.tokens: dict[str, list[int]] = {}
        """Of the texts that ``/tokenize`` knows; without any there is no such route."""
        self._last = b""
        self._given = 0
        self._port = 0
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def start(self) -> None:
        """Listen; after ``die`` at the same address as before."""

        async def begin() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=2**22)
            self._port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(5)

    def die(self) -> None:
        """Listen no more and drop all connections."""

        async def end() -> None:
            if self._server is not None:
                self._server.close()
                await asyncio.sleep(0.01)  # who was let in just now gets to its task
            for writer in tuple(self._open):
                writer.transport.abort()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._open.clear()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)

    # ----------------------------------------------------------------- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            while (request := await _read(reader)) is not None:
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    if not await self._respond(request, writer):
                        return
                finally:
                    self.in_flight -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer; false where the connection is to be closed."""
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            said = f"Incorrect API key provided: {request.headers.get('authorization')}"
            return await _send(writer, 401, _json({"error": {"message": said, "code": "invalid_api_key"}}))
        if request.method == "GET":
            self.counts["looks"] += 1
            if request.path != "/v1/models":
                return await _lost(request, writer)
            entries = [{"id": self.model, "object": "model", **self.listed}]
            return await _send(writer, 200, _json({"object": "list", "data": entries}))
        if request.path == "/tokenize" and self.tokens:
            self.counts["tokenized"] += 1
            found = self.tokens.get(request.body["prompt"], [7, 8, 9])
            return await _send(writer, 200, _json({"count": len(found), "max_model_len": 64, "tokens": found}))
        if not re.fullmatch(r"/v1/(chat/)?completions", request.path):
            return await _lost(request, writer)
        number = self.counts["requests"]
        self.counts["requests"] += 1
        if len(self.asked) < 64:
            self.asked.append(request)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        fault = "none"
        if number in self.at:
            fault = self.faults[0]
        elif self.faults and not self.at and rng.uniform("fault", number) < self.rate:
            fault = self.faults[rng.below(len(self.faults), "which", number)]
        self.counts[fault] += 1
        return await self._misbehave(fault, request, writer)

    async def _misbehave(self, fault: str, request: Request, writer: asyncio.StreamWriter) -> bool:
        good = self._good(request)
        match fault:
            case "refuse":
                return False
            case "hang":
                await asyncio.sleep(30)
                return False
            case "reset":
                writer.write(_head(200, len(good)) + good[: len(good) // 2])
                await writer.drain()
                return False
            case "busy" | "error":
                status = 429 if fault == "busy" else 503
                said = _json({"error": {"message": "too much"}})
                return await _send(writer, status, said, retry_after=self.retry_after)
            case "torn":
                return await _send(writer, 200, good[: len(good) // 2])
            case "short":
                writer.write(_head(200, len(good) + 100) + good)
                await writer.drain()
                return False
            case "malformed":
                return await _send(writer, 200, b'{"choices": [{"message": "VERDICT: 1"}]}')
            case "html":
                return await _send(writer, 200, b"<html>VERDICT: 1</html>", "text/html")
            case "empty":
                return await _send(writer, 200, self._good(request, text=""))
            case "two_choices":
                return await _send(writer, 200, self._good(request, choices=2))
            case "aborted":
                return await _send(writer, 200, self._good(request, finish="abort"))
            case "huge":
                writer.write(_head(200, 10_000_000))
                for _ in range(160):
                    writer.write(b" " * 62_500)
                    await writer.drain()
                return False
            case "drip":
                writer.write(_head(200, len(good)))
                for i in range(len(good)):
                    writer.write(good[i : i + 1])
                    await asyncio.sleep(0.05)
                return True
            case "duplicate":  # in one piece, so that the second lies in the client's buffer as it asks again
                writer.write((_head(200, len(good)) + good) * 2)
                await writer.drain()
                self._last = good
                return True
            case "out_of_order":
                return await _send(writer, 200, self._last or self._good(request, text=""))
            case "other_language":
                return await _send(writer, 200, self._good(request, text="Die zweite gefällt mir besser."))
            case "too_long":
                said = "This model's maximum context length is 64 tokens, however you requested 900"
                return await _send(writer, 400, _json({"error": {"message": said, "type": "BadRequestError"}}))
            case "cut":
                return await _send(writer, 200, self._good(request, finish="length"))
            case "filtered":
                return await _send(writer, 200, self._good(request, text="", finish="content_filter"))
            case _:
                self._last = good
                return await _send(writer, 200, good)

    def _good(self, request: Request, *, text: str | None = None, finish: str = "stop", choices: int = 1) -> bytes:
        said = self.answer(request.prompt, request.body["seed"]) if text is None else text
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        if "messages" in request.body:
            choice["message"] = {"role": "assistant", "content": said}
        else:
            choice["text"] = said
        if request.body.get("logprobs"):
            top = [
                {"token": " 2", "logprob": -0.5},
                {"token": "1", "logprob": -1.5},
                {"token": " The", "logprob": -3.0},
            ]
            pairs = {entry["token"]: entry["logprob"] for entry in top}
            chat = "messages" in request.body
            choice["logprobs"] = {"content": [{"top_logprobs": top}]} if chat else {"top_logprobs": [pairs]}
        usage = {"prompt_tokens": len(request.prompt.split()), "completion_tokens": len(said.split())}
        self._given += 1
        named = {"ours": request.name, "own": f"srv-{self._given}", "one": "chatcmpl", "none": None}[self.ids]
        return _json({"id": named, "model": self.answers_as, "choices": [choice] * choices, "usage": usage})


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, ``None`` at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Request(method, path, headers, json.loads(body) if body else None)


async def _lost(request: Request, writer: asyncio.StreamWriter) -> bool:
    """Nothing is there: as a page says it, or as a server of models does."""
    if "page" in request.path:
        return await _send(writer, 404, b"<html>nothing here</html>", "text/html")
    return await _send(writer, 404, _json({"detail": "Not Found"}))


def _json(plain: Any) -> bytes:
    return json.dumps(plain).encode()


def _head(status: int, length: int, kind: str = "application/json", retry_after: str = "") -> bytes:
    extra = f"Retry-After: {retry_after}\r\n" if retry_after else ""
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{extra}Content-Length: {length}\r\n\r\n".encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, kind: str = "application/json", retry_after: str = ""
) -> bool:
    writer.write(_head(status, len(body), kind, retry_after) + body)
    await writer.drain()
    return True
