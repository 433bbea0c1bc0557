"""A server that answers at once, or after a delay, always the same: what a client is measured against.

``python -m benchmarks.null_server DELAY_S`` prints its port and serves until it is killed.
"""

import asyncio
import json
import sys

MODELS = json.dumps({"object": "list", "data": [{"id": "null", "object": "model"}]}).encode()


def answer(number: int) -> bytes:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "VERDICT: 1"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 4, "total_tokens": 104}
    return json.dumps({"id": f"n{number}", "model": "null", "choices": [choice], "usage": usage}).encode()


def packed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Connection(asyncio.Protocol):
    """One request after the other; as little work a request as there can be."""

    served = 0

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._reply(is_look=head.startswith(b"get"))

    def _reply(self, *, is_look: bool) -> None:
        assert self._transport is not None
        Connection.served += 1
        content = packed(MODELS if is_look else answer(Connection.served))
        if self._delay_s and not is_look:
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, content)
        else:
            self._transport.write(content)


async def serve(delay_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(delay_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
