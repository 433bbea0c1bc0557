"""Plain data to frozen dataclasses, strictly: the way back from ``run.yaml``.

Unknown keys are refused with the nearest name, required ones are not made up, and leaves are validated
without coercion: ``"3"`` is no int; ``3`` is a float.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, overload

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from tutelage.config.annotations import (
    CLASS,
    NoneType,
    choices,
    described,
    elements,
    fields_of,
    is_mapping,
    is_spec,
    is_structure,
    is_tuple,
    members,
    only_choice,
)
from tutelage.config.classes import fitting, resolve, stamp
from tutelage.config.errors import ConfigError, joined, shown, suggestion

T = TypeVar("T")


@overload
def from_plain(
    annotation: type[T],
    plain: object,
    *,
    path: str = "",
    imports: tuple[str, ...] = (),
    file: str | Path = "",
) -> T: ...
@overload
def from_plain(
    annotation: object,
    plain: object,
    *,
    path: str = "",
    imports: tuple[str, ...] = (),
    file: str | Path = "",
) -> Any: ...
def from_plain(
    annotation: object,
    plain: object,
    *,
    path: str = "",
    imports: tuple[str, ...] = (),
    file: str | Path = "",
) -> Any:
    """The value of type ``annotation`` that ``plain`` describes.

    Args:
        annotation: a frozen dataclass, a union, a Protocol, or any annotation that a field may have.
        plain: scalars, lists and mappings as ``load_yaml`` gives them.
        path: the dotted path of ``plain`` in its file, for messages.
        imports: modules besides ``tutelage`` whose classes may be named.
        file: the file it came from, for messages.

    Raises:
        ConfigError: unknown or missing key, wrong type, class that may not be named here.
    """
    return _Reader(imports, str(file)).read(annotation, plain, path)


@dataclass(frozen=True, slots=True)
class _Reader:
    imports: tuple[str, ...]
    file: str

    def error(self, reason: str, path: str) -> ConfigError:
        return ConfigError(reason, path, self.file)

    def read(self, annotation: object, plain: object, path: str) -> object:
        options = members(annotation)
        if plain is None and NoneType in options:
            return None
        if isinstance(plain, dict):
            entries = cast(dict[object, object], plain)
            mapping = next((m for m in options if is_mapping(m)), None)
            if choices(annotation) and (CLASS in entries or mapping is None):
                return self.spec(annotation, entries, path)
            if mapping is not None:
                return self.mapping(mapping, entries, path)
        tuples = [m for m in options if is_tuple(m)]
        if isinstance(plain, list) and tuples:
            return self.sequence(tuples, cast(list[object], plain), path)
        return self.leaf(annotation, plain, path)

    def spec(self, annotation: object, plain: dict[object, object], path: str) -> object:
        cls = self.choose(annotation, plain, path)
        fields = fields_of(cls)
        for key in plain:
            if key != CLASS and key not in fields:
                reason = f"{cls.__name__} has no field {shown(key)}; {suggestion(str(key), fields)}"
                raise self.error(reason, joined(path, str(key)))
        given: dict[str, object] = {}
        for name, field in fields.items():
            here = joined(path, name)
            if name in plain:
                given[name] = self.read(field.annotation, plain[name], here)
            elif field.required:
                raise self.error(self.missing(cls, field.annotation), here)
        try:
            return cls(**given)
        except ValueError as error:
            raise self.error(str(error), path) from error

    def missing(self, cls: type, annotation: object) -> str:
        told = f"missing; {cls.__name__} needs {described(annotation)} here"
        wanted = choices(annotation)
        if not wanted or only_choice(annotation) is not None:
            return told
        return f"{told}: class: {' | '.join(fitting(wanted, self.imports))}"

    def choose(self, annotation: object, plain: dict[object, object], path: str) -> type:
        if CLASS in plain:
            try:
                return resolve(plain[CLASS], choices(annotation), self.imports)
            except ConfigError as error:
                raise self.error(error.reason, joined(path, CLASS)) from error
        only = only_choice(annotation)
        if only is None:
            names = ", ".join(stamp(c) if is_spec(c) else f"any {c.__name__}" for c in choices(annotation))
            raise self.error(f"needs 'class:' to say which is meant ({names})", joined(path, CLASS))
        return only

    def mapping(self, annotation: object, plain: dict[object, object], path: str) -> object:
        kind, inner = get_args(annotation)
        if kind is not str:
            raise self.error(f"the keys of a mapping must be annotated as str, not {described(kind)}", path)
        for key in plain:
            if not isinstance(key, str):
                raise self.error(f"a key must be text, not {shown(key)}", path)
        return {str(key): self.read(inner, value, joined(path, str(key))) for key, value in plain.items()}

    def sequence(self, annotations: list[object], plain: list[object], path: str) -> object:
        failures: list[ConfigError] = []
        for annotation in annotations:
            kinds = elements(annotation, len(plain))
            try:
                if kinds is None:
                    expected = described(annotation)
                    raise self.error(f"expected {expected}, got {len(plain)} elements: {shown(plain)}", path)
                return tuple(
                    self.read(k, v, joined(path, i)) for i, (k, v) in enumerate(zip(kinds, plain, strict=True))
                )
            except ConfigError as error:
                failures.append(error)
        raise failures[-1]

    def leaf(self, annotation: object, plain: object, path: str) -> object:
        leaves = tuple(m for m in members(annotation) if not is_structure(m))
        try:
            value = _validator(leaves)(plain) if leaves else _Refused
        except ValidationError as failure:
            value, reason = _Refused, failure.errors()[0]["msg"]
        except PydanticSchemaGenerationError as failure:
            raise self.error(f"{described(annotation)} is not a type that a file can hold", path) from failure
        else:
            reason = ""
        if value is _Refused and Path in leaves and isinstance(plain, str) and plain:
            return Path(plain)
        lossy = isinstance(plain, int) and isinstance(value, float) and int(value) != plain
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"expected a finite number, got {shown(plain)}", path)
        if value is _Refused or lossy:
            detail = " (too large to be exact)" if lossy else f": {reason}" if reason else ""
            message = f"expected {described(annotation)}, got {shown(plain)} ({type(plain).__name__}){detail}"
            raise self.error(message, path)
        return value


class _Refused:
    """Stands for a leaf that was not accepted."""


@cache
def _validator(leaves: tuple[object, ...]) -> Callable[[object], Any]:
    return TypeAdapter(cast(Any, Union)[leaves], config=ConfigDict(strict=True)).validate_python
