"""Class names in a file, resolved without trusting the file.

A name is looked up inside ``tutelage`` and the modules that the caller allows, and nowhere else. It must name
a frozen dataclass that is a member of the annotated union or satisfies the annotated Protocol. All of this is
checked before anything is constructed, and a module outside is not even imported.
"""

import contextlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from typing_extensions import get_protocol_members

from tutelage.config.annotations import fields_of, is_open, is_spec
from tutelage.config.errors import ConfigError, nearest, shown, suggestion

PACKAGE = "tutelage"

_CLASS_LINE = re.compile(r"^class ([A-Za-z]\w*)\b", re.MULTILINE)


def stamp(cls: type) -> str:
    """The dotted name under which ``cls`` can be found again.

    Raises:
        ConfigError: for a class defined inside a function, which no file can name.
    """
    if "." in cls.__qualname__:
        raise ConfigError(f"{cls.__qualname__} is not at the top of its module, so no file can name it")
    return f"{cls.__module__}.{cls.__qualname__}"


def resolve(name: object, choices: Sequence[type], imports: tuple[str, ...] = ()) -> type:
    """The frozen dataclass that ``name`` means among ``choices`` (dataclasses and Protocols).

    Args:
        name: a dotted path, or a bare name: of a dataclass among ``choices``, or, where a Protocol is among them,
            of the only class of that name that fits in ``tutelage`` and ``imports``.
        choices: the alternatives of the annotation.
        imports: modules besides ``tutelage`` in which classes may be named, with their submodules.

    Raises:
        ConfigError: where the name is not allowed or not found, or is not a frozen dataclass that fits.
    """
    if not isinstance(name, str):
        raise ConfigError(f"a class is named by text, not by {shown(name)}")
    cls = _find(name, imports) if "." in name else _short(name, choices, imports)
    if not (is_spec(cls) and _is_frozen(cls)):
        raise ConfigError(f"{name} is not a frozen dataclass, so it cannot stand in a run")
    if not _is_allowed(cls.__module__, imports):
        raise ConfigError(f"{name} comes from {cls.__module__}, outside {_where(imports)}")
    problems = [_mismatch(cls, choice) for choice in choices]
    if all(problems):
        raise ConfigError(f"{name} does not fit here: {'; '.join(p for p in problems if p)}")
    return cls


def fitting(choices: Sequence[type], imports: tuple[str, ...] = ()) -> list[str]:
    """Short names of the classes that may be written where ``choices`` are annotated; for messages, for it is slow."""
    found = [c for c in choices if is_spec(c)]
    if any(map(is_open, choices)):
        for root in (PACKAGE, *imports):
            for module, name in _written_in(root):
                with contextlib.suppress(ConfigError):
                    cls = _find(f"{module}.{name}", imports)
                    if is_spec(cls) and _is_frozen(cls) and not all(_mismatch(cls, choice) for choice in choices):
                        found.append(cls)
    return sorted({cls.__name__ for cls in found})


def _short(name: str, choices: Sequence[type], imports: tuple[str, ...]) -> Any:
    named = [c for c in choices if is_spec(c) and c.__name__ == name]
    known = {c.__name__ for c in choices if is_spec(c)}
    if not named and any(map(is_open, choices)):
        places = [(module, cls) for root in (PACKAGE, *imports) for module, cls in _written_in(root)]
        found = [_find(f"{module}.{cls}", imports) for module, cls in places if cls == name]
        named = [c for c in found if is_spec(c) and not all(_mismatch(c, choice) for choice in choices)] or found[:1]
        known.update(cls for _, cls in places)
    if len(named) == 1:
        return named[0]
    if named:
        raise ConfigError(f"{name} names {' and '.join(map(stamp, named))}: write the dotted path")
    close = nearest(name, known)
    remedy = f"did you mean {close!r}?" if close else f"one of {' | '.join(c.__name__ for c in choices)} is meant"
    raise ConfigError(f"no class {shown(name)} here; {remedy}")


@cache
def _written_in(root: str) -> tuple[tuple[str, str], ...]:
    """Module and name of every public class in the sources of a module or package, read without importing them.

    So a short name means the same whatever happens to be imported already.
    """
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return ()
    if spec is None or spec.origin is None:
        return ()
    top = Path(spec.origin)
    files = sorted(top.parent.rglob("*.py")) if spec.submodule_search_locations else [top]
    found: list[tuple[str, str]] = []
    for file in files:
        inner = file.relative_to(top.parent).with_suffix("").parts if file != top else ()
        parts = inner[:-1] if inner[-1:] == ("__init__",) else inner
        if not any(part.startswith("_") for part in parts):
            module = ".".join((root, *parts))
            found += [(module, cls) for cls in _CLASS_LINE.findall(file.read_text("utf-8", "replace"))]
    return tuple(found)


def _find(name: str, imports: tuple[str, ...]) -> Any:
    *parts, last = name.split(".")
    if not all(part.isidentifier() and not part.startswith("_") for part in (*parts, last)):
        raise ConfigError(f"{shown(name)} is not a dotted path of public names")
    module_name = ".".join(parts)
    if not _is_allowed(module_name, imports):
        remedy = f"allow its module with --import {module_name}"
        raise ConfigError(f"class {shown(name)} lies outside {_where(imports)}; {remedy}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"class {shown(name)} cannot be imported: {error}") from error
    if last not in vars(module):
        known = [n for n, value in vars(module).items() if is_spec(value) and _is_frozen(value)]
        raise ConfigError(f"module {module_name} has no class {last!r}; {suggestion(last, known)}")
    return vars(module)[last]


def _is_allowed(module: str, imports: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in (PACKAGE, *imports))


def _where(imports: tuple[str, ...]) -> str:
    return " and ".join((PACKAGE, *imports))


def _is_frozen(cls: type) -> bool:
    return bool(getattr(cls, "__dataclass_params__").frozen)  # noqa: B009 - not in the stubs of every checker


def _mismatch(cls: type, choice: type) -> str:
    """Why ``cls`` is not a ``choice``; empty where it is one."""
    if not is_open(choice):
        return "" if issubclass(cls, choice) else f"it is not {choice.__name__}"
    for member in sorted(get_protocol_members(choice)):
        if not hasattr(cls, member) and member not in fields_of(cls):
            return f"it has no {member!r}, which {choice.__name__} needs"
        problem = _returns_otherwise(cls, choice, member)
        if problem:
            return problem
    return ""


def _returns_otherwise(cls: type, choice: type, member: str) -> str:
    """Why the result of ``cls.member`` does not fit: all specs have ``build``; its result tells which."""
    wanted, given = _result(choice, member), _result(cls, member)
    if get_origin(given) in (tuple, list, dict):
        given = get_origin(given)
    if not is_open(wanted) or not isinstance(given, type):
        return ""
    lacking = [m for m in sorted(get_protocol_members(wanted)) if not hasattr(given, m)]
    lacking = [m for m in lacking if not (is_spec(given) and m in fields_of(given))]
    if not lacking or given is wanted:
        return ""
    return f"its {member!r} gives {given.__name__}, which is no {wanted.__name__} (no {lacking[0]!r})"


def _result(cls: type, member: str) -> object:
    function = inspect.getattr_static(cls, member, None)
    if not inspect.isfunction(function):
        return None
    try:
        return get_type_hints(function).get("return")
    except NameError:  # a name imported for the type checker only: nothing to compare with
        return None
