"""Servers that sample in this process's place, as they stand in a run."""

from dataclasses import dataclass, field

from tutelage.endpoints import Requests
from tutelage.endpoints.client import require_address
from tutelage.maths.ranges import require


@dataclass(frozen=True, slots=True)
class RolloutServers:
    """vLLM servers that sample the rollouts from weights that are pushed to them whenever the policy was updated.

    Start each with VLLM_SERVER_DEV_MODE=1 on the folder ``rollout-weights/`` of the run's directory, which the run
    writes before it asks, and which they must see under the same path.

    Example:
        >>> RolloutServers("policy", ("http://localhost:8000/v1",)).tolerance
        0.001
    """

    model: str
    """Its name, as the servers list it."""
    servers: tuple[str, ...]
    """Their addresses, ending in ``/v1``; the prefixes are shared out among them."""
    key_variable: str = ""
    """Environment variable that holds the servers' key."""
    tolerance: float = 1e-3
    """By how many nats a server may differ from this process in the log-probability of a token after a push; one that
    computes in bfloat16 needs some 0.1."""
    probes: int = 4
    """So many prefixes are scored by both after a push."""
    requests: Requests = field(default_factory=Requests)
    """How they are asked; a rollout that was given up stops the run, for a pool without it would be another one."""

    def __post_init__(self) -> None:
        if not self.servers or len(set(self.servers)) < len(self.servers):
            raise ValueError(f"rollout_servers.servers is {self.servers}; name at least one address, and each once")
        for url in self.servers:
            require_address(url)
        require(self, "tolerance", above=0)
        require(self, "probes", at_least=1)
