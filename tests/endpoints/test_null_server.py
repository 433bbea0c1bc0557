"""The server that clients are measured against."""

import asyncio

from benchmarks.null_server import Slots, answer, packed


class Line(asyncio.Transport):
    """A connection that counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


def served(most: int | None, requests: int, delay_s: float = 0.02) -> list[int]:
    """How many were answered after each delay."""

    async def ask() -> list[int]:
        slots, line = Slots(delay_s, most), Line()
        for _ in range(requests):
            slots.enter(line)
        counts = [len(line.written)]
        for _ in range(3):
            await asyncio.sleep(delay_s * 1.3)
            counts.append(len(line.written))
        assert line.written == [packed(answer(number + 1)) for number in range(len(line.written))]
        return counts

    return asyncio.run(ask())


def test_a_server_with_slots_works_on_so_many_at_a_time():
    nothing, first, second, third = served(2, 8)
    assert (nothing, first) == (0, 2) and second <= 4 and 4 <= third <= 6


def test_a_server_without_slots_works_on_all_at_once():
    assert served(None, 8)[:2] == [0, 8]
    assert served(2, 5, delay_s=0.0)[0] == 5
