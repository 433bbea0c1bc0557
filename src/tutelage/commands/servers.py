"""What ``tutelage doctor`` finds out about teachers on servers: who is up, and with which model.

Servers are asked for their list of models; no prompt is sent.
"""

from collections.abc import Callable, Iterator

from tutelage.commands.machine import Finding
from tutelage.config.mapping import parts_of
from tutelage.endpoints import Endpoint, EndpointError, Look, Retryable, Served

Survey = Callable[[Served], tuple[Look, ...]]
"""A look at every server of a part."""


def surveyed(tree: object, survey: Survey) -> Iterator[Finding]:
    """Every server of a run or of a part of one, under the setting that names it."""
    for place, endpoint in parts_of(tree, Endpoint):
        looks = survey(endpoint)
        yield from (told(place, endpoint, look) for look in looks)
        listed = [look.found for look in looks if look.found is not None and not isinstance(look.found, EndpointError)]
        names = sorted({found.identity for found in listed})
        if len(names) > 1:
            text = f"its servers have different models, {' and '.join(names)}: their verdicts must not be mixed"
            yield Finding(place, "problem", text)


def told(place: str, served: Served, look: Look) -> Finding:
    """What a look at one server says of it."""
    found = look.found
    if isinstance(found, EndpointError):
        remedy = "; start it, or mend the address" if isinstance(found, Retryable) else ""
        return Finding(place, "problem", f"{found}{remedy}")
    if found is None:
        text = f"{look.url} is up and lists no models; whether it has {served.model!r} is not known"
        return Finding(place, "note", text)
    context = "a context that it does not tell" if found.context is None else f"a context of {found.context:,} tokens"
    return Finding(place, "ok", f"{look.url} has {found.identity} with {context}")
