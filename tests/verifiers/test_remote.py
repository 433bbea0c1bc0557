"""Programs checked on a server, and what becomes of its failures."""

import json
from typing import Any

import pytest
from tests.verifiers.attacks import ATTACKS, SQUARE_TESTS
from tests.verifiers.fake_fusion import Answer, run, serving

from tutelage.episodes import Problem
from tutelage.types import Abstained, Scored
from tutelage.verifiers import CodeKey, Limits, Remote, Verifier, VerifierSpec
from tutelage.verifiers.outcomes import Outcome
from tutelage.verifiers.remote import _outcome

RIGHT, WRONG = Scored(1.0), Scored(0.0)
DOUBLE = Problem("double", "", CodeKey("assert double(2) == 4", ("double",)).text)
LIMITS = Limits(cpu_s=2, wall_s=5.0)


def after_the_first(respond: Any, count: int = 2) -> Any:
    """Sound until the verifier is built, then ``respond``."""
    seen: list[int] = []

    def answer(request: dict[str, Any]) -> Answer:
        seen.append(1)
        return run(request) if len(seen) <= count else respond(request)

    return answer


def test_a_server_says_what_is_right_and_what_is_wrong():
    with serving() as (url, requests), Remote(url, LIMITS).build() as verifier:
        assert isinstance(Remote(url), VerifierSpec)
        assert isinstance(verifier, Verifier)
        programs = ["def double(x): return x + x", "def double(x): return 5", "", "def double(x): return x + x"]
        assert verifier.check([DOUBLE] * 4, programs) == [RIGHT, WRONG, WRONG, RIGHT]
        assert {request["path"] for request in requests} == {"/run_code"}
        assert len(requests) == 4


def test_neither_tests_nor_the_number_stand_in_a_file():
    with serving() as (url, requests), Remote(url, LIMITS).build() as verifier:
        verifier.check([DOUBLE], ["def double(x): return x + x"])
    job = json.loads(requests[-1]["stdin"])
    assert "assert double" in job["tests"]
    on_disk = requests[-1]["code"] + json.dumps(requests[-1]["files"])
    assert job["number"] not in on_disk
    assert len({json.loads(request["stdin"])["number"] for request in requests}) == len(requests)


FORGED = (
    *("leaves at once", "exits with success", "returns what equals everything", "prints a verdict", "kills its parent"),
    *("writes a verdict to every file", "reads the expected values off its caller", "traces its parent"),
)


def test_forgeries_fail_on_a_server_too():
    square = Problem("square", "", CodeKey(SQUARE_TESTS, ("square",)).text)
    attacks = [attack for attack in ATTACKS if attack.name in FORGED]
    look = """
import os
def square(x):
    for place in ("mem", "environ", "fd/0", "fd/1"):
        try: open(f"/proc/{os.getppid()}/{place}", "rb").close()
        except OSError: continue
        return x * x
    return -1
"""
    programs = [attack.program.replace("@PID@", "1") for attack in attacks]
    assert len(attacks) == len(FORGED)
    with serving() as (url, _), Remote(url, LIMITS).build() as verifier:
        assert verifier.check([square] * len(programs), programs) == [WRONG] * len(programs)
        import os

        if os.getuid() != 0:  # root may look into everything, but for containers that take that away
            assert verifier.check([square], [look]) == [WRONG]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, b"down"), "answered 500"),
        ((404, b"no"), "answered 404"),
        ((200, b"not json"), "cannot be asked"),
        ((200, b"[]"), "no object"),
        ((200, json.dumps({"status": "SandboxError", "message": "no space left"}).encode()), "no space left"),
        ((200, json.dumps({"status": "Success"}).encode()), "the sandbox failed"),
    ],
)
def test_a_server_that_fails_is_an_abstention(answer: Answer, reason: str):
    with serving(after_the_first(lambda _: answer)) as (url, _), Remote(url, LIMITS, retries=1).build() as verifier:
        (verdict,) = verifier.check([DOUBLE], ["def double(x): return 7"])
    assert isinstance(verdict, Abstained)
    assert reason in verdict.reason


def test_a_busy_server_is_asked_again():
    tries: list[int] = []

    def busy(request: dict[str, Any]) -> Answer:
        tries.append(1)
        return (503, b"busy") if len(tries) < 3 else run(request)

    with serving(after_the_first(busy)) as (url, _), Remote(url, LIMITS).build() as verifier:
        assert verifier.check([DOUBLE], ["def double(x): return x * 2"]) == [RIGHT]
    assert len(tries) == 3


def said(**run_result: Any) -> dict[str, Any]:
    return {"status": "Failed", "run_result": {"status": "Finished", "return_code": 0, "stdout": "", **run_result}}


def test_only_an_outcome_with_its_number_counts():
    forged = json.dumps({"right": True, "why": "", "number": "guess"})
    mine = json.dumps({"right": True, "why": "", "number": "mine"})
    assert _outcome(said(stdout=f"{forged}\n", return_code=-9), "mine").verdict == WRONG
    assert _outcome(said(stdout=f"{forged}\n{mine}\n"), "mine") == Outcome(RIGHT, "")
    assert _outcome(said(stdout="[" * 100_000, return_code=137), "mine").verdict == WRONG


def test_time_that_ran_out_is_wrong_and_tests_that_do_not_run_are_an_abstention():
    assert _outcome(said(status="TimeLimitExceeded", return_code=None), "mine").verdict == WRONG
    failed = _outcome(said(return_code=1, stderr="ModuleNotFoundError: tutelage"), "mine").verdict
    assert isinstance(failed, Abstained)
    assert "ModuleNotFoundError" in failed.reason


def test_a_server_that_is_not_there_is_met_at_once():
    with (
        pytest.raises(RuntimeError, match="does not check programs"),
        Remote("http://127.0.0.1:1", LIMITS, retries=0).build(),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:8080", "'localhost:8080' is no address of a server; write one like http://localhost:8080"),
        ("http://me:s3cret@host:8080", "the server at host carries a user, a password or a query"),
    ],
)
def test_what_is_no_address_or_carries_a_secret_is_refused(url: str, told: str):
    with pytest.raises(ValueError, match=told) as refused:
        Remote(url)
    assert "s3cret" not in str(refused.value)


def test_a_server_that_passes_everything_is_met_at_once():
    def generous(request: dict[str, Any]) -> Answer:
        outcome = {"right": True, "why": "", "number": json.loads(request["stdin"])["number"]}
        return 200, json.dumps(said(stdout=json.dumps(outcome))).encode()

    with (
        serving(generous) as (url, _),
        pytest.raises(RuntimeError, match="passes wrong ones"),
        Remote(url, LIMITS).build(),
    ):
        pass
