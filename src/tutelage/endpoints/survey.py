"""A look at every server of an endpoint by itself, before a run depends on them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tutelage.endpoints import background
from tutelage.endpoints.client import Client
from tutelage.endpoints.errors import EndpointError
from tutelage.endpoints.settings import Requests
from tutelage.endpoints.wire import Listed


@runtime_checkable
class Served(Protocol):
    """What servers are named by: an ``Endpoint``, or a run's servers of rollouts."""

    @property
    def model(self) -> str:
        """Its name, as the servers list it."""
        ...

    @property
    def servers(self) -> tuple[str, ...]:
        """Their addresses."""
        ...

    @property
    def key_variable(self) -> str:
        """Environment variable that holds their key."""
        ...

    @property
    def requests(self) -> Requests:
        """How they are asked."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What one server told when it was looked at."""

    url: str
    found: Listed | EndpointError | None
    """The model as it is listed, what is wrong, or nothing: a server that is up and lists no models."""


def survey(spec: Served) -> tuple[Look, ...]:
    """Look once at each server of ``spec``; no prompt is sent, and nothing is tried again.

    Example:
        >>> from tutelage.endpoints import Endpoint
        >>> [look] = survey(Endpoint("judge", ("http://127.0.0.1:9/v1",), role="rewriter"))
        >>> type(look.found).__name__
        'Retryable'
    """
    try:
        clients = [Client(url.rstrip("/"), spec.model, spec.key_variable, spec.requests) for url in spec.servers]
    except EndpointError as error:
        return tuple(Look(url, error) for url in spec.servers)
    return background.submit(_look(clients)).result()


async def _look(clients: Sequence[Client]) -> tuple[Look, ...]:
    return tuple(await asyncio.gather(*(_look_at(client) for client in clients)))


async def _look_at(client: Client) -> Look:
    try:
        return Look(client.url, await client.look())
    except EndpointError as error:
        return Look(client.url, error)
    finally:
        await client.close()
