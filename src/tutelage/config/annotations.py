"""What the annotation of a field allows: unions taken apart, collections and their elements."""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeGuard, Union, cast, get_args, get_origin, get_type_hints

NoneType = type(None)

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What YAML holds: scalars, lists and mappings, nested."""

CLASS = "class"
"""The key under which a mapping names its class; no field can have this name."""


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a frozen dataclass."""

    name: str
    annotation: object
    required: bool
    make_default: Any = None
    """Called without arguments it gives the default; ``None`` where the field is required."""


@cache
def fields_of(cls: type) -> Mapping[str, Field]:
    """The settings of a dataclass in order, those that its constructor takes."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: _field(f, hints[f.name]) for f in dataclasses.fields(cls) if f.init}


def _field(field: "dataclasses.Field[Any]", annotation: object) -> Field:
    if field.default is not dataclasses.MISSING:
        value = field.default
        return Field(field.name, annotation, False, lambda: value)
    if field.default_factory is not dataclasses.MISSING:
        return Field(field.name, annotation, False, field.default_factory)
    return Field(field.name, annotation, True)


@cache
def members(annotation: object) -> tuple[object, ...]:
    """The alternatives of a union, flattened; the annotation itself where it is none."""
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        return tuple(m for part in get_args(annotation) for m in members(part))
    if origin is Annotated:
        inner = members(get_args(annotation)[0])
        return inner if any(is_structure(m) for m in inner) else (annotation,)
    return (annotation,)


def is_spec(annotation: object) -> TypeGuard[type]:
    """Whether this is a dataclass."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def is_open(annotation: object) -> TypeGuard[type]:
    """Whether this is a Protocol: an open choice."""
    return isinstance(annotation, type) and bool(getattr(annotation, "_is_protocol", False))


def is_tuple(annotation: object) -> bool:
    """Whether this is a tuple with its elements' annotations."""
    return get_origin(annotation) is tuple


def is_mapping(annotation: object) -> bool:
    """Whether this is a mapping with its keys' and values' annotations."""
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_structure(annotation: object) -> bool:
    """Whether values of this are taken apart rather than validated as a leaf."""
    return any(test(annotation) for test in (is_spec, is_open, is_tuple, is_mapping))


def choices(annotation: object) -> tuple[type, ...]:
    """The dataclasses and Protocols among the alternatives of ``annotation``."""
    return tuple(m for m in members(annotation) if is_spec(m) or is_open(m))


def only_choice(annotation: object) -> type | None:
    """The one dataclass that a mapping without a class name can mean here, if there is exactly one."""
    found = choices(annotation)
    alone = len(found) == 1 and is_spec(found[0]) and not any(map(is_mapping, members(annotation)))
    return found[0] if alone else None


def elements(annotation: object, count: int) -> tuple[object, ...] | None:
    """The annotations of ``count`` elements of a tuple; ``None`` where the lengths do not agree."""
    parts = get_args(annotation)
    if len(parts) == 2 and parts[1] is Ellipsis:
        return (parts[0],) * count
    if parts == ((),):
        parts = ()
    return parts if len(parts) == count else None


def described(annotation: object) -> str:
    """The annotation as a reader would write it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is NoneType or annotation is None:
        return "None"
    if annotation is Ellipsis:
        return "..."
    if origin is Annotated:
        return described(parts[0])
    if origin is Union or origin is types.UnionType:
        return " | ".join(described(part) for part in parts)
    if origin is Literal:
        return " | ".join(repr(part) for part in parts)
    if origin is not None:
        return f"{described(origin)}[{', '.join(described(part) for part in parts)}]"
    return str(cast(object, getattr(annotation, "__name__", annotation)))
