"""The hard limits of a process in a sandbox."""

import resource
from collections.abc import Mapping


def restrict(limits: Mapping[str, int]) -> None:
    """Set hard limits (``{"CPU": 5, "AS": 512 << 20}``), which nothing in a sandbox may raise again."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
