"""Endpoints of one fault server, fast to give up; nothing of one test is left for the next."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.endpoints.fault_server import FaultServer

from tutelage.endpoints import ENDING, LEDGER, AnswerCache, Endpoint, EndpointModel, Requests, forget

QUICK = Requests(
    concurrency=16,
    connect_timeout_s=2.0,
    timeout_s=1.0,
    retries=2,
    backoff_s=0.001,
    max_backoff_s=0.05,
    max_answer_bytes=100_000,
    probe_s=0.02,
    start_timeout_s=0.3,
    hedge=0.0,
)

Make = Callable[..., EndpointModel]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    forget()
    LEDGER.__init__()
    ENDING.clear()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one
        forget()


def model_of(*servers: FaultServer | str, requests: Requests = QUICK, **settings: object) -> EndpointModel:
    """The working model of an endpoint at some servers."""
    urls = tuple(one if isinstance(one, str) else one.url for one in servers)
    whole = {"model": "judge", "role": "judge.quality", "cache": None, "requests": requests, **settings}
    model = Endpoint(servers=urls, **whole).build()  # pyright: ignore[reportArgumentType]
    assert isinstance(model, EndpointModel)
    return model


@pytest.fixture
def endpoint() -> Make:
    return model_of


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(str(tmp_path / "cache" / "answers.sqlite"))
