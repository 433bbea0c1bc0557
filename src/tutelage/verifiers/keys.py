"""The answer key of a code problem: its tests, and what stands beside them."""

import ast
import builtins
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CodeKey:
    """Tests, and what they need. Kept as JSON in ``Problem.key``.

    Example:
        >>> CodeKey.read(CodeKey("assert double(2) == 4", ("double",)).text).names
        ('double',)
    """

    tests: str
    """Python that raises where the program is wrong."""
    names: tuple[str, ...]
    """What the tests take from the program."""
    preamble: str = ""
    """Python that the program may rely on: imports and helpers that its prompt showed."""
    helpers: str = ""
    """Python that the tests rely on, run beside them, out of the program's reach."""

    @property
    def text(self) -> str:
        """As it stands in ``Problem.key``."""
        return json.dumps({**asdict(self), "names": list(self.names)})

    @classmethod
    def read(cls, text: str) -> "CodeKey":
        """The inverse of ``text``; plain Python is taken for tests by themselves.

        Raises:
            ValueError: there are no tests, they are no Python, or they take nothing from the program.
        """
        key = cls._of_json(text)
        for part in (key.tests, key.preamble, key.helpers):
            _parsed(part)
        if not key.tests.strip():
            raise ValueError("the key has no tests")
        if not key.names:
            raise ValueError("the tests take nothing from the program")
        return key

    @classmethod
    def _of_json(cls, text: str) -> "CodeKey":
        try:
            found: Any = json.loads(text)
        except ValueError:
            return cls(text, names_taken(text))
        known = ("tests", "names", "preamble", "helpers")
        if not isinstance(found, dict) or not all(
            isinstance(found.get(name, ""), str) for name in known if name != "names"
        ):
            raise ValueError('the key is JSON, but not {"tests": "…"} with texts')
        fields: dict[str, Any] = found
        if unknown := sorted(set(fields) - set(known)):
            raise ValueError(f"the key has {', '.join(unknown)}; it may have {', '.join(known)}")
        tests = fields.get("tests", "")
        names = fields.get("names") or names_taken(tests, given=fields.get("helpers", ""))
        return cls(tests, tuple(names), fields.get("preamble", ""), fields.get("helpers", ""))


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():  # an escape that Python does not know is none of our business
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"the tests are no Python: {error}") from error


def names_taken(tests: str, given: str = "", program: str = "") -> tuple[str, ...]:
    """The names that ``tests`` take from the program: what they load and neither define nor find in ``given``.

    Builtins are none of them, but for those that ``program``, a right one, defines anew.

    Raises:
        ValueError: a text is no Python.
    """
    tree = _parsed(tests)
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    own = set(_bound(tree)) | set(_bound(_parsed(given)))
    anew = {name for name in _defined(_parsed(program)) if hasattr(builtins, name)}
    return tuple(sorted(name for name in loaded - own if not hasattr(builtins, name) or name in anew))


def _bound(tree: ast.AST) -> Iterator[str]:
    """Every name that is bound anywhere in ``tree``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _defined(tree: ast.Module) -> Iterator[str]:
    """What ``tree`` defines for those who come after it."""
    for node in tree.body:
        yield from _bound(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else (node.name,)
