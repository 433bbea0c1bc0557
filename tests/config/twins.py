"""Two tuples whose elements share a name."""

from dataclasses import dataclass

from tests.config.samples import Preference


@dataclass(frozen=True, slots=True)
class Twins:
    left: tuple[Preference, ...] = ()
    right: tuple[Preference, ...] = ()
    more_than_one: str | None = "yes"
