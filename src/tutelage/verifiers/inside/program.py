"""Runs a program that nobody trusts, and calls of it what the tests in another sandbox ask for.

Everything in this process belongs to the program as soon as it runs. So there is nothing in here that it must not
know: no test, no expected value, no verdict; and its end of the link takes plain values only.
"""

import json
import os
import sys
from itertools import islice
from types import ModuleType
from typing import Any

from tutelage.verifiers.inside.limits import restrict
from tutelage.verifiers.inside.values import Link, LinkError, decode, encode

NAME = "program"
MOST_ITEMS = 100_000
"""Of an iterator, so many are looked at."""


class Objects:
    """What the program returned and the tests may refer to, by number."""

    def __init__(self) -> None:
        self._known: list[object] = []
        self._numbers: dict[int, int] = {}

    def refer(self, value: object) -> int:
        """The number of ``value``, the same each time."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._known)
            self._known.append(value)  # kept, so that its id stays its own
        return self._numbers[id(value)]

    def find(self, number: int) -> Any:
        """The object of a number."""
        return self._known[number]


def answer(request: list[Any], names: dict[str, Any], objects: Objects) -> Any:
    """Do what the tests ask for.

    Raises:
        BaseException: whatever the program raises.
    """
    verb, *what = request
    if verb == "name":
        return names[what[0]]
    target = objects.find(what[0])
    if verb == "call":
        positional, named = decode(what[1], objects.find), decode(what[2], objects.find)
        return target(*positional, **named)
    if verb == "get":
        return getattr(target, what[1])
    if verb == "set":
        return setattr(target, what[1], decode(what[2], objects.find))
    return list(islice(target, MOST_ITEMS))


def run(texts: list[str]) -> dict[str, Any]:
    """Run preamble and program one after the other in a module of their own.

    Raises:
        BaseException: whatever they raise.
    """
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    for text in texts:
        exec(compile(text, f"<{NAME}>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def serve(link: Link) -> None:
    """Run what is sent first, then answer until the tests are over."""
    objects = Objects()
    names: dict[str, Any] = {}
    link.send(["ready"])
    while True:
        request = link.receive()
        try:
            if request[0] == "run":
                names, reply = run(request[1]), None
            else:
                reply = answer(request, names, objects)
            message = ["value", encode(reply, objects.refer)]
        except BaseException as error:  # an exit too
            message = ["raised", type(error).__name__, str(error)[:200]]
        link.send(message)


if __name__ == "__main__":
    restrict(json.loads(sys.argv[1]))
    channel = os.dup(0)
    os.dup2(1, 0)  # the program's input is empty, as its output is nowhere
    try:
        serve(Link(channel))
    except LinkError:
        os._exit(0)  # the tests are over, and no atexit of the program's is wanted
