"""A plain tree walked with its annotations: which class a mapping stands for, and what lies below it."""

from dataclasses import dataclass
from typing import Any, get_args

from tutelage.config.annotations import (
    CLASS,
    choices,
    elements,
    fields_of,
    is_mapping,
    is_tuple,
    members,
    only_choice,
)
from tutelage.config.classes import resolve
from tutelage.config.errors import ConfigError, joined
from tutelage.config.writing import to_plain


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a plain tree."""

    annotation: object
    plain: Any
    """``None`` where nothing stands there yet."""


def class_of(node: Node, imports: tuple[str, ...], path: str = "") -> type | None:
    """The dataclass that the node's mapping stands for; ``None`` where it stands for none.

    Raises:
        ConfigError: where it names a class that may not stand there.
    """
    if node.plain is None:
        return only_choice(node.annotation)
    if not isinstance(node.plain, dict):
        return None
    if CLASS not in node.plain:
        return only_choice(node.annotation)
    if not choices(node.annotation):
        return None
    try:
        return resolve(node.plain[CLASS], choices(node.annotation), imports)
    except ConfigError as error:
        raise ConfigError(error.reason, path) from error


def is_collection(node: Node) -> bool:
    """Whether elements lie below the node rather than fields."""
    if isinstance(node.plain, list):
        return True
    return isinstance(node.plain, dict) and CLASS not in node.plain and only_choice(node.annotation) is None


def children(node: Node, imports: tuple[str, ...]) -> dict[str, Node]:
    """What lies below the node by its name: fields, elements by their index, entries of a mapping."""
    cls = class_of(node, imports)
    plain: Any = node.plain
    if cls is not None:
        given: dict[str, Any] = plain or {}
        return {name: Node(f.annotation, given.get(name)) for name, f in fields_of(cls).items()}
    if isinstance(plain, list):
        items: list[Any] = plain
        inner = [elements(m, len(items)) for m in members(node.annotation) if is_tuple(m)]
        kinds = next((kind for kind in inner if kind is not None), (object,) * len(items))
        return {str(i): Node(kind, v) for i, (kind, v) in enumerate(zip(kinds, items, strict=True))}
    if isinstance(plain, dict):
        entries: dict[str, Any] = plain
        kind = next((get_args(m)[1] for m in members(node.annotation) if is_mapping(m)), object)
        return {str(key): Node(kind, value) for key, value in entries.items()}
    return {}


def completed(annotation: object, plain: Any, imports: tuple[str, ...], path: str = "") -> Any:
    """``plain`` with every default written out; what is required and missing stays missing.

    Raises:
        ConfigError: where a mapping names a class that may not stand there.
    """
    node = Node(annotation, plain)
    if plain is None or not isinstance(plain, dict | list):
        return plain
    cls = class_of(node, imports, path)
    below = children(node, imports)
    if isinstance(plain, list):
        return [completed(c.annotation, c.plain, imports, joined(path, name)) for name, c in below.items()]
    whole: dict[str, Any] = dict(plain)
    for name, child in below.items():
        if name in whole:
            whole[name] = completed(child.annotation, child.plain, imports, joined(path, name))
        elif cls is not None and not fields_of(cls)[name].required:
            whole[name] = to_plain(fields_of(cls)[name].make_default(), child.annotation)
    return whole
