"""A look at a server of rollouts before a run depends on it."""

from dataclasses import replace

from tutelage.served.control import Control
from tutelage.served.settings import RolloutServers


def held_weights(spec: RolloutServers, url: str) -> str:
    """What the server calls the weights that it has; nothing is sent, and nothing is tried again.

    Raises:
        EndpointError: it is not up, refuses the key, or has no routes by which it takes weights.
    """
    requests = replace(spec.requests, timeout_s=spec.requests.connect_timeout_s)
    control = Control(url, spec.key_variable, requests)
    try:
        return str(control.get("../weight_info").get("weight_version"))
    finally:
        control.close()
