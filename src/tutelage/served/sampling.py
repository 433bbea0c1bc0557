"""Text out of the policy, sampled by servers that were sent its weights: exact tokens in, exact tokens out."""

import asyncio
import json
import math
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage import rng
from tutelage.codec import HFCodec
from tutelage.endpoints import ENDING, LEDGER, Ended, FatalForRun, Retryable, background
from tutelage.endpoints.client import Client, request_id
from tutelage.endpoints.errors import Unreachable
from tutelage.endpoints.servers import server
from tutelage.endpoints.wire import require_own, whole_object
from tutelage.policy import Policy
from tutelage.protocols import Sampled, SampleRequest
from tutelage.served.control import Control
from tutelage.served.folder import write_folder
from tutelage.served.push import Pushed, push
from tutelage.served.settings import RolloutServers
from tutelage.types import Floats, Tokens

ROLE = "rollout"
"""By which what rollouts take is counted."""
FOLDER = "rollout-weights"
"""In the run's directory: what servers are started on and load anew."""
ATTEMPTS = 3
"""So often a batch is sampled where a server lost its weights meanwhile."""


class ServedSampler:
    """Samples from the policy on servers; before it does, servers whose weights are older are sent new ones.

    The same seed gives the same tokens as far as a server's batches round alike: not in the last bit, so a run is
    exact over a resume by what it recorded, as with every sampler, and not over another server.

    Raises:
        ValueError: the policy has several ranks.
    """

    def __init__(
        self, spec: RolloutServers, policy: Policy, codec: HFCodec, directory: Path, *, ranks: int = 1
    ) -> None:
        if ranks > 1:
            raise ValueError(
                f"rollout_servers serve a policy in one process, and this run has {ranks}: leave them out, so that "
                "every rank samples its own rollouts"
            )
        self._spec = spec
        self._policy = policy
        self._codec = codec
        self._folder = directory.resolve() / FOLDER
        self._controls = [Control(url, spec.key_variable, spec.requests) for url in spec.servers]
        self._session = os.urandom(6).hex()
        self._written: int | None = None
        self.pushes: list[Pushed] = []
        """Every push of this process."""

    @property
    def version(self) -> int:
        """The policy's own version: no rollout is sampled from older weights."""
        return self._policy.version

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        """Continue every prefix, once a seed.

        Raises:
            ValueError: an empty prefix, no seed, or a temperature other than 0 and 1.
            PushFailed: a server computes something else than the policy.
            FatalForRun: a rollout had to be given up.
        """
        for request in requests:
            _check(request)
        if not requests:
            return []
        probes = [r.prefix for r in requests if len(r.prefix) > 1][: self._spec.probes]
        for _ in range(ATTEMPTS):
            self._send(probes)
            found = background.submit(self._sample(requests)).result()
            if self._are_current():
                return found
        raise FatalForRun(f"the servers of rollouts lost their weights {ATTEMPTS} times in a row: who else sends them?")

    def close(self) -> None:
        """Close the connections by which weights are sent."""
        for control in self._controls:
            control.close()

    # ----------------------------------------------------------------- weights

    @property
    def _name(self) -> str:
        """What servers call the weights of this moment; no other process's weights are called so."""
        return f"{self._session}-{self._policy.version}"

    def _send(self, probes: Sequence[Tokens]) -> None:
        """Push to every server that holds other weights."""
        if self._written != self._policy.version:
            write_folder(self._policy, self._codec, self._folder)
            self._written = self._policy.version
        for control in self._controls:
            control.wait(f"start one: VLLM_SERVER_DEV_MODE=1 vllm serve {self._folder}")
            if not self._has(control):
                settings = (probes, self._spec.tolerance)
                done = push(control, self._spec.model, self._policy, self._folder, self._name, *settings)
                self.pushes.append(done)
                LEDGER.count("pushed", ROLE)
                LEDGER.count("push_seconds", ROLE, done.seconds)

    def _are_current(self) -> bool:
        """Whether every server still holds this moment's weights: one that was started anew does not."""
        try:
            return all(self._has(control) for control in self._controls)
        except Retryable:
            return False

    def _has(self, control: Control) -> bool:
        return control.get("../weight_info").get("weight_version") == self._name

    # ----------------------------------------------------------------- text

    async def _sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        spec = self._spec
        servers = [server(url, spec.model, spec.key_variable, spec.requests) for url in spec.servers]
        await asyncio.gather(*(one.meet() for one in servers))
        homes = [servers[int.from_bytes(r.prefix.digest[:4], "little") % len(servers)].client for r in requests]
        work = [
            _Draw(i, k, request, seed, homes[i])
            for i, request in enumerate(requests)
            for k, seed in enumerate(request.seeds)
        ]
        written: list[list[Sampled | None]] = [[None] * len(request.seeds) for request in requests]

        async def draw(one: _Draw) -> None:
            written[one.index][one.number] = await self._draw(one)

        await _by_many(spec.requests.concurrency * len(servers), (draw(one) for one in work))
        return [tuple(sampled for sampled in mine if sampled is not None) for mine in written]

    async def _draw(self, one: "_Draw") -> Sampled:
        """One continuation, attempt after attempt."""
        requests, last = self._spec.requests, ""
        body = _payload(self._spec.model, one.request, one.seed, self._codec.eos)
        loop = asyncio.get_running_loop()
        for attempt in range(requests.retries + 1):
            if attempt:
                mean = min(requests.backoff_s * 2 ** (attempt - 1), requests.max_backoff_s)
                await asyncio.sleep(mean * (0.5 + rng.uniform("backoff", one.seed, attempt)))
            if ENDING.is_set():
                raise Ended("the run was asked to end while it sampled on servers")
            LEDGER.count("retries" if attempt else "requests", ROLE)
            started, name = loop.time(), request_id()
            try:
                sampled = await one.client.post("completions", body, name, _reader(one.request, name, self._codec.eos))
            except Retryable as error:
                last = str(error)
                continue
            LEDGER.count("server_seconds", ROLE, loop.time() - started)
            LEDGER.count("prompt_tokens", ROLE, len(one.request.prefix))
            LEDGER.count("answer_tokens", ROLE, len(sampled.tokens))
            return sampled
        told = f"a rollout was given up after {requests.retries + 1} attempts, the last: {last}"
        raise Unreachable(f"{told}; mend the server, then resume")


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """One continuation to be sampled: number ``number`` of request ``index``."""

    index: int
    number: int
    request: SampleRequest
    seed: int
    client: Client


async def _by_many(most: int, work: Iterator[Coroutine[Any, Any, None]]) -> None:
    """Do all of it, at most so many at a time; what one raises calls the others back."""

    async def some() -> None:
        for one in work:
            await one

    tasks = [asyncio.create_task(some()) for _ in range(most)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in work:
            one.close()


def _check(request: SampleRequest) -> None:
    if not len(request.prefix) or not request.seeds or request.max_new_tokens < 1:
        raise ValueError("a request needs a prefix of at least one token, one seed or more, and room for a token")
    if request.temperature not in (0.0, 1.0):
        raise ValueError(
            f"a server tells log-probabilities at temperature 1, and rollouts are to be sampled at "
            f"{request.temperature:g}: choose temperature 1, or leave out rollout_servers"
        )


def _payload(model: str, request: SampleRequest, seed: int, eos: int) -> bytes:
    """A request that leaves nothing to a server's defaults."""
    body = {
        "model": model,
        "prompt": request.prefix.tolist(),
        "add_special_tokens": False,
        "max_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": seed % 2**31,
        "stop_token_ids": [eos],
        "logprobs": 0,
        "return_token_ids": True,
        "stream": False,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _reader(request: SampleRequest, name: str, eos: int) -> Callable[[bytes], Sampled]:
    return lambda said: read(said, request, name, eos)


def read(said: bytes, request: SampleRequest, name: str, eos: int) -> Sampled:
    """The continuation that a response holds.

    Raises:
        Retryable: it is torn, another request's, or did not end as a text ends.
        FatalForRun: the server tells no tokens, read another prompt, or ends at another token than the policy.
    """
    plain = whole_object(said)
    require_own(plain, name)
    try:
        (choice,) = plain["choices"]
        logprobs = [float(value) for value in choice["logprobs"]["token_logprobs"]]
        finish = choice["finish_reason"]
    except (KeyError, TypeError, ValueError) as error:
        raise Retryable(f"a response without one choice and its log-probabilities: {str(plain)[:200]}") from error
    if finish not in ("stop", "length"):
        raise Retryable(f"a rollout that ended by {str(finish)[:40]!r}", computed=True)
    tokens, prompt = choice.get("token_ids"), choice.get("prompt_token_ids")
    if not _are_ids(tokens) or not _are_ids(prompt):
        raise FatalForRun("the server tells no token ids (return_token_ids): rollouts need vLLM 0.10.2 or newer")
    if prompt != request.prefix.tolist():
        raise FatalForRun("the server continued other tokens than it was sent: does it serve the policy's own model?")
    if not 0 < len(tokens) <= request.max_new_tokens or len(tokens) != len(logprobs):
        raise Retryable(f"{len(tokens)} tokens with {len(logprobs)} log-probabilities", computed=True)
    if not all(math.isfinite(value) and value <= 1e-3 for value in logprobs):
        raise FatalForRun("the server gave log-probabilities that are none: the weights are broken")
    ended = tokens[-1] == eos
    if eos in tokens[:-1] or (finish == "stop" and not ended):
        raise FatalForRun(
            f"the server ends a text at token {tokens[-1]}, the policy at {eos}: start it with the policy's own "
            "tokenizer and --generation-config vllm"
        )
    return Sampled(Tokens(tokens), Floats(logprobs), "stop" if ended else "length")


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, int) for one in value)
