"""Prompts to requests and responses to replies, in the form that OpenAI-compatible servers share.

Servers are untrusted: a response counts only where it is whole, is the answer to this very request, and holds a choice
that ended as an answer ends.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.endpoints.errors import FatalForSample, OutOfStep, Retryable, WrongServer
from tutelage.prompts import defuse, plain_text, quote
from tutelage.protocols import Prompt

Api = Literal["chat", "completions"]
Prefill = Literal["ask", "message", "continue"]
Choices = Literal["none", "structured_outputs", "guided_choice"]
LabelScoring = Literal["likeliest", "token_ids"]

PATHS: dict[Api, str] = {"chat": "chat/completions", "completions": "completions"}
CONTROL = (
    *("<s>", "</s>", "<bos>", "<eos>", "<pad>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    *("<start_of_turn>", "<end_of_turn>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<think>", "</think>"),
)
"""Spellings of control tokens without bars; all between ``<|`` and ``|>`` is one."""
_BARRED = re.compile(r"<([|｜])(?=[^|｜\n]{1,40}[|｜]>)")
_OURS = re.compile(r"tut-[0-9a-f]{12}-\d+")


@dataclass(frozen=True, slots=True)
class Style:
    """What decides an answer besides its prompt and seed; part of the cache's key."""

    model: str
    api: Api
    temperature: float
    top_p: float
    prefill: Prefill
    choices: Choices


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that was read and found sound."""

    text: str
    id: str
    model: str
    """What the server says answered; empty where it does not say."""
    prompt_tokens: int | None
    answer_tokens: int | None
    first: tuple[tuple[str, float], ...] = ()
    """The likeliest first tokens with their log-probabilities, where they were asked for."""
    cut: bool = False
    """Whether the answer ended at ``max_tokens`` and not by itself."""


def safe(text: str) -> str:
    """``text`` in which no spelling of a control token stands whole; servers read those in a user's words too."""
    return defuse(_BARRED.sub(r"< \1", text), CONTROL)


def payload(style: Style, prompt: Prompt, seed: int, *, labels: bool = False, token_ids: Sequence[int] = ()) -> bytes:
    """The body of a request; with ``labels`` for the probabilities of the first token alone, or of ``token_ids``."""
    body: dict[str, Any] = {
        "model": style.model,
        "max_tokens": 1 if labels else prompt.max_new_tokens,
        "temperature": style.temperature,
        "top_p": style.top_p,
        "seed": seed % 2**31,  # what every server takes
        "stream": False,
    }
    if style.api == "completions":
        body["prompt"] = safe(plain_text(prompt, ()))
        body |= {"logprobs": 20} if labels else {}
    else:
        body["messages"] = _messages(prompt)
        body |= {"logprobs": True, "top_logprobs": 20} if labels else {}
        body |= _prefilled(body["messages"], prompt, style.prefill)
    body |= {"logprob_token_ids": list(token_ids)} if labels and token_ids else {}
    if prompt.choices and not labels:
        offered = list(prompt.choices)
        if style.choices == "structured_outputs":
            body["structured_outputs"] = {"choice": offered}
        elif style.choices == "guided_choice":
            body["guided_choice"] = offered
    return json.dumps(body, separators=(",", ":")).encode()


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    system = [{"role": "system", "content": safe(prompt.system)}] if prompt.system else []
    said = [
        {"role": role, "content": safe(text)}
        for pair in prompt.before
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*system, *said, {"role": "user", "content": safe(prompt.user)}]


def _prefilled(messages: list[dict[str, str]], prompt: Prompt, prefill: Prefill) -> dict[str, Any]:
    """Put the forced start of the answer behind ``messages``, and return the flags that this needs."""
    start = safe(prompt.answer_start)
    if not start:
        return {}
    if prefill == "ask":
        messages[-1]["content"] += f"\n\nBegin your answer with these words: {start}"
        return {}
    messages.append({"role": "assistant", "content": start})
    return {"continue_final_message": True, "add_generation_prompt": False} if prefill == "continue" else {}


def read(body: bytes, api: Api, request: str) -> Reply:
    """The reply that ``body`` holds to ``request``.

    Raises:
        Retryable: it is torn, of another form, another request's, or its only choice did not end as an answer does.
        FatalForSample: the server withheld the answer.
    """
    plain = whole_object(body)
    require_own(plain, request)
    choices: Any = plain.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Retryable(f"a response without its one choice: {quote(body[:200].decode('utf-8', 'replace'))}")
    choice: dict[str, Any] = choices[0]
    text, first = _text(choice, api), _first(choice.get("logprobs"), api)
    _check_end(choice.get("finish_reason"), is_empty=not text.strip() and not first)
    usage: Any = plain.get("usage")
    counts: dict[str, Any] = usage if isinstance(usage, dict) else {}
    return Reply(
        text,
        str(plain.get("id") or ""),
        str(plain.get("model") or ""),
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
        first,
        cut=choice.get("finish_reason") == "length",
    )


def require_own(plain: Mapping[str, Any], request: str) -> None:
    """Refuse an answer that names another request than its own.

    Raises:
        OutOfStep: it does.
    """
    mark = _OURS.search(str(plain.get("id", "")))
    if mark is not None and mark[0] != request:
        raise OutOfStep("the answer to another request came back", computed=True)


def whole_object(body: bytes) -> dict[str, Any]:
    """The object that a response is.

    Raises:
        Retryable: it is torn, or none.
    """
    try:
        plain: Any = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        told = quote(body[:200].decode("utf-8", "replace"))
        raise Retryable(f"a response that is no whole JSON: {told}", computed=True) from error
    if not isinstance(plain, dict):
        raise Retryable(f"a response that is no object: {quote(str(plain)[:200])}", computed=True)
    return plain


def _text(choice: dict[str, Any], api: Api) -> str:
    if api == "completions":
        text: Any = choice.get("text")
    else:
        message: Any = choice.get("message")
        content: Any = message.get("content") if isinstance(message, dict) else None
        text = "" if content is None else content
        if isinstance(message, dict) and message.get("refusal"):
            raise FatalForSample(f"refused: {quote(str(message['refusal']))}", computed=True)
    if not isinstance(text, str):
        raise Retryable("a choice without text", computed=True)
    return text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair can be kept nowhere


def _check_end(finish: Any, *, is_empty: bool) -> None:
    if finish == "content_filter":
        raise FatalForSample("refused: the server's content filter", computed=True)
    if finish not in ("stop", "length", "eos"):
        raise Retryable(f"a choice that ended by {str(finish)[:40]!r}", computed=True)
    if is_empty:  # but where probabilities were asked for, whatever token was drawn
        raise Retryable("an empty answer", blames=False, computed=True)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None


def _first(logprobs: Any, api: Api) -> tuple[tuple[str, float], ...]:
    if not isinstance(logprobs, dict):
        return ()
    try:
        if api == "completions":
            entries = list(logprobs["top_logprobs"][0].items())
        else:
            entries = [(e["token"], e["logprob"]) for e in logprobs["content"][0]["top_logprobs"]]
        found = [(str(token), float(value)) for token, value in entries]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return ()
    return tuple((token, value) for token, value in found if not math.isnan(value) and value <= 1e-3)


def token_request(model: str, text: str) -> bytes:
    """The body by which vLLM tells the tokens of ``text``."""
    return json.dumps({"model": model, "prompt": text, "add_special_tokens": False}).encode()


def read_tokens(body: bytes) -> tuple[int, ...]:
    """The ids in the answer to a ``token_request``.

    Raises:
        Retryable: there are none.
    """
    tokens: Any = whole_object(body).get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise Retryable(f"a response without tokens: {quote(body[:200].decode('utf-8', 'replace'))}")
    return tuple(tokens)


def label_logprobs(first: Sequence[tuple[str, float]], labels: Sequence[str]) -> tuple[float, ...] | None:
    """Log-probability (nats) that the answer begins with each label, spellings in case and space summed.

    A label that is not among the listed tokens gets the most that it can have; ``None`` where no label is listed.
    """
    found = {label: [value for token, value in first if token.strip().lower() == label.lower()] for label in labels}
    if not any(found.values()):
        return None
    rest = max(1.0 - math.fsum(math.exp(value) for _, value in first), 1e-12)
    bound = min(math.log(rest), min(value for _, value in first))
    sums = [math.fsum(math.exp(v) for v in values) for values in found.values()]
    return tuple(math.log(total) if total > 0 else bound for total in sums)


@dataclass(frozen=True, slots=True)
class Listed:
    """The model as a server lists it."""

    identity: str
    """Name, and the last part of the folder that it was loaded from."""
    context: int | None
    """Most tokens of prompt and answer."""
    folder: str = ""
    """Where the server says that it has the model from; most hosted ones do not."""


def listed(body: bytes, model: str, where: str) -> Listed | list[str]:
    """``model`` as the server's list has it, or the names that the list has instead.

    Raises:
        WrongServer: this is no list of models.
    """
    try:
        plain: Any = json.loads(body.decode("utf-8"))
        entries: list[dict[str, Any]] = [e for e in plain["data"] if isinstance(e["id"], str)]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        told = quote(body[:200].decode("utf-8", "replace"))
        raise WrongServer(
            f"{where}/models is no list of models ({told}): is this an OpenAI-compatible server, its address "
            "ending in /v1?"
        ) from error
    for entry in entries:
        if entry["id"] == model:
            folder = str(entry.get("root") or "").rstrip("/")
            root = folder.rpartition("/")[2]
            identity = f"{model} ({root})" if root and root != model else model
            return Listed(identity, _count(entry.get("max_model_len")), folder)
    return [str(entry["id"]) for entry in entries]
