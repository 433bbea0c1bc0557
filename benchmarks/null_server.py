"""A server that answers at once, or after a delay, always the same: what a client is measured against.

``python -m benchmarks.null_server DELAY_S [SLOTS]`` prints its port and serves until it is killed. With SLOTS it works
on so many requests at a time and lets others wait, as a server of models does whose batch is full.
"""

import asyncio
import json
import sys
from collections import deque

MODELS = json.dumps({"object": "list", "data": [{"id": "null", "object": "model"}]}).encode()


def answer(number: int) -> bytes:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "VERDICT: 1"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 4, "total_tokens": 104}
    return json.dumps({"id": f"n{number}", "model": "null", "choices": [choice], "usage": usage}).encode()


def packed(body: bytes) -> bytes:
    """A response that holds ``body``."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Slots:
    """How many requests are worked on at a time, ``None`` for any number."""

    def __init__(self, delay_s: float, most: int | None) -> None:
        self._delay_s = delay_s
        self._free = most
        self._queue: deque[asyncio.Transport] = deque()
        self._served = 0

    def enter(self, transport: asyncio.Transport) -> None:
        """Answer over ``transport`` when there was a slot and the delay is over."""
        if self._free == 0:
            self._queue.append(transport)
            return
        if self._free is not None:
            self._free -= 1
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._leave, transport)
        else:
            self._leave(transport)

    def _leave(self, transport: asyncio.Transport) -> None:
        self._served += 1
        transport.write(packed(answer(self._served)))
        if self._free is not None:
            self._free += 1
            if self._queue:
                self.enter(self._queue.popleft())


class Connection(asyncio.Protocol):
    """One request after the other; as little work a request as there can be."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        assert self._transport is not None
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith(b"get"):
                self._transport.write(packed(MODELS))
            else:
                self._slots.enter(self._transport)


async def serve(delay_s: float, most: int | None) -> None:
    """Print the port, then serve."""
    slots = Slots(delay_s, most)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(slots), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
