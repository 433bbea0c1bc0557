"""What identifies a run, what tells two runs apart, and the reference of all settings."""

import ast
import hashlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from tutelage.config.annotations import (
    CLASS,
    Field,
    Plain,
    choices,
    described,
    fields_of,
    is_mapping,
    is_spec,
    is_tuple,
    members,
    only_choice,
)
from tutelage.config.classes import stamp
from tutelage.config.errors import joined
from tutelage.config.writing import to_plain


def fingerprint(value: object) -> str:
    """Hex digest of everything that ``value`` says.

    A frozen dataclass and the complete plain tree that ``to_plain`` makes of it have the same fingerprint,
    before and after YAML.
    """
    text = json.dumps(_as_plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class NotSet:
    """Stands in a ``Difference`` for a setting that one side does not have."""

    def __repr__(self) -> str:
        return "not set"


NOT_SET = NotSet()


class Difference(NamedTuple):
    """One setting in which two runs differ."""

    path: str
    before: Plain | NotSet
    after: Plain | NotSet

    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} → {self.after!r}"


def difference(before: object, after: object) -> list[Difference]:
    """The settings in which two values or plain trees differ, in the order of the first.

    Where the class differs, only the class is named: fields of different classes are not compared.
    """
    return list(_differences(_as_plain(before), _as_plain(after), ""))


def _as_plain(value: object) -> Any:
    return to_plain(value) if is_dataclass(value) else value


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        left, right = cast(dict[str, Any], before), cast(dict[str, Any], after)
        if left.get(CLASS) != right.get(CLASS):
            yield Difference(joined(path, CLASS), left.get(CLASS, NOT_SET), right.get(CLASS, NOT_SET))
            return
        keys = list(dict.fromkeys((*left, *right)))
        pairs = [(key, left.get(key, NOT_SET), right.get(key, NOT_SET)) for key in keys]
    elif isinstance(before, list) and isinstance(after, list):
        first, second = cast(list[Any], before), cast(list[Any], after)
        longest = range(max(len(first), len(second)))
        pairs = [(str(i), _item(first, i), _item(second, i)) for i in longest]
    else:
        if json.dumps(before, default=repr) != json.dumps(after, default=repr):
            yield Difference(path, before, after)
        return
    for key, one, other in pairs:
        yield from _differences(one, other, joined(path, key))


def _item(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else NOT_SET


class Setting(NamedTuple):
    """One line of the reference; in its path ``*`` is an index and ``[X]`` the choice ``X``."""

    path: str
    type: str
    default: str
    """As YAML would have it; ``required`` where there is none, and a class's name where it is one."""
    docstring: str


def reference(annotation: object) -> list[Setting]:
    """Every setting of ``annotation`` (a dataclass or a union of some) with the text written under its field.

    The members of a union are listed each; what an open choice (a Protocol) may hold is not known here.
    """
    return list(_settings(annotation, "", ()))


def _settings(annotation: object, path: str, above: tuple[type, ...]) -> Iterator[Setting]:
    for member in members(annotation):
        if is_spec(member) and member not in above:
            alone = only_choice(annotation) is member
            prefix = path if alone else f"{path}[{member.__name__}]"
            documented = docstrings(member)
            for name, field in fields_of(member).items():
                here = joined(prefix, name)
                yield Setting(here, described(field.annotation), _default(field), documented.get(name, ""))
                yield from _settings(field.annotation, here, (*above, member))
        elif is_tuple(member) or is_mapping(member):
            inner = get_args(member)[1:] if is_mapping(member) else get_args(member)
            for part in dict.fromkeys(p for p in inner if p is not Ellipsis):
                yield from _settings(part, joined(path, "*"), above)


def _default(field: Field) -> str:
    if field.required:
        return "required"
    value = field.make_default()
    if is_dataclass(value):
        named = type(value).__name__
        return named if type(value) in choices(field.annotation) else stamp(type(value))
    return _short(value)


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_short(v) for v in cast(tuple[object, ...], value))}]"
    if is_dataclass(value):
        return type(value).__name__
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, str | int | float | Path) else repr(value)


@cache
def docstrings(cls: type) -> dict[str, str]:
    """The text under each field of a dataclass, parents included; empty where its source cannot be read."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        found.update(_own_docstrings(owner))
    return found


def _own_docstrings(cls: type) -> dict[str, str]:
    module = inspect.getmodule(cls)
    try:
        tree = ast.parse(inspect.getsource(module)) if module else ast.Module([], [])
    except (OSError, TypeError):
        return {}
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    body = next((node.body for node in classes if node.name == cls.__name__), [])
    found: dict[str, str] = {}
    for statement, following in pairwise(body):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return found
