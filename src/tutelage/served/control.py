"""The routes beside ``/v1`` by which a vLLM takes weights: offered where VLLM_SERVER_DEV_MODE=1 is set."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from tutelage.endpoints import ENDING, Ended, EndpointError, FatalForRun, Requests, Retryable
from tutelage.endpoints.client import is_local, read_key
from tutelage.endpoints.errors import Unreachable, of_status
from tutelage.endpoints.wire import whole_object

LOOK_S = 0.5
"""How often a server that is not up is looked for."""


class Control:
    """One server's routes, asked one after the other."""

    def __init__(self, url: str, key_variable: str, requests: Requests) -> None:
        self.url = url.rstrip("/")
        self._requests = requests
        key = read_key(key_variable)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(requests.timeout_s, connect=requests.connect_timeout_s),
            trust_env=not is_local(url),
        )
        self._met = False

    def post(self, route: str, body: Mapping[str, Any] | None = None, **query: str) -> dict[str, Any]:
        """What the server answers to ``body`` under ``route``, which may lie beside ``/v1``.

        Raises:
            EndpointError: of the kind that the failure is.
        """
        return self._ask("POST", route, body or {}, query)

    def get(self, route: str) -> dict[str, Any]:
        """What the server tells under ``route``.

        Raises:
            EndpointError: of the kind that the failure is.
        """
        return self._ask("GET", route, None, {})

    def wait(self, remedy: str) -> None:
        """Until the server answers; ``remedy`` says how to start one.

        Raises:
            Unreachable: it did not within ``start_timeout_s``, or ``max_wait_s`` where it was met before.
            Ended: the run was asked to end meanwhile.
            FatalForRun: it has no such routes, or refuses the key.
        """
        most = self._requests.max_wait_s if self._met else self._requests.start_timeout_s
        end = time.monotonic() + (float("inf") if most is None else most)
        while True:
            try:
                self.get("../weight_info")
                self._met = True
                return
            except Retryable as error:
                if time.monotonic() > end:
                    raise Unreachable(f"{self.url} does not answer ({error}); {remedy}, then resume") from error
            if ENDING.is_set():
                raise Ended(f"the run was asked to end while it waited for {self.url}")
            time.sleep(LOOK_S)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _ask(self, method: str, route: str, body: Any, query: Mapping[str, str]) -> dict[str, Any]:
        where = self._place(route)
        try:
            response = self._http.request(method, where, json=body, params=query or None)
        except httpx.RequestError as error:
            raise Retryable(f"{where}: {type(error).__name__}: {str(error)[:200]}") from None
        if response.status_code != 200:
            raise self._error(response, where)
        content = response.content
        return whole_object(content) if content.strip() else {}

    def _error(self, response: httpx.Response, where: str) -> EndpointError:
        if response.status_code == 404 and not where.startswith(f"{self.url}/"):
            return FatalForRun(
                f"{where} is not there: start vLLM with VLLM_SERVER_DEV_MODE=1 in its environment, or a newer one "
                "(0.32 is known to do), so that it takes weights"
            )
        return of_status(response.status_code, dict(response.headers), response.content, where)

    def _place(self, route: str) -> str:
        root = self.url.removesuffix("/v1")
        return f"{root}/{route.removeprefix('../')}" if route.startswith("../") else f"{self.url}/{route}"
