"""Typed metrics: how each is reduced over micro-batches and ranks is part of its type.

A part never returns a bare float for a step: it returns ``Mean`` (total and count), ``Sum`` or ``Peak``, so that an
average over uneven micro-batches or ranks is the true one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from tutelage.ranks import Ranks


@dataclass(frozen=True, slots=True)
class Mean:
    """An average that knows its weight; absent from a step's metrics where the count is 0."""

    total: float
    count: float


@dataclass(frozen=True, slots=True)
class Sum:
    """Something counted."""

    total: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest seen."""

    value: float


Metric = Mean | Sum | Peak
Metrics = Mapping[str, Metric]


@runtime_checkable
class Counts(Protocol):
    """A part that counts while it works. A part around another one passes on what that one counted."""

    def take_metrics(self) -> dict[str, Metric]:
        """What was counted since the last call."""
        ...


def counted(part: object) -> dict[str, Metric]:
    """What ``part`` counted, if it counts."""
    return part.take_metrics() if isinstance(part, Counts) else {}


def merge(parts: Iterable[Metrics]) -> dict[str, Metric]:
    """Reduce the metrics of several parts of a step into one.

    Raises:
        TypeError: a name has two types.
    """
    merged: dict[str, Metric] = {}
    for part in parts:
        for name, metric in part.items():
            merged[name] = _combine(name, merged[name], metric) if name in merged else metric
    return merged


def _combine(name: str, a: Metric, b: Metric) -> Metric:
    match a, b:
        case Mean(), Mean():
            return Mean(a.total + b.total, a.count + b.count)
        case Sum(), Sum():
            return Sum(a.total + b.total)
        case Peak(), Peak():
            return Peak(max(a.value, b.value))
        case _:
            raise TypeError(f"metric {name!r} is both {type(a).__name__} and {type(b).__name__}")


def reduce(metrics: Metrics, ranks: Ranks) -> dict[str, float]:
    """The step's numbers over all ranks, sorted by name. Ranks may hold different names."""
    every = _everyone(metrics, ranks) if ranks.size > 1 else dict(metrics)
    numbers: dict[str, float] = {}
    for name in sorted(every):
        metric = every[name]
        match metric:
            case Mean():
                if metric.count:
                    numbers[name] = metric.total / metric.count
            case Sum():
                numbers[name] = metric.total
            case Peak():
                numbers[name] = metric.value
            case _:
                assert_never(metric)
    return numbers


def _everyone(metrics: Metrics, ranks: Ranks) -> dict[str, Metric]:
    """Exchange as text: a step's metrics are a few kilobytes, and names differ between ranks."""
    lines = "\n".join(f"{name}\t{_write(metric)}" for name, metric in metrics.items())
    gathered: list[dict[str, Metric]] = []
    for text in ranks.gather(lines):
        rows = [line.split("\t") for line in text.split("\n") if line]
        gathered.append({name: _read(kind, [float.fromhex(x) for x in rest]) for name, kind, *rest in rows})
    return merge(gathered)


def _write(metric: Metric) -> str:
    match metric:
        case Mean():
            return f"mean\t{float(metric.total).hex()}\t{float(metric.count).hex()}"
        case Sum():
            return f"sum\t{float(metric.total).hex()}"
        case Peak():
            return f"peak\t{float(metric.value).hex()}"
        case _:
            assert_never(metric)


def _read(kind: str, numbers: list[float]) -> Metric:
    if kind == "mean":
        return Mean(numbers[0], numbers[1])
    return Sum(numbers[0]) if kind == "sum" else Peak(numbers[0])
