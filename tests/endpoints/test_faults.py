"""Servers that misbehave: no wrong verdict, none lost, none counted twice, and a reason where there is none."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest
from tests.endpoints.conftest import QUICK, Make
from tests.endpoints.fault_server import TRANSIENT, FaultServer, answer_to
from tests.endpoints.proof import prompts, prove

from tutelage.endpoints import ENDING, LEDGER, Ended, FatalForRun, balancing, call_back
from tutelage.endpoints.balancing import preference
from tutelage.endpoints.errors import KeyRefused, ModelChanged, ModelMissing, Unreachable, WrongServer
from tutelage.judges.asking import understand
from tutelage.metrics import Sum
from tutelage.prompts import QualityPrompt
from tutelage.protocols import Prompt, TextModel, TextModelSpec
from tutelage.types import Absent, Abstained


def counted(name: str, role: str = "judge.quality") -> float:
    metric = LEDGER.take_metrics()[f"{name}/{role}"]
    assert isinstance(metric, Sum)
    return metric.total


def test_a_fifth_of_faults_changes_no_answer(endpoint: Make):
    found = prove(endpoint, 300, 0.2)
    assert (found["wrong"], found["lost"], found["double"]) == (0, 0, 0)
    assert found["fault_rate"] > 0.12 and found["peak_mb"] < 100


@pytest.mark.slow
def test_ten_thousand_requests_through_a_fifth_of_faults_change_no_answer(endpoint: Make):
    found = prove(endpoint, 10_000, 0.2)
    assert (found["wrong"], found["lost"], found["double"]) == (0, 0, 0)
    assert found["fault_rate"] > 0.17 and found["peak_mb"] < 100


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_costs_an_attempt_and_no_answer(server: FaultServer, endpoint: Make, fault: str):
    server.faults, server.rate = (fault,), 0.5
    model = endpoint(server, requests=replace(QUICK, retries=16, timeout_s=0.15, trip_after=50))
    assert model.answer(prompts(12), range(12)) == [answer_to(p.user, i) for i, p in enumerate(prompts(12))]
    assert server.counts[fault] > 1


REASONS = {
    "hang": "no whole answer within 0.1 s",
    "drip": "no whole answer within 0.1 s",
    "reset": "RemoteProtocolError|ReadError",
    "refuse": "RemoteProtocolError|ReadError",
    "busy": "answered 429: 'too much'",
    "error": "answered 503: 'too much'",
    "torn": "no whole JSON",
    "short": "RemoteProtocolError|ReadError",
    "malformed": "choice without text|without its one choice|ended by",
    "html": "'text/html' in place of JSON",
    "empty": "an empty answer",
    "huge": r"more than 100000 bytes \(max_answer_bytes\)",
    "two_choices": "without its one choice",
    "aborted": "ended by 'abort'",
}


@pytest.mark.parametrize("fault", REASONS)
def test_a_fault_that_stays_ends_as_an_abstention_with_its_reason(server: FaultServer, endpoint: Make, fault: str):
    server.faults = (fault,)
    model = endpoint(server, requests=replace(QUICK, timeout_s=0.1))
    for answer in model.answer(prompts(4), range(4)):
        verdict = understand(answer, QualityPrompt().parse)
        assert isinstance(verdict, Abstained) and not verdict.refused
        assert verdict.reason.startswith("no answer: given up after 3 attempts, the last: ")
        assert any(reason in verdict.reason.replace("\\", "") for reason in REASONS[fault].replace("\\", "").split("|"))


@pytest.mark.parametrize(
    ("fault", "reason", "refused"),
    [
        ("too_long", "no answer: the prompt does not fit into the model's context", False),
        ("filtered", "refused: the server's content filter", True),
        ("other_language", "no verdict: 'Die zweite", False),
    ],
)
def test_what_no_repetition_can_mend_is_not_repeated(
    server: FaultServer, endpoint: Make, fault: str, reason: str, refused: bool
):
    server.faults = (fault,)
    (answer,) = endpoint(server).answer(prompts(1), [0])
    verdict = understand(answer, QualityPrompt().parse)
    assert isinstance(verdict, Abstained) and verdict.reason.startswith(reason) and verdict.refused is refused
    assert server.counts["requests"] == 1


@pytest.mark.parametrize("ids", ["ours", "own"])
def test_an_answer_that_comes_twice_is_not_taken_for_the_next_ones(server: FaultServer, endpoint: Make, ids: str):
    server.faults, server.rate, server.ids = ("duplicate",), 0.5, ids
    model = endpoint(server, requests=replace(QUICK, concurrency=1, retries=9))
    assert model.answer(prompts(20), range(20)) == [answer_to(p.user, i) for i, p in enumerate(prompts(20))]


@pytest.mark.parametrize("ids", ["own", "one", "none"])
def test_servers_may_name_their_answers_as_they_like(endpoint: Make, ids: str):
    with FaultServer() as one, FaultServer() as other:
        one.ids = other.ids = ids
        asked = prompts(60)
        model = endpoint(one, other, requests=replace(QUICK, concurrency=2))
        assert model.answer(asked, range(60)) == [answer_to(p.user, i) for i, p in enumerate(asked)]
        assert one.counts["requests"] + other.counts["requests"] <= 62


def later(seconds: float, act: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_while_every_server_is_down_it_waits_and_says_so(
    server: FaultServer, endpoint: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(balancing, "TELL_AFTER_S", 0.05)
    model = endpoint(server, requests=replace(QUICK, retries=3, trip_after=2))
    model.answer(prompts(1), [0])
    server.die()
    later(0.6, server.start)
    with caplog.at_level(logging.WARNING):
        answers = model.answer(prompts(8), range(8))
    assert answers == [answer_to(p.user, i) for i, p in enumerate(prompts(8))]
    told = [record.getMessage() for record in caplog.records]
    assert any("every server of judge.quality is down: waiting" in line for line in told)
    assert any("a server of judge.quality is back after" in line for line in told)
    assert counted("seconds_down") > 0.1


def test_another_server_takes_over_from_one_that_dies(server: FaultServer, endpoint: Make):
    def die_at_work() -> None:
        while server.counts["requests"] < 10:
            time.sleep(0.002)
        server.die()

    with FaultServer() as other:
        model = endpoint(server, other, requests=replace(QUICK, trip_after=2))
        server.delay_s = other.delay_s = 0.03
        later(0.0, die_at_work)
        asked = prompts(150)
        assert model.answer(asked, range(150)) == [answer_to(p.user, i) for i, p in enumerate(asked)]
        assert other.counts["none"] + server.counts["none"] >= 150 and other.counts["none"] > 0


def test_an_address_where_nobody_ever_answers_stops_the_run(endpoint: Make):
    model = endpoint("http://127.0.0.1:9/v1")
    with pytest.raises(Unreachable, match=r"no server of judge.quality has answered for 0 s \(http://127.0.0.1:9/v1: "):
        model.answer(prompts(1), [0])


def test_a_wait_that_was_given_an_end_stops_the_run(server: FaultServer, endpoint: Make):
    model = endpoint(server, requests=replace(QUICK, trip_after=1, max_wait_s=0.1))
    model.answer(prompts(1), [0])
    server.die()
    with pytest.raises(Unreachable, match="start one or mend the addresses"):
        model.answer(prompts(3), range(3))


def test_a_request_to_end_ends_the_wait_for_a_server_that_is_down(server: FaultServer, endpoint: Make):
    model = endpoint(server, requests=replace(QUICK, trip_after=1))
    model.answer(prompts(1), [0])
    server.die()
    later(0.1, ENDING.set)
    began = time.monotonic()
    with pytest.raises(Ended, match=r"asked to end while it waited for a server of judge\.quality"):
        model.answer(prompts(2), range(2))
    assert time.monotonic() - began < 3


def test_who_waits_for_answers_that_are_called_back_is_told_so(server: FaultServer, endpoint: Make):
    server.delay_s = 20.0
    model = endpoint(server, requests=replace(QUICK, timeout_s=60.0))
    later(0.1, call_back)
    with pytest.raises(CancelledError):
        model.answer(prompts(2), range(2))
    server.delay_s = 0.0
    assert model.answer(prompts(1), [0]) == [answer_to("Question 0", 0)]


def test_what_stopped_a_run_is_looked_at_again_by_the_next(server: FaultServer, endpoint: Make):
    model = endpoint(server, model="other", requests=replace(QUICK, trip_after=1))
    with pytest.raises(ModelMissing):
        model.answer(prompts(1), [0])
    server.model = server.answers_as = "other"
    assert model.answer(prompts(1), [0]) == [answer_to("Question 0", 0)]


def test_each_wait_has_its_own_end(endpoint: Make):
    model = endpoint("http://127.0.0.1:9/v1")
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(Unreachable):
            model.answer(prompts(1), [0])
        assert time.monotonic() - began > 0.25


@pytest.mark.parametrize("path", ["/page", "", "/v2"])
def test_a_wrong_path_stops_the_run(server: FaultServer, endpoint: Make, path: str):
    with pytest.raises(WrongServer, match="the address should end where chat/completions follows, mostly in /v1"):
        endpoint(server.url.removesuffix("/v1") + path).answer(prompts(1), [0])


def test_a_model_that_the_server_does_not_have_stops_the_run_and_names_those_it_has(
    server: FaultServer, endpoint: Make
):
    with pytest.raises(ModelMissing, match="does not have the model 'other'; it has judge"):
        endpoint(server, model="other").answer(prompts(1), [0])


def test_a_context_that_the_answer_alone_would_fill_stops_the_run(server: FaultServer, endpoint: Make):
    server.listed = {"max_model_len": 512}
    with pytest.raises(FatalForRun, match=r"takes 512 tokens .*lower the prompt's max_new_tokens"):
        endpoint(server).answer(prompts(1), [0])


def test_another_model_that_answers_under_the_same_name_stops_the_run(server: FaultServer, endpoint: Make):
    model = endpoint(server)
    model.answer(prompts(1), [0])
    server.answers_as = "judge-2"
    with pytest.raises(ModelChanged, match=r"'judge' until now and as 'judge-2' from now on"):
        model.answer(prompts(2), range(2))


def test_a_server_that_returns_with_another_model_stops_the_run(server: FaultServer, endpoint: Make):
    server.listed = {"root": "/models/first"}
    model = endpoint(server, requests=replace(QUICK, trip_after=1))
    model.answer(prompts(1), [0])
    server.die()
    server.listed = {"root": "/models/second"}
    later(0.1, server.start)
    with pytest.raises(ModelChanged, match=r"judge \(first\).*judge \(second\)"):
        model.answer(prompts(4), range(4))


def test_two_servers_of_one_role_must_have_the_same_model(server: FaultServer, endpoint: Make):
    server.listed = {"root": "/models/first"}
    with FaultServer(listed={"root": "/models/second"}) as other, pytest.raises(ModelChanged):
        endpoint(server, other).check()


def test_the_key_is_sent_and_stands_nowhere_else(
    server: FaultServer, endpoint: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("TEACHER_KEY", "s3cret-s3cret")
    server.key = "s3cret-s3cret"
    with caplog.at_level(logging.DEBUG):
        model = endpoint(server, key_variable="TEACHER_KEY")
        assert model.answer(prompts(1), [0]) == [answer_to("Question 0", 0)]
        server.key = "another"
        with pytest.raises(KeyRefused, match="key_variable") as failure:
            model.answer(prompts(2), range(2))
    shown = "".join(map(repr, [failure.value, model, model._spec, model._pool._servers, vars(model._pool)]))  # pyright: ignore[reportPrivateUsage]
    assert "s3cret" not in shown + str(failure.value) + caplog.text


def test_a_key_that_is_not_set_is_missed_before_anything_is_sent(server: FaultServer, endpoint: Make):
    with pytest.raises(FatalForRun, match="environment variable NO_SUCH_KEY is not set"):
        endpoint(server, key_variable="NO_SUCH_KEY")


def test_a_server_that_asks_to_be_left_alone_is_left_alone(server: FaultServer, endpoint: Make):
    server.faults, server.retry_after = ("busy",), "0.3"
    later(0.05, lambda: setattr(server, "faults", ()))
    began = time.monotonic()
    assert endpoint(server, requests=replace(QUICK, concurrency=1)).answer(prompts(1), [0]) == [
        answer_to("Question 0", 0)
    ]
    assert time.monotonic() - began > 0.28 and server.counts["busy"] == 1


def test_a_slow_request_is_sent_a_second_time_and_the_first_answer_counts(server: FaultServer, endpoint: Make):
    model = endpoint(server, requests=replace(QUICK, hedge=0.2, timeout_s=60.0))
    model.answer(prompts(64), range(64))
    server.faults, server.at = ("hang",), frozenset({80})
    asked = prompts(200)
    began = time.monotonic()
    assert model.answer(asked, range(200)) == [answer_to(p.user, i) for i, p in enumerate(asked)]
    assert server.counts["hang"] == 1 and time.monotonic() - began < 60
    assert counted("hedged") <= 0.2 * 264 + 1


def test_no_more_are_out_at_a_server_than_it_takes(server: FaultServer, endpoint: Make):
    server.delay_s = 0.01
    endpoint(server, requests=replace(QUICK, concurrency=5)).answer(prompts(40), range(40))
    assert server.most_in_flight == 5


def test_a_document_stays_with_its_server(server: FaultServer, endpoint: Make):
    with FaultServer() as other:
        server.delay_s = other.delay_s = 0.005
        urls = (server.url, other.url)
        of_each = [[d for d in map(str, range(40)) if preference(d, urls)[0] == i][:3] for i in range(2)]
        asked = [Prompt("", f"{d} {n}", document=d) for home in of_each for d in home for n in range(8)]
        endpoint(server, other).answer(asked, range(48))
        seen = [[request.prompt.split()[0] for request in one.asked] for one in (server, other)]
        at_home = sum(document in home for home, asked in zip(of_each, seen, strict=True) for document in asked)
        assert at_home > 0.75 * 48  # a server that is held up gives some away


def test_answers_are_told_as_they_come(server: FaultServer, endpoint: Make):
    server.faults, server.rate = ("hang",), 0.0
    server.delay_s = 0.02
    model = endpoint(server, requests=replace(QUICK, concurrency=2))
    stream = model.stream(prompts(50), range(50))
    assert next(stream)[1] is not None
    assert isinstance(stream, Generator)
    stream.close()
    time.sleep(0.1)
    assert server.counts["requests"] < 20


def test_the_protocols_are_met(server: FaultServer, endpoint: Make):
    model = endpoint(server)
    assert isinstance(model, TextModel) and isinstance(model._spec, TextModelSpec)  # pyright: ignore[reportPrivateUsage]
    assert model.name == "judge"
    assert model.answer([], []) == []
    assert isinstance(Absent("judge", "x"), Absent)
