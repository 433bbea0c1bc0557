"""From the words after ``train`` to a run or a study: a recipe or a file, then overrides."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro

from tutelage.commands.failing import UsageError
from tutelage.config import (
    ConfigError,
    NoSuchSetting,
    apply,
    from_plain,
    load_yaml,
    parse_arguments,
    to_plain,
    with_settings,
)
from tutelage.config.errors import nearest, suggestion
from tutelage.run import Run
from tutelage.study import Job, Study, Train, Work

Plan = Run | Study
Pairs = Sequence[tuple[str, str]]


def choose(what: str, words: Sequence[str], imports: tuple[str, ...] = ()) -> Plan:
    """The run or study that ``what`` names, with the settings in ``words``.

    Args:
        what: a recipe of ``tutelage.recipes``, ``module.function`` of an imported module, or a YAML file.
        words: the recipe's own parameters, and ``--path.to.field value`` for everything else.
        imports: modules besides ``tutelage`` whose classes and recipes may be named.

    Raises:
        UsageError: an unknown recipe, parameter or field; names the nearest.
        ConfigError: a file that cannot be read.
    """
    if imports:
        # A console script does not look in the folder that it is called in.
        sys.path.insert(0, os.getcwd())
    rest = list(words)
    if what.endswith((".yaml", ".yml")) or Path(what).is_file():
        _require_file(Path(what))
        plan = from_file(Path(what), imports)
    else:
        plan, rest = from_recipe(what, rest, imports)
    try:
        pairs = parse_arguments(rest)
        return overridden(plan, pairs, imports) if pairs else plan
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _require_file(path: Path) -> None:
    """Refuse a file that is not there, naming the nearest in its folder that is."""
    if path.exists():
        return
    beside = [str(file) for ending in ("yaml", "yml") for file in path.parent.glob(f"*.{ending}")]
    close = nearest(str(path), beside)
    raise UsageError(f"there is no file {path}{f'; did you mean {close}?' if close else ''}")


def known() -> Mapping[str, Callable[..., Plan]]:
    """The recipes by name."""
    from tutelage import recipes  # a run in a file needs none of them

    return {name: getattr(recipes, name) for name in recipes.__all__}


def summary(recipe: Callable[..., Plan]) -> str:
    """The first line of a recipe's docstring."""
    return (inspect.getdoc(recipe) or "").partition("\n")[0]


def from_file(path: Path, imports: tuple[str, ...] = ()) -> Plan:
    """The run, or the study, in a YAML file."""
    plain = load_yaml(path)
    if plain is None:
        raise ConfigError("the file is empty; tutelage recipes NAME prints one that is not", file=str(path))
    kind = Study if isinstance(plain, dict) and "jobs" in plain else Run
    return from_plain(kind, plain, imports=imports, file=path)


def from_recipe(name: str, words: list[str], imports: tuple[str, ...] = ()) -> tuple[Plan, list[str]]:
    """Call the recipe with those of ``words`` that its signature knows; the others come back."""
    recipe = _recipe(name, imports)
    plan, rest = tyro.cli(recipe, prog=f"tutelage train {name}", args=words, return_unknown_args=True)
    if not isinstance(plan, Run | Study):
        raise UsageError(f"{name} gives a {type(plan).__name__}; a recipe returns a Run or a Study")
    return plan, rest


def _recipe(name: str, imports: tuple[str, ...]) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    if module in imports:
        found = getattr(importlib.import_module(module), function, None)
        if callable(found):
            return found
    recipe = known().get(name)
    if recipe is None:
        raise UsageError(f"there is no recipe and no file {name!r}; {suggestion(name, known())}")
    return recipe


def overridden(plan: Plan, pairs: Pairs, imports: tuple[str, ...] = ()) -> Plan:
    """``plan`` with the settings of ``pairs``; in a study each applies to every job that has the field.

    Raises:
        ConfigError: a field that no job has; names the nearest.
    """
    match plan:
        case Run():
            return with_settings(plan, pairs, imports=imports)
        case Study():
            return _study(plan, pairs, imports)


def _study(study: Study, pairs: Pairs, imports: tuple[str, ...]) -> Study:
    """Settings are put on plain trees one after the other and read once, for they may only make sense together."""
    roots: list[Any] = [replace(study, jobs=()), *(_root(job.work) for job in study.jobs)]
    plains = [to_plain(root) for root in roots]
    for pair in pairs:
        missed: list[NoSuchSetting] = []
        for index, root in enumerate(roots):
            try:
                plains[index] = apply(plains[index], type(root), [pair], imports=imports)
            except NoSuchSetting as error:
                missed.append(error)
        if len(missed) == len(roots):
            raise NoSuchSetting(pair[0], nearest(pair[0], [error.close for error in missed if error.close]))
    head, *made = (from_plain(type(r), p, imports=imports) for r, p in zip(roots, plains, strict=True))
    jobs = [_job(job, root) for job, root in zip(study.jobs, made, strict=True)]
    return replace(head, jobs=tuple(jobs))


def _root(work: Work) -> Any:
    return work.run if isinstance(work, Train) else work


def _job(job: Job, root: Any) -> Job:
    return replace(job, work=replace(job.work, run=root) if isinstance(job.work, Train) else root)
