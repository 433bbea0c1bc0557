"""SIGTERM and SIGINT while a command runs."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from tutelage.commands.failing import Interrupted

NUMBERS = (signal.SIGTERM, signal.SIGINT)


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
