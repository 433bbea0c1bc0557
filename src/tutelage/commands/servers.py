"""What ``tutelage doctor`` finds out about teachers on servers: who is up, and with which model.

Servers are asked for their list of models; no prompt is sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import starmap
from typing import Any

from tutelage.commands.machine import Finding
from tutelage.endpoints import Endpoint, EndpointError, Look, Retryable
from tutelage.run import Run


@dataclass(frozen=True, slots=True)
class Served:
    """A part of a run that asks servers."""

    field: str
    """Dotted path of the setting, as ``phases.0.judges.0.model``."""
    spec: Endpoint


def served(run: Run) -> Iterator[Served]:
    """Every endpoint of a run."""
    for number, phase in enumerate(run.phases):
        for kind in ("sources", "judges", "stream"):
            yield from starmap(Served, _endpoints(getattr(phase, kind), f"phases.{number}.{kind}"))
    for name in ("stream", "evaluations"):
        yield from starmap(Served, _endpoints(getattr(run, name), name))


def _endpoints(value: Any, here: str) -> Iterator[tuple[str, Endpoint]]:
    if isinstance(value, Endpoint):
        yield here, value
    elif isinstance(value, tuple):
        items: tuple[Any, ...] = value
        for number, item in enumerate(items):
            yield from _endpoints(item, f"{here}.{number}")
    elif is_dataclass(value):
        for field in fields(value):
            yield from _endpoints(getattr(value, field.name), f"{here}.{field.name}")


def surveyed(run: Run, survey: Callable[[Endpoint], tuple[Look, ...]]) -> Iterator[Finding]:
    """Every server under the setting that names it."""
    for one in served(run):
        looks = survey(one.spec)
        yield from (_told(one, look) for look in looks)
        listed = [look.found for look in looks if look.found is not None and not isinstance(look.found, EndpointError)]
        names = sorted({found.identity for found in listed})
        if len(names) > 1:
            told = f"its servers have different models, {' and '.join(names)}: their verdicts must not be mixed"
            yield Finding(one.field, "problem", told)


def _told(one: Served, look: Look) -> Finding:
    found = look.found
    if isinstance(found, EndpointError):
        remedy = "; start it, or mend the address" if isinstance(found, Retryable) else ""
        return Finding(one.field, "problem", f"{found}{remedy}")
    if found is None:
        told = f"{look.url} is up and lists no models; whether it has {one.spec.model!r} is not known"
        return Finding(one.field, "note", told)
    context = "a context that it does not tell" if found.context is None else f"a context of {found.context:,} tokens"
    return Finding(one.field, "ok", f"{look.url} has {found.identity} with {context}")
