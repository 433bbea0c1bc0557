"""Class names in a file, resolved without trusting the file.

A name is looked up inside ``tutelage`` and the modules that the caller allows, and nowhere else. It must name
a frozen dataclass that is a member of the annotated union or satisfies the annotated Protocol. All of this is
checked before anything is constructed, and a module outside is not even imported.
"""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, get_type_hints

from typing_extensions import get_protocol_members

from tutelage.config.annotations import fields_of, is_open, is_spec
from tutelage.config.errors import ConfigError, shown, suggestion

PACKAGE = "tutelage"


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
        name: a dotted path, or the bare name of the only dataclass of that name among ``choices``.
        choices: the alternatives of the annotation.
        imports: modules besides ``tutelage`` in which classes may be named, with their submodules.

    Raises:
        ConfigError: where the name is not allowed or not found, or is not a frozen dataclass that fits.
    """
    if not isinstance(name, str):
        raise ConfigError(f"a class is named by text, not by {shown(name)}")
    cls = _find(name, imports) if "." in name else _short(name, choices)
    if not (is_spec(cls) and _is_frozen(cls)):
        raise ConfigError(f"{name} is not a frozen dataclass, so it cannot stand in a run")
    if not _is_allowed(cls.__module__, imports):
        raise ConfigError(f"{name} comes from {cls.__module__}, outside {_where(imports)}")
    problems = [_mismatch(cls, choice) for choice in choices]
    if all(problems):
        raise ConfigError(f"{name} does not fit here: {'; '.join(p for p in problems if p)}")
    return cls


def _short(name: str, choices: Sequence[type]) -> type:
    named = [c for c in choices if is_spec(c) and c.__name__ == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise ConfigError(f"{name} names {' and '.join(map(stamp, named))}: write the dotted path")
    known = [c.__name__ for c in choices if is_spec(c)]
    if not known:
        needed = " or ".join(c.__name__ for c in choices)
        raise ConfigError(f"{shown(name)}: write the dotted path of a class that is a {needed}")
    raise ConfigError(f"no class {shown(name)} here; {suggestion(name, known)}")


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
