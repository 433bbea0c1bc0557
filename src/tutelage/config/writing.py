"""Frozen dataclasses to plain data: what stands in ``run.yaml``.

A field whose annotation is one dataclass needs no class name. Where it is a union or a Protocol the mapping
carries ``class: tutelage.objectives.dpo.OnlineDPO``. ``reading`` is the way back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import PurePath
from typing import Any, cast, get_args

from tutelage.config.annotations import (
    CLASS,
    Plain,
    elements,
    fields_of,
    is_mapping,
    is_tuple,
    members,
    only_choice,
)
from tutelage.config.classes import stamp
from tutelage.config.errors import ConfigError, joined, shown


def to_plain(value: object, annotation: object = None, *, path: str = "") -> Plain:
    """The plain data of ``value``, complete: every field is written, defaults too.

    Args:
        value: a tree of frozen dataclasses, tuples, mappings and scalars.
        annotation: what the reader will pass to ``from_plain``; by default the class of
            ``value`` itself, so that the root carries no class name.
        path: the dotted path of ``value``, for messages.

    Raises:
        ConfigError: for a value that no file can hold.
    """
    return _written(value, type(value) if annotation is None else annotation, path)


def _written(value: object, annotation: object, path: str) -> Plain:
    if is_dataclass(value) and not isinstance(value, type):
        return _spec_written(value, annotation, path)
    if isinstance(value, tuple | list):
        items = cast(Sequence[object], value)
        inner = [elements(m, len(items)) for m in members(annotation) if is_tuple(m)]
        kinds = inner[0] if len(inner) == 1 and inner[0] is not None else (object,) * len(items)
        return [_written(v, k, joined(path, i)) for i, (v, k) in enumerate(zip(items, kinds, strict=True))]
    if isinstance(value, Mapping):
        inner = [get_args(m)[1] for m in members(annotation) if is_mapping(m)]
        kind = inner[0] if len(inner) == 1 else object
        entries = cast(Mapping[object, object], value).items()
        return {_key(k, path): _written(v, kind, joined(path, str(k))) for k, v in entries}
    return _scalar(value, annotation, path)


def _spec_written(value: object, annotation: object, path: str) -> dict[str, Any]:
    cls = type(value)
    try:
        plain: dict[str, Any] = {} if only_choice(annotation) is cls else {CLASS: stamp(cls)}
    except ConfigError as error:
        raise ConfigError(error.reason, path) from error
    for name, field in fields_of(cls).items():
        plain[name] = _written(getattr(value, name), field.annotation, joined(path, name))
    return plain


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise ConfigError(f"the keys of a mapping are text, not {shown(key)}", path)
    return str(key)


def _scalar(value: object, annotation: object, path: str) -> Plain:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # An int where a float is annotated: written as it will be read, so that fingerprints agree.
        as_float = float in members(annotation) and int not in members(annotation)
        return float(value) if as_float else int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, str | PurePath):
        return str(value)
    raise ConfigError(f"{shown(value)} ({type(value).__name__}) cannot be written to a file", path)
