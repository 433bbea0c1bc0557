"""Dotted settings from a command line, applied to the plain tree of a run.

``--objective.beta 0.05`` finds the field wherever it can only be meant: a name that is not a field of a node
but of the elements of one of its tuples applies to every such element.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tutelage.config.annotations import CLASS, Plain, choices, members
from tutelage.config.errors import ConfigError, NoSuchSetting, joined, nearest
from tutelage.config.reading import from_plain
from tutelage.config.tree import Node, children, completed, is_collection
from tutelage.config.writing import to_plain
from tutelage.config.yaml_text import parse_yaml

T = TypeVar("T")


def parse_arguments(argv: Sequence[str]) -> list[tuple[str, str]]:
    """``--a.b value`` and ``--a.b=value`` as pairs of a dotted path and the value's text.

    Raises:
        ConfigError: for a path without a value and for a word that belongs to no path.
    """
    found: list[tuple[str, str]] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        path, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not path:
            raise ConfigError(f"{word!r} belongs to no setting; write --path.to.field value")
        if not equals:
            if not words or words[0].startswith("--"):
                raise ConfigError(f"has no value; write {word} VALUE or {word}=VALUE", word)
            value = words.pop(0)
        found.append((path, value))
    return found


def apply(
    plain: Plain, annotation: object, overrides: Sequence[tuple[str, str]], *, imports: tuple[str, ...] = ()
) -> Plain:
    """The plain tree with ``overrides`` set in their order; ``plain`` itself is left alone.

    The tree that is returned is complete: defaults are written out. A field that is a union or a Protocol
    takes a class name, which gives that class with its defaults. What is missing is left to ``from_plain``.

    Args:
        plain: the tree, as ``load_yaml`` or ``to_plain`` give it.
        annotation: what the tree stands for.
        overrides: dotted paths with the text of their values, read as YAML.
        imports: modules besides ``tutelage`` whose classes may be named.

    Raises:
        NoSuchSetting: unknown path.
        ConfigError: ambiguous path, value of another type.
    """
    root = completed(annotation, copy.deepcopy(plain), imports)
    for path, text in overrides:
        root = _applied(Node(annotation, root), path, text, imports)
    return root


Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    steps: Steps
    annotation: object


def with_settings(thing: T, overrides: Sequence[tuple[str, str]], *, imports: tuple[str, ...] = ()) -> T:
    """A built tree with ``overrides`` set, as ``apply`` does.

    Raises:
        NoSuchSetting: unknown path.
        ConfigError: ambiguous path, value of another type, or settings that do not go together.
    """
    plain = apply(to_plain(thing), type(thing), overrides, imports=imports)
    return from_plain(type(thing), plain, imports=imports)


def _applied(root: Node, path: str, text: str, imports: tuple[str, ...]) -> Plain:
    places = _find(root, tuple(path.split(".")), (), imports)
    if not places:
        raise NoSuchSetting(path, nearest(path, _spellings(root, imports)))
    plain = root.plain
    for place in places:
        plain = _replaced(plain, place.steps, _value(place, path, text, imports))
    return plain


def _find(node: Node, names: Sequence[str], at: Steps, imports: tuple[str, ...]) -> list[_Place]:
    """Every place that ``names`` means below ``node``; none where it is unknown."""
    if not names:
        return [_Place(at, node.annotation)]
    below = children(node, imports)
    for name in (names[0], names[0].replace("-", "_")):
        if name in below:
            return _find(below[name], names[1:], (*at, _step(node, name)), imports)
    if is_collection(node):
        return _among(node, names, at, imports)
    return _spread(node, names, at, imports)


def _among(collection: Node, names: Sequence[str], at: Steps, imports: tuple[str, ...]) -> list[_Place]:
    """Every place that ``names`` means in those elements of ``collection`` that have such a field."""
    found: list[_Place] = []
    for key, element in children(collection, imports).items():
        if not is_collection(element) and names[0].replace("-", "_") in children(element, imports):
            found += _find(element, names, (*at, _step(collection, key)), imports)
    return found


def _spread(node: Node, names: Sequence[str], at: Steps, imports: tuple[str, ...]) -> list[_Place]:
    """Search the elements of the node's tuples, then the elements of theirs: the shallowest level decides."""
    level = [("", node, at)]
    while level:
        hits: dict[str, list[_Place]] = {}
        deeper: list[tuple[str, Node, Steps]] = []
        for group, holder, where in level:
            for name, collection in children(holder, imports).items():
                if is_collection(collection):
                    label, here = f"{group}{name}.0.", (*where, name)
                    hits.setdefault(label, []).extend(_among(collection, names, here, imports))
                    inner = children(collection, imports).items()
                    deeper += [(label, element, (*here, _step(collection, key))) for key, element in inner]
        hits = {label: places for label, places in hits.items() if places}
        if len(hits) > 1:
            meant = " or ".join(f"--{label}{'.'.join(names)}" for label in sorted(hits))
            raise ConfigError(f"is ambiguous: write {meant}", f"--{'.'.join(names)}")
        if hits:
            return next(iter(hits.values()))
        level = deeper
    return []


def _step(node: Node, name: str) -> str | int:
    return int(name) if isinstance(node.plain, list) else name


def _spellings(node: Node, imports: tuple[str, ...], prefix: str = "") -> list[str]:
    """Every dotted path below ``node``, in full and without the leading index of a collection."""
    found: list[str] = []
    for name, child in children(node, imports).items():
        path = joined(prefix, name)
        found.append(path)
        found.extend(_spellings(child, imports, path))
    if prefix:
        return found
    return found + [short for path in found for short in _shortened(path)]


def _shortened(path: str) -> list[str]:
    names = path.split(".")
    return [".".join(names[i + 1 :]) for i, name in enumerate(names[:-1]) if name.isdigit()]


def _replaced(plain: Any, steps: Steps, value: Plain) -> Any:
    """``plain`` with ``value`` at ``steps``; mappings that are missing on the way are made."""
    if not steps:
        return value
    if isinstance(plain, list):
        items: list[Any] = plain
        return [_replaced(v, steps[1:], value) if i == steps[0] else v for i, v in enumerate(items)]
    entries: dict[Any, Any] = plain or {}
    return {**entries, steps[0]: _replaced(entries.get(steps[0]), steps[1:], value)}


def _value(place: _Place, path: str, text: str, imports: tuple[str, ...]) -> Plain:
    parsed, where = _parsed(text), f"--{path}"
    named = _named(place.annotation, parsed, imports)
    if isinstance(named, dict) and isinstance(parsed, str):
        return completed(place.annotation, named, imports, where)
    try:
        return to_plain(from_plain(place.annotation, named, path=where, imports=imports), place.annotation)
    except ConfigError:
        if str not in members(place.annotation):
            raise
        return text  # 2026 and true are names too


def _parsed(text: str) -> Plain:
    """The value that ``text`` is as YAML; unquoted text stays as typed, for `#` begins no comment here."""
    try:
        parsed = parse_yaml(text)
    except ConfigError:
        return text
    is_text = isinstance(parsed, str) and text[:1] not in ('"', "'")
    is_comment = parsed is None and text.strip().lower() not in ("", "~", "null")
    return text if is_text or is_comment else parsed


def _named(annotation: object, parsed: Any, imports: tuple[str, ...]) -> Any:
    """Class names in the place of the classes' mappings: ``GRPO``, ``[Suffix, Rollouts]``."""
    if isinstance(parsed, str) and choices(annotation):
        try:
            from_plain(annotation, parsed, imports=imports)
        except ConfigError:
            return {CLASS: parsed}
    if isinstance(parsed, list):
        items: list[Any] = parsed
        below = children(Node(annotation, items), imports)
        return [_named(node.annotation, node.plain, imports) for node in below.values()]
    return parsed
