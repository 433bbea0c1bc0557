"""``tutelage recipes``: what there is to train, or one recipe as YAML."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.commands.choosing import choose, known, summary
from tutelage.commands.terminal import results
from tutelage.config import dump_yaml, to_plain


def recipes_command(name: str | None, words: Sequence[str], *, imports: tuple[str, ...] = ()) -> int:
    """List all recipes, or print the run or study that one gives; see ``cli.Recipes``."""
    if name is not None:
        sys.stdout.write(dump_yaml(to_plain(choose(name, words, imports))))
        return 0
    table = Table(show_header=False, box=None, padding=(0, 2, 1, 0))
    for known_name, recipe in known().items():
        table.add_row(Text(known_name, "bold"), Text(f"{summary(recipe)}\n{parameters(recipe)}".strip()))
    console = results()
    console.print(table)
    console.print("Read one with: tutelage recipes NAME. Train one with: tutelage train NAME --path.to.field value")
    return 0


def parameters(recipe: Callable[..., Any]) -> str:
    """``--preset laptop --seed 0``: a recipe's own parameters with their defaults."""
    found = inspect.signature(recipe).parameters.values()
    return " ".join(f"--{p.name.replace('_', '-')} {_default(p.default)}" for p in found)


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "…"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
