"""One event loop in a thread of its own: all requests of this process share its servers, whoever asks."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop, threading.Thread] | None = None
_under_way: set[Future[Any]] = set()
_at_close: list[Callable[[], Coroutine[Any, Any, None]]] = []
CLOSING_S = 5.0
"""Longest time that closing may take."""


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run ``work`` on the loop, which is started with the first; a forked process starts one of its own."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    _under_way.add(future)
    future.add_done_callback(_under_way.discard)
    return future


def call_back() -> None:
    """Cancel all that is under way; whoever waits for it is told at once, and nothing more is spent on it."""
    for future in tuple(_under_way):
        future.cancel()


def at_close(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have ``close`` awaited on the loop before it ends."""
    _at_close.append(close)


def shut_down() -> None:
    """Close all connections and end the loop's thread; the next ``submit`` starts anew."""
    global _running
    with _lock:
        running, _running = _running, None
    if running is None or running[0] != os.getpid():
        return
    _, loop, thread = running
    with suppress(TimeoutError):  # a connection that does not close must not keep the process
        asyncio.run_coroutine_threadsafe(_close_all(), loop).result(CLOSING_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(CLOSING_S)
    if not thread.is_alive():
        loop.close()


async def _close_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for close in _at_close:  # after the tasks, which give their connections back
        await close()


def _loop() -> asyncio.AbstractEventLoop:
    global _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="endpoints", daemon=True)
            thread.start()
            _running = (os.getpid(), loop, thread)
        return _running[1]


atexit.register(shut_down)
