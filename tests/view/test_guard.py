"""Who is answered: the reader's own page and nobody else."""

import pytest
from starlette.testclient import TestClient
from tests.view.conftest import HOME

from tutelage.view import application

PATHS = ("/", "/page.js", "/data/runs", "/none")


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:9", "127.0.0.1"])
def test_the_loopbacks_names_are_answered_at_any_port(client: TestClient, host: str):
    assert client.get("/data/runs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.",
        "",
        "evil@127.0.0.1",
        "0.0.0.0:8765",
        "127.0.0.1:8765:1",
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_strangers_name_that_points_here_is_refused(client: TestClient, host: str, path: str):
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 403 and "does not answer to that name" in answer.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost:8765"])
def test_a_page_of_another_origin_is_refused(client: TestClient, origin: str):
    assert client.get("/data/runs", headers={"Origin": origin}).status_code == 403


def test_our_own_page_is_answered(client: TestClient):
    own = {"Origin": HOME, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert client.get("/data/runs", headers=own).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_fetches_is_refused_but_a_link_to_the_page_may_be_followed(client: TestClient, site: str):
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/data/runs", headers=link).status_code == 403
    assert client.get("/", headers=link | {"Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert client.get("/data/runs", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_foreign_scripts_frames_and_guesses(client: TestClient, path: str):
    for headers in ({}, {"Host": "evil.example"}):
        found = client.get(path, headers=headers).headers
        policy = found["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "require-trusted-types-for 'script'" in policy
        assert found["X-Content-Type-Options"] == "nosniff" and found["X-Frame-Options"] == "DENY"
        assert found["Cross-Origin-Resource-Policy"] == "same-origin" and found["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in found


def test_a_name_that_was_given_is_answered_and_no_other():
    client = TestClient(application([], ["Machine.example"]), base_url="http://machine.example:80")
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"Host": "other.example"}).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(client: TestClient, method: str):
    assert client.request(method, "/data/runs").status_code == 405


@pytest.mark.parametrize(
    "path", ["/%2e%2e/run.yaml", "/page/..%2f..%2fserver.py", "/server.py", "/index.html", "/data/"]
)
def test_no_name_in_a_request_reaches_the_disk(client: TestClient, path: str):
    assert client.get(path).status_code == 404
