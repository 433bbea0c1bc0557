"""A look at every server of an endpoint by itself, before a run depends on them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.endpoints import background
from tutelage.endpoints.client import Client
from tutelage.endpoints.errors import EndpointError
from tutelage.endpoints.model import Endpoint
from tutelage.endpoints.wire import Listed


@dataclass(frozen=True, slots=True)
class Look:
    """What one server told when it was looked at."""

    url: str
    found: Listed | EndpointError | None
    """The model as it is listed, what is wrong, or nothing: a server that is up and lists no models."""


def survey(spec: Endpoint) -> tuple[Look, ...]:
    """Look once at each server of ``spec``; no prompt is sent, and nothing is tried again.

    Example:
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
