"""What passes between a program and its tests: plain values, written as JSON.

A program owns its end of the link and may write to it what it likes. All that it can bring across is a plain value, the
very thing that an honest program may return: no object of its own, whose ``__eq__`` would then be the judge.
"""

import json
import math
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

EXACT = 2**53
"""Integers up to here are JSON numbers; larger ones are hexadecimal, which is read in linear time."""
MAX_BYTES = 4_000_000
"""Longest message in either direction."""
SEQUENCES: Mapping[str, Callable[[Iterable[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
    "keys": lambda items: dict.fromkeys(items).keys(),
}
TYPES = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict, range, object, type(None))
}
"""Classes that may cross; what a program makes of them it can only return."""
PLAIN: tuple[Any, ...] = (int, float, str, complex, bytes, bytearray, list, tuple, set, frozenset, dict, deque, range)
"""What a subclass is sent as."""

Refer = Callable[[object], int]
"""Gives a number to an object that is not plain."""


class LinkError(Exception):
    """The other end went away, stayed silent beyond the time limit, or sent what is no message."""


class NotPlain(TypeError):
    """A value that cannot be sent."""


def encode(value: Any, refer: Refer) -> Any:
    """``value`` as JSON can hold it. What is not plain is named by a number that ``refer`` gives."""
    kind: type = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -EXACT < value < EXACT else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [encode(item, refer) for item in value]
    if kind in (tuple, set, frozenset, deque):
        return {kind.__name__: [encode(item, refer) for item in value]}
    if kind is dict:
        return {"dict": [[encode(key, refer), encode(item, refer)] for key, item in value.items()]}
    return _encode_rare(value, kind, refer)


def _encode_rare(value: Any, kind: type, refer: Refer) -> Any:
    if kind is bytes or kind is bytearray:
        return {kind.__name__: value.hex()}
    if kind is complex:
        return {"complex": [encode(value.real, refer), encode(value.imag, refer)]}
    if kind is range:
        return {"range": [encode(number, refer) for number in (value.start, value.stop, value.step)]}
    if kind is type({}.keys()):
        return {"keys": [encode(item, refer) for item in value]}
    if kind is type and TYPES.get(value.__name__) is value:
        return {"type": value.__name__}
    if (kind.__module__, kind.__name__) == ("fractions", "Fraction"):
        return {"fraction": [encode(value.numerator, refer), encode(value.denominator, refer)]}
    if (kind.__module__, kind.__name__) == ("decimal", "Decimal"):
        return {"decimal": str(value)}
    for plain in PLAIN:
        if isinstance(value, plain):  # named tuples, counters, enumerated integers …
            return encode(plain(value), refer) if type(plain(value)) is plain else {"object": refer(value)}
    return {"object": refer(value)}


def decode(coded: Any, find: Callable[[int], object]) -> Any:
    """The inverse of ``encode``; ``find`` gives the object of a number.

    Raises:
        LinkError: ``coded`` was not made by ``encode``.
    """
    if coded is None or isinstance(coded, bool | int | float | str):
        return coded
    if isinstance(coded, list):
        items: list[Any] = coded
        return [decode(item, find) for item in items]
    if not isinstance(coded, dict) or len(coded) != 1:
        raise LinkError("sent what is no value")
    named: dict[str, Any] = coded
    ((tag, content),) = named.items()
    try:
        return _decode_tagged(tag, content, find)
    except (TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise LinkError("sent what is no value") from error


def _decode_tagged(tag: str, content: Any, find: Callable[[int], object]) -> Any:
    if tag in SEQUENCES:
        return SEQUENCES[tag](decode(item, find) for item in content)
    if tag == "dict":
        return {decode(key, find): decode(item, find) for key, item in content}
    if tag == "int":
        return int(content, 16)
    if tag == "float":
        return float(content)
    if tag == "complex":
        real, imaginary = (decode(part, find) for part in content)
        return complex(real, imaginary)
    if tag == "bytes" or tag == "bytearray":
        return bytes.fromhex(content) if tag == "bytes" else bytearray.fromhex(content)
    if tag == "range":
        return range(*(decode(number, find) for number in content))
    if tag == "type":
        return TYPES[content]
    if tag == "fraction":
        from fractions import Fraction

        return Fraction(*(decode(part, find) for part in content))
    if tag == "decimal":
        from decimal import Decimal

        return Decimal(content)
    if tag == "object" and type(content) is int:
        return find(content)
    raise LinkError("sent what is no value")


class Link:
    """Messages over one end of a socket pair: four bytes of length, then JSON."""

    def __init__(self, channel: int, deadline: float | None = None) -> None:
        self._channel, self._deadline = channel, deadline
        if deadline is not None:
            os.set_blocking(channel, False)

    def send(self, message: Sequence[Any]) -> None:
        """Send one message.

        Raises:
            LinkError: the other end is gone or does not read, or the message is too long.
        """
        text = json.dumps(message).encode()
        if len(text) > MAX_BYTES:
            raise LinkError(f"a message of more than {MAX_BYTES} bytes")
        left = memoryview(len(text).to_bytes(4, "big") + text)
        while left:
            self._wait(select.POLLOUT)
            left = left[self._moved(lambda part=left: os.write(self._channel, part)) :]

    def receive(self) -> list[Any]:
        """Wait for one message.

        Raises:
            LinkError: there was none in time, or it is none.
        """
        length = int.from_bytes(self._read(4), "big")
        if length > MAX_BYTES:
            raise LinkError(f"sent more than {MAX_BYTES} bytes")
        try:
            message = json.loads(self._read(length))
        except (ValueError, RecursionError) as error:
            raise LinkError("sent what is no message") from error
        if not isinstance(message, list) or not message:
            raise LinkError("sent what is no message")
        return message

    def _read(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            self._wait(select.POLLIN)
            part = self._moved(lambda wanted=count: os.read(self._channel, min(wanted, 1 << 16)))
            if not part:
                raise LinkError("ended")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _moved(self, move: Callable[[], Any]) -> Any:
        try:
            return move()
        except OSError as error:
            raise LinkError("ended") from error

    def _wait(self, event: int) -> None:
        if self._deadline is None:
            return
        poll = select.poll()
        poll.register(self._channel, event)
        left = self._deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise LinkError("ran into the time limit")
