"""Answers as data, whatever is in the texts; errors that say what is wrong; changes as they happen."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient
from tests.view.conftest import HOME
from tests.view.made import EVIL, metrics, row, rows, write_lines, write_run, write_samples

from tutelage.view import application, serve, server
from tutelage.view.watching import WatchedRun

NAME = "step-00000007-00000007.rank-0000.parquet"


def get(client: TestClient, name: str, code: int = 200, **words: Any) -> Any:
    answer = client.get(f"/data/{name}", params=words)
    assert answer.status_code == code, answer.text
    return answer.json()


def test_the_page_is_served_with_its_scripts_and_styles(client: TestClient):
    page = client.get("/").text
    assert "<script" in page and "<style" not in page and "style=" not in page and " onclick" not in page
    for path, kind in (("/page.js", "javascript"), ("/view.css", "css"), ("/report.css", "css"), ("/icon.svg", "svg")):
        assert path in page
        answer = client.get(path)
        assert answer.status_code == 200 and kind in answer.headers["Content-Type"]
    assert "--paper" in client.get("/report.css").text


def test_every_script_that_is_imported_is_served(client: TestClient):
    for path in (path for path in server.FILES if path.endswith(".js")):
        for line in client.get(path).text.splitlines():
            if line.startswith("import"):
                assert client.get(line.split('"')[1]).status_code == 200


def test_no_script_makes_markup_of_a_text():
    for path in server.PAGE.glob("*.js"):
        text = path.read_text("utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "Function(",
            ".href =",
            ".src =",
        ):
            assert word not in text, f"{path.name}: {word}"


def test_from_runs_to_a_candidate(client: TestClient):
    assert get(client, "runs")[0]["step"] == 6
    assert {panel["title"] for panel in get(client, "figures", run=0)["panels"]} >= {"Loss", "Chosen, by source"}
    assert get(client, "samples", run=0)["steps"] == [[1, 6]]
    pool = get(client, "pools", run=0, step=3)["pools"][2]
    told = get(client, "pool", run=0, step=3, pool=pool["key"])
    assert told["document"] == "d3-2" and len(told["candidates"]) == 4
    parts = get(client, "difference", run=0, step=3, pool=pool["key"], candidate=1)["parts"]
    assert ["gone", "suffix 0 "] in parts and ["new", "rewrite 1 "] in parts
    hits = get(client, "search", run=0, text="rewrite 1", role="chosen", axis="quality", low="0.1")["hits"]
    assert len(hits) == 18 and hits[0]["key"] == get(client, "pools", run=0, step=1)["pools"][0]["key"]


def test_figures_without_a_run_are_none(client: TestClient):
    assert get(client, "figures") == {"x": {}, "panels": []}


@pytest.mark.parametrize(
    ("name", "words", "code", "said"),
    [
        ("samples", {}, 400, "run must be a whole number"),
        ("samples", {"run": 1}, 400, "there is no run 1"),
        ("figures", {"run": "-1"}, 400, "run must be a whole number"),
        ("pools", {"run": 0, "step": "x"}, 400, "step must be a whole number"),
        ("pools", {"run": 0, "step": 77}, 404, "steps 1 to 6 are recorded"),
        ("pool", {"run": 0, "step": 1, "pool": "0" * 16}, 404, "no such pool"),
        ("search", {"run": 0, "low": "nan"}, 400, "low must be a number"),
        ("search", {"run": 0, "high": "1e999"}, 400, "high must be a number"),
        ("search", {"run": 0, "text": "x" * 2_000}, 400, "at most 1000"),
        ("search", {"run": 0, "place": "/etc/passwd:0:0"}, 400, "search again"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_why(
    client: TestClient, name: str, words: dict[str, Any], code: int, said: str
):
    assert said in get(client, name, code, **words)["error"]


def test_a_file_whose_texts_are_damaged_is_named(client: TestClient, run: Path):
    path = run / "samples" / "step-00000004-00000006.rank-0000.parquet"
    whole = write_samples(run, rows([4, 5, 6], documents=200, text="other " * 50)).read_bytes()
    start = len(whole) // 2
    path.write_bytes(whole[:start] + bytes(4096) + whole[start + 4096 :] if len(whole) > 2 * 4096 else b"PAR1")
    told = get(client, "samples", run=0)
    if told["torn"]:
        assert path.name in told["torn"][0]
    else:
        assert path.name in get(client, "search", run=0, text="other")["torn"][0]


def test_hostile_texts_are_data(tmp_path: Path):
    evil = {
        "corpus": EVIL,
        "document": EVIL,
        "source": EVIL,
        "author": EVIL,
        "words": EVIL,
        "prefix": EVIL,
        "text": EVIL,
    }
    verdicts = json.dumps({EVIL: 0.5, "quality": {"abstained": EVIL}})
    write_run(tmp_path / "run", steps=2)
    write_samples(tmp_path / "run", [row(3, "", k, verdicts=verdicts, **evil) for k in range(2)])
    client = TestClient(application([WatchedRun(tmp_path / "run", EVIL)]), base_url=HOME)
    listed = client.get("/data/pools", params={"run": 0, "step": 3})
    assert listed.text.isascii() and listed.headers["Content-Type"] == "application/json"
    pool = client.get("/data/pool", params={"run": 0, "step": 3, "pool": listed.json()["pools"][0]["key"]}).json()
    assert pool["prefix"]["text"] == EVIL and pool["candidates"][0]["text"]["text"] == EVIL
    assert len(get(client, "search", run=0, text=EVIL)["hits"]) == 2
    assert len(get(client, "search", run=0, axis=EVIL, low="0.4")["hits"]) == 2
    assert get(client, "search", run=0, source=EVIL)["hits"][0]["source"] == get(client, "samples", run=0)["sources"][0]


def test_numbers_that_are_not_finite_are_none(tmp_path: Path):
    write_run(tmp_path, steps=2)
    write_samples(tmp_path, [row(3, "d", 0, total=float("nan"), verdicts='{"quality": NaN, "safety": Infinity}')])
    client = TestClient(application([WatchedRun(tmp_path, "run")]), base_url=HOME)
    pool = get(client, "pools", run=0, step=3)["pools"][0]
    told = get(client, "pool", run=0, step=3, pool=pool["key"])["candidates"][0]
    assert told["total"] is None and [said["value"] for said in told["verdicts"]] == [None, None]


@dataclass
class Served:
    address: str
    thread: threading.Thread
    servers: list[uvicorn.Server]

    def stop(self) -> None:
        self.servers[0].should_exit = True
        self.thread.join(10)


@pytest.fixture
def served(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    listening = socket.create_server(("127.0.0.1", 0))
    build, servers = uvicorn.Server, list[uvicorn.Server]()

    def kept(config: uvicorn.Config) -> uvicorn.Server:
        servers.append(build(config))
        return servers[0]

    monkeypatch.setattr(server, "PACE", 0.1)
    monkeypatch.setattr(uvicorn, "Server", kept)
    thread = threading.Thread(target=serve, args=([WatchedRun(run, "run")], listening))
    thread.start()
    here = Served(f"http://127.0.0.1:{listening.getsockname()[1]}", thread, servers)
    yield here
    here.stop()
    listening.close()


def test_what_a_run_writes_is_told_while_it_writes(served: Served, run: Path):
    told: list[Any] = []
    with httpx.stream("GET", f"{served.address}/data/changes", timeout=10) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                if len(told) == 1:
                    write_lines(run / "metrics.jsonl", [metrics(7)], "a")
                elif len(told) == 2:
                    os.replace(write_samples(run.parent / "elsewhere", rows([7])), run / "samples" / NAME)
                else:
                    break
    assert told == [{"run": 0, "samples": True}, {"run": 0, "samples": False}, {"run": 0, "samples": True}]


def test_a_server_that_is_to_end_ends_though_a_page_listens(served: Served):
    with httpx.stream("GET", f"{served.address}/data/changes", timeout=10) as stream:
        assert next(stream.iter_lines()).startswith("retry")
        began = time.monotonic()
        served.stop()
        assert not served.thread.is_alive() and time.monotonic() - began < 1.5  # uvicorn itself would wait for 3
