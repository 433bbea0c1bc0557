"""The server that clients are measured against."""

import asyncio
import time

from benchmarks.null_server import Slots, answer, packed


class Line(asyncio.Transport):
    """A connection that counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


def seconds(most: int | None, requests: int, delay_s: float) -> float:
    """How long it takes until all are answered."""

    async def ask() -> float:
        slots, line = Slots(delay_s, most), Line()
        began = time.monotonic()
        for _ in range(requests):
            slots.enter(line)
        while len(line.written) < requests:
            await asyncio.sleep(0.002)
        assert line.written == [packed(answer(number + 1)) for number in range(requests)]
        return time.monotonic() - began

    return asyncio.run(ask())


def test_a_server_with_slots_works_on_so_many_at_a_time():
    assert seconds(2, 8, 0.02) >= 0.078
    assert seconds(2, 5, 0.0) < 1


def test_a_server_without_slots_works_on_all_at_once():
    assert seconds(None, 40, 0.05) < 1
