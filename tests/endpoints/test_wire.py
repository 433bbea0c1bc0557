"""What is sent, what is understood, and which settings are refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.endpoints.conftest import Make
from tests.endpoints.fault_server import FaultServer, answer_to

from tutelage.config import from_plain, to_plain
from tutelage.endpoints import Cap, Endpoint, EndpointError, FatalForSample, Retryable
from tutelage.endpoints.balancing import preference
from tutelage.endpoints.errors import FatalForRun, KeyRefused, ModelMissing, WrongServer, of_status, retry_after
from tutelage.endpoints.wire import Style, label_logprobs, listed, payload, read, safe
from tutelage.protocols import LabelModel, Prompt
from tutelage.types import Absent

CHAT = Style("m", "chat", 0.5, 0.9, "ask", "none")
ASKED = Prompt("Rubric.", "Question?", answer_start="So", max_new_tokens=7, choices=("1", "2"))


def sent(style: Style, prompt: Prompt = ASKED, *, labels: bool = False) -> dict[str, Any]:
    return json.loads(payload(style, prompt, 2**63 + 5, labels=labels))


def styled(**changes: Any) -> Style:
    return Style(**{**{name: getattr(CHAT, name) for name in CHAT.__slots__}, **changes})


def test_a_chat_request_says_who_what_and_how_long():
    body = sent(CHAT, Prompt("Rubric.", "Question?", max_new_tokens=7))
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_p"]) == ("m", 7, 0.5, 0.9)
    assert 0 <= body["seed"] < 2**31 and body["stream"] is False and "guided_choice" not in body


def test_what_was_said_before_goes_along_and_cannot_leave_its_turn():
    asked = Prompt("Rubric.", "Again?", before=(("Question?", "Five.<|im_end|>"),))
    messages = sent(CHAT, asked)["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in messages[1:]] == ["Question?", "Five.< |im_end|>", "Again?"]
    assert "Question?\n\nFive" in sent(styled(api="completions"), asked)["prompt"]


@pytest.mark.parametrize(
    ("prefill", "last", "flags"),
    [
        ("ask", {"role": "user", "content": "Question?\n\nBegin your answer with these words: So"}, {}),
        ("message", {"role": "assistant", "content": "So"}, {}),
        ("continue", {"role": "assistant", "content": "So"}, {"continue_final_message": True}),
    ],
)
def test_an_answer_is_made_to_begin_in_the_way_that_the_server_knows(
    prefill: str, last: dict[str, str], flags: dict[str, bool]
):
    body = sent(styled(prefill=prefill))
    assert body["messages"][-1] == last
    assert {name: body[name] for name in body if name == "continue_final_message"} == flags


def test_choices_are_sent_by_the_field_that_the_server_knows():
    assert sent(styled(choices="structured_outputs"))["structured_outputs"] == {"choice": ["1", "2"]}
    assert sent(styled(choices="guided_choice"))["guided_choice"] == ["1", "2"]


def test_plain_completions_end_where_the_answer_begins():
    body = sent(styled(api="completions"))
    assert body["prompt"] == "Rubric.\n\nQuestion?\n\nAnswer: So" and "messages" not in body


@pytest.mark.parametrize("spelt", ["<|im_start|>", "<｜User｜>", "</s>", "[INST]", "<start_of_turn>", "</think>"])
def test_corpus_text_cannot_spell_a_control_token(spelt: str):
    body = sent(CHAT, Prompt(f"a{spelt}b", f"c{spelt}d", answer_start=f"e{spelt}f"))
    assert spelt not in json.dumps(body, ensure_ascii=False)
    assert safe(f"x {spelt} y").replace(" ", "") == f"x{spelt}y"


@given(st.text(st.characters(exclude_characters="<["), max_size=60))
def test_text_without_control_tokens_is_sent_as_it_stands(text: str):
    assert safe(text) == text


def response(**changes: Any) -> bytes:
    choice = {"message": {"content": "VERDICT: 1"}, "finish_reason": "stop"} | changes.pop("choice", {})
    return json.dumps({"id": "x", "model": "m", "choices": [choice], **changes}).encode()


def test_a_sound_response_is_read():
    reply = read(response(usage={"prompt_tokens": 5, "completion_tokens": True}), "chat", "tut-0")
    assert (reply.text, reply.model, reply.prompt_tokens, reply.answer_tokens) == ("VERDICT: 1", "m", 5, None)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"{", b"\xff\xfe", b'"VERDICT: 1"', b"[" * 100_000, b'{"choices": []}'),
        response(choice={"finish_reason": None}),
        response(choice={"message": None}),
        response(choice={"message": {"content": ["VERDICT: 1"]}}),
        response(choice={"message": {"content": " \n"}}),
        response(choices={"0": {}}),
        response(id="chatcmpl-tut-0123456789ab-7"),
    ],
)
def test_an_unsound_response_is_no_answer(body: bytes):
    with pytest.raises(Retryable):
        read(body, "chat", "tut-0123456789ab-8")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": 3}', b'{"data": [{"name": "m"}]}', b"[" * 100_000])
def test_a_page_is_no_list_of_models(body: bytes):
    with pytest.raises(WrongServer, match="is no list of models"):
        listed(body, "m", "http://a/v1")


@given(st.binary(max_size=80))
def test_no_response_breaks_the_reader(body: bytes):
    with pytest.raises(EndpointError):
        read(body, "chat", "tut-0")


def test_a_refusal_by_the_server_is_a_refusal():
    with pytest.raises(FatalForSample, match=r"^refused: 'I cannot"):
        read(response(choice={"message": {"content": None, "refusal": "I cannot judge it."}}), "chat", "tut-0")


def complaint(message: str, code: str = "") -> bytes:
    return json.dumps({"error": {"message": message, "code": code}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", KeyRefused),
        (403, b"", KeyRefused),
        (402, b"", FatalForRun),
        (429, complaint("quota", "insufficient_quota"), FatalForRun),
        (429, complaint("slow down"), Retryable),
        (404, complaint("The model `x` does not exist"), ModelMissing),
        (404, b"<html>", WrongServer),
        (301, b"", WrongServer),
        (405, b"", WrongServer),
        (400, complaint("bad"), FatalForSample),
        (413, b"", FatalForSample),
        (422, b'{"detail": [1]}', FatalForSample),
        (408, b"", Retryable),
        (500, b"[" * 100_000, Retryable),
        (529, b"", Retryable),
    ],
)
def test_a_status_says_what_is_to_be_done(status: int, body: bytes, kind: type[EndpointError]):
    assert type(of_status(status, {}, body, "http://a/v1", met=False)) is kind


def test_a_page_that_is_not_found_on_a_server_that_answered_before_is_a_proxys():
    assert isinstance(of_status(404, {}, b"<html>", "http://a/v1", met=True), Retryable)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3", 3.0), ("1.5", 1.5), ("99999", 3600.0), ("soon", None), ("", None), ("-3", None)],
)
def test_retry_after_is_read_in_seconds(said: str, seconds: float | None):
    assert retry_after({"retry-after": said}) == seconds


def test_retry_after_as_a_date_counts_from_the_servers_own_clock():
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert retry_after(headers) == 10


def test_labels_that_are_not_listed_get_the_most_that_they_can_have():
    first = [(" 2", math.log(0.6)), ("two", math.log(0.2)), ("2", math.log(0.1))]
    one, two = label_logprobs(first, ("1", "2")) or (0, 0)
    assert two == pytest.approx(math.log(0.7)) and one == pytest.approx(math.log(0.1))
    assert label_logprobs([("x", -0.1)], ("1", "2")) is None and label_logprobs([], ("1",)) is None


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_both_apis_answer_and_tell_labels_without_writing(server: FaultServer, endpoint: Make, api: str):
    model = endpoint(server, api=api)
    assert isinstance(model, LabelModel)
    shown = "Which?" if api == "chat" else "Rubric\n\nWhich?\n\nAnswer:"
    assert model.answer([Prompt("Rubric", "Which?")], [4]) == [answer_to(shown, 4)]
    ((one, two),) = model.label_logprobs([Prompt("Rubric", "Which?")], ("1", "2"))  # pyright: ignore[reportGeneralTypeIssues]
    assert (one, two) == (-1.5, -0.5)
    assert server.asked[-1].body["max_tokens"] == 1
    (none,) = model.label_logprobs([Prompt("Rubric", "Which?")], ("YES", "NO"))
    assert isinstance(none, Absent)


def test_vllm_is_asked_for_the_probabilities_of_the_labels_themselves(server: FaultServer, endpoint: Make):
    server.tokens = {"1": [16], " 1": [220, 16], "2": [17], " 2": [362]}
    model = endpoint(server, label_scoring="token_ids")
    found = model.label_logprobs([Prompt("Rubric", "Which?"), Prompt("Rubric", "And which?")], ("1", "2"))
    assert found == [(-1.5, -0.5)] * 2 and server.counts["tokenized"] == 4
    assert server.asked[-1].body["logprob_token_ids"] == [16, 17, 362] and server.asked[-1].body["max_tokens"] == 1
    assert model.label_logprobs([], ("YES", "NO")) == []
    with pytest.raises(FatalForRun, match="'YES' is no single token"):
        model.label_logprobs([Prompt("Rubric", "Which?")], ("YES", "NO"))


def test_a_server_without_a_tokenizer_route_says_what_to_set(server: FaultServer, endpoint: Make):
    with pytest.raises(FatalForRun, match="label_scoring to 'likeliest'"):
        endpoint(server, label_scoring="token_ids").label_logprobs([Prompt("Rubric", "Which?")], ("1", "2"))


def test_labels_are_weighed_whatever_token_was_drawn():
    listed = {"content": [{"top_logprobs": [{"token": "1", "logprob": -0.5}]}]}
    choice = {"message": {"content": ""}, "finish_reason": "stop", "logprobs": listed}
    assert read(json.dumps({"choices": [choice]}).encode(), "chat", "tut-1").first == (("1", -0.5),)
    with pytest.raises(Retryable, match="an empty answer"):
        read(json.dumps({"choices": [{**choice, "logprobs": None}]}).encode(), "chat", "tut-1")


def test_a_document_moves_only_with_its_server():
    urls = tuple(f"http://{name}/v1" for name in "abcd")
    first = {f"d{i}": urls[preference(f"d{i}", urls)[0]] for i in range(400)}
    shares = [sum(home == url for home in first.values()) for url in urls]
    assert min(shares) > 60
    left = urls[:3]
    assert all(left[preference(d, left)[0]] == home for d, home in first.items() if home in left)


def test_an_endpoint_stands_in_run_yaml():
    spec = Endpoint("judge", ("http://localhost:8000/v1",), role="judge.safety", key_variable="KEY")
    assert from_plain(Endpoint, to_plain(spec)) == spec


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"servers": ()}, "names no server"),
        ({"servers": ("localhost:8000",)}, "no address of a server"),
        ({"servers": ("http://a/v1", "http://a/v1")}, "twice"),
        ({"servers": ("http://me:s3cret@a/v1",)}, "carries a user"),
        ({"servers": ("http://a/v1?key=s3cret",)}, "carries a user, a password or a query"),
        ({"role": "Judge!"}, "role must be one of judge.quality"),
        ({"key_variable": "sk-s3cret"}, "must be the name of an environment variable"),
        ({"top_p": 0}, "top_p"),
        ({"cap": Cap(cost=3.0)}, "no price"),
    ],
)
def test_wrong_settings_are_refused_without_repeating_a_secret(changes: dict[str, Any], told: str):
    whole: dict[str, Any] = {"model": "m", "servers": ("http://a/v1",), "role": "rewriter"}
    with pytest.raises(ValueError, match=told) as failure:
        Endpoint(**whole | changes)
    assert "s3cret" not in str(failure.value)
