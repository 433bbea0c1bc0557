"""A tree of frozen dataclasses with parts of it exchanged, and the parts of one kind by the names of their fields."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

T = TypeVar("T")


def exchanged(tree: T, change: Callable[[Any], Any]) -> T:
    """``tree`` with every part that ``change`` gives another for in its place; what was exchanged is not looked into.

    Args:
        tree: frozen dataclasses, tuples and scalars.
        change: called with every part but tuples, from the root on; gives the part itself where it is to stay.
    """
    return cast(T, _exchanged(tree, change))


def _exchanged(part: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(part, tuple):
        items = cast(tuple[Any, ...], part)
        return tuple(_exchanged(item, change) for item in items)
    other = change(part)
    if other is not part or not is_dataclass(part) or isinstance(part, type):
        return other
    own = {field.name: getattr(part, field.name) for field in fields(part) if field.init}
    new = {name: _exchanged(value, change) for name, value in own.items()}
    different = {name: value for name, value in new.items() if value != own[name]}
    return replace(part, **different) if different else part


def parts_of(tree: object, kind: type[T], path: str = "") -> Iterator[tuple[str, T]]:
    """Every part of ``tree`` that is a ``kind``, after the dotted path of its field; those inside others too."""
    if isinstance(tree, kind):
        yield path, tree
    if isinstance(tree, tuple):
        for number, item in enumerate(cast(tuple[object, ...], tree)):
            yield from parts_of(item, kind, f"{path}.{number}" if path else str(number))
    elif is_dataclass(tree) and not isinstance(tree, type):
        for field in fields(tree):
            yield from parts_of(getattr(tree, field.name), kind, f"{path}.{field.name}" if path else field.name)
