"""YAML in and out, without YAML 1.1's surprises.

Plain scalars are read by YAML 1.2's rules: ``5e-06`` is a float; ``on``, ``no``, ``010``, ``12:30`` and
``2026-01-01`` are text. Duplicate keys, anchors, aliases and tags are refused.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tutelage.config.annotations import Plain
from tutelage.config.errors import ConfigError, shown

_TAG = "tag:yaml.org,2002:"
_RESOLVERS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    "float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
}


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's scalars; every other tag is refused."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - shadows the parent's on purpose
    yaml_constructors: dict[str | None, Any] = {}  # noqa: RUF012

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent) or getattr(self.peek_event(), "anchor", None):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


def _mapping(loader: _Loader, node: MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _problem(f"a key must be text, not {shown(key)}", key_node)
        if key in found:
            raise _problem(f"the key {shown(key)} stands twice", key_node)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _sequence(loader: _Loader, node: SequenceNode) -> list[Any]:
    return [loader.construct_object(child, deep=True) for child in node.value]


def _float(_: _Loader, node: ScalarNode) -> float:
    text: str = node.value
    if text.lower().endswith(("inf", "nan")):
        return float(text.replace(".", "", 1))
    value = float(text)
    if math.isinf(value):
        raise _problem(f"{text} is too large for a float", node)
    return value


def _refused(_: _Loader, node: Node) -> Any:
    raise _problem(f"the tag {node.tag} is not allowed", node)


def _problem(text: str, node: Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


for _name, (_pattern, _first) in _RESOLVERS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)
_Loader.add_constructor(f"{_TAG}null", lambda _, node: None)
_Loader.add_constructor(f"{_TAG}bool", lambda _, node: node.value.lower() == "true")
_Loader.add_constructor(f"{_TAG}int", lambda _, node: int(node.value))
_Loader.add_constructor(f"{_TAG}float", _float)
_Loader.add_constructor(f"{_TAG}str", lambda _, node: node.value)
_Loader.add_constructor(f"{_TAG}map", _mapping)
_Loader.add_constructor(f"{_TAG}seq", _sequence)
_Loader.yaml_constructors[None] = _refused


def load_yaml(path: Path | str) -> Plain:
    """The plain data of a YAML file.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, a duplicate key, an alias, a tag; with the line.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror or error})", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 (byte {error.start})", file=str(path)) from error
    return parse_yaml(text, file=str(path))


def parse_yaml(text: str, *, file: str = "") -> Plain:
    """The plain data of a YAML text; raises as ``load_yaml`` does."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{error.problem or error.context}", line, file) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"is not YAML: {shown(str(error), 200)}", file=file) from error


class _Dumper(yaml.SafeDumper):
    """Block style, indented lists; quotes text that YAML 1.1 or 1.2 would take for another thing."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Any) -> SequenceNode:
        short = len(data) <= 8 and all(isinstance(v, bool | int | float) for v in data)
        return self.represent_sequence(f"{_TAG}seq", data, flow_style=short or not data)

    def represent_text(self, data: str) -> ScalarNode:
        # Only double quotes keep a line separator or a control character as it is.
        printable = data.replace("\n", "").isprintable()
        style = '"' if not printable else "|" if "\n" in data else None
        return self.represent_scalar(f"{_TAG}str", data, style=style)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_text)
for _name, (_pattern, _first) in _RESOLVERS.items():
    _Dumper.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def dump_yaml(plain: Plain) -> str:
    """YAML text that reads back as exactly ``plain``, floats to the last bit, in the order of its keys."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
