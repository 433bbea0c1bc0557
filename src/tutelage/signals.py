"""SIGTERM and SIGINT: asked once, a run writes a checkpoint and ends; asked twice, it ends at once."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asked to end: exit code 128 + its number."""

    def __init__(self, number: int, told: str = "") -> None:
        super().__init__(number, told)
        self.number = number
        self.told = told
        """What was saved, for the user."""


@contextmanager
def raising() -> Generator[None]:
    """A signal raises ``Interrupted`` wherever the command is, so that it can end its workers."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(number)

    with _handled(stop):
        yield


@contextmanager
def asking(stop: Callable[[], None]) -> Generator[list[int]]:
    """The first signal calls ``stop`` and is appended to the list given; the second raises ``Interrupted``."""
    seen: list[int] = []

    def ask(number: int, _: Any) -> None:
        if seen:
            raise Interrupted(number)
        seen.append(number)
        stop()

    with _handled(ask):
        yield seen


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may take signals
        yield
        return
    before = [signal.signal(number, handler) for number in NUMBERS]
    try:
        yield
    finally:
        for number, former in zip(NUMBERS, before, strict=True):
            signal.signal(number, former)
