"""A text model behind servers, as it stands in a run: ``Endpoint``."""

import json
import queue
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from tutelage.endpoints import background
from tutelage.endpoints.budget import LEDGER
from tutelage.endpoints.cache import Cache, close_caches, key_of, opened
from tutelage.endpoints.client import require_address
from tutelage.endpoints.errors import Retryable
from tutelage.endpoints.pool import Asked, Pool
from tutelage.endpoints.servers import server
from tutelage.endpoints.settings import AnswerCache, Cap, Price, Requests
from tutelage.endpoints.wire import Api, Choices, LabelScoring, Prefill, Reply, Style, label_logprobs
from tutelage.maths.ranges import require
from tutelage.protocols import Answered, Prompt
from tutelage.types import Absent

ROLES = ("judge.quality", "judge.safety", "judge.factuality", "rewriter")
"""The roles of the method; any other name of that form may be given."""
SAVE_EVERY_S = 10.0
"""So much of a batch's spending may be lost where the process is killed within it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model behind one or several OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, a hosted API.

    The defaults of temperature and top-p are the paper's for its tuned judge [P B.1].

    Example:
        >>> Endpoint("judge", ("http://localhost:8000/v1",), role="judge.quality").name
        'judge'
    """

    model: str
    """Its name, as the servers list it."""
    servers: tuple[str, ...]
    """Addresses of servers that have it, ending where ``chat/completions`` follows, mostly in ``/v1``."""
    role: str
    """``judge.quality``, ``judge.safety``, ``judge.factuality`` or ``rewriter``: what it spends is counted by this."""
    key_variable: str = ""
    """Environment variable that holds the servers' key; the key itself is never written anywhere."""
    api: Api = "chat"
    """``completions`` asks by plain text: for models without a chat template."""
    temperature: float = 1.0
    """0 answers greedily."""
    top_p: float = 0.6
    """Mass of the nucleus that is sampled from [P]."""
    prefill: Prefill = "ask"
    """How an answer is made to begin with given words: ``ask`` for them, give them as an assistant's ``message``, which
    llama.cpp and Ollama go on from, or also tell the server to ``continue`` it, as vLLM and SGLang want it."""
    choices: Choices = "none"
    """By which field the server is held to a prompt's choices; ``structured_outputs`` and ``guided_choice`` are vLLM's,
    newer and older. ``none`` leaves it to the prompt's words and its parser."""
    label_scoring: LabelScoring = "likeliest"
    """How labels are weighed where nothing is written: by the 20 ``likeliest`` first tokens, which most servers list,
    or by ``token_ids``, the probabilities of the labels themselves, which vLLM tells (its ``logprob_token_ids``)."""
    requests: Requests = field(default_factory=Requests)
    """How servers are asked, repeated and taken for down."""
    price: Price = field(default_factory=Price)
    """What tokens cost."""
    cap: Cap = field(default_factory=Cap)
    """What the role may spend."""
    cache: AnswerCache | None = field(default_factory=AnswerCache)
    """Where answers are kept; ``null`` asks anew each time."""

    def __post_init__(self) -> None:
        require(self, "temperature", at_least=0)
        require(self, "top_p", above=0, at_most=1)
        if not self.servers:
            raise ValueError(f"the endpoint of {self.role} names no server; write one like http://localhost:8000/v1")
        if len(set(self.servers)) < len(self.servers):
            raise ValueError(f"the endpoint of {self.role} names a server twice")
        for url in self.servers:
            require_address(url)
        if self.cap.cost is not None and self.price == Price():
            raise ValueError(f"the endpoint of {self.role} has a cap of cost and no price; give what tokens cost")
        if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)?", self.role):
            raise ValueError(f"role must be one of {', '.join(ROLES)}, or like them, not {self.role!r}")
        if self.key_variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):
            raise ValueError(
                "key_variable must be the name of an environment variable, like OPENAI_API_KEY, and what was given is "
                "none (it is not repeated here, for it may be a key)"
            )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def style(self) -> Style:
        """What decides an answer besides its prompt and seed."""
        return Style(self.model, self.api, self.temperature, self.top_p, self.prefill, self.choices)

    def build(self) -> "EndpointModel":
        """The working model; equal specs share it. No server is asked yet.

        Raises:
            KeyMissing: the environment variable is named and not set.
        """
        known = _built.get(self)
        if known is None:
            known = _built[self] = EndpointModel(self)
        return known


class EndpointModel:
    """``Endpoint`` at work."""

    def __init__(self, spec: Endpoint) -> None:
        self._spec = spec
        self._style = spec.style
        servers = [server(url, spec.model, spec.key_variable, spec.requests) for url in spec.servers]
        self._pool = Pool(servers, self._style, spec.role, spec.price, spec.cap)
        self._cache: Cache | None = opened(spec.cache) if spec.cache else None
        self._token_ids: dict[tuple[str, ...], tuple[int, ...]] = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self._spec.model

    def check(self) -> str:
        """Look at every server now; who answers, as far as they tell.

        Raises:
            FatalForRun: one is wrong, refuses the key, does not have the model, or has another one than before.
        """
        background.submit(self._pool.meet()).result()
        return self._pool.identity

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        """One answer a prompt; ``Absent`` where attempts ran out or the server withheld it.

        Raises:
            FatalForRun: nothing can be asked: the key, the model, a cap.
        """
        answers: dict[int, str | Absent] = dict(self.stream(prompts, seeds))
        return [answers[i] for i in range(len(prompts))]

    def answered(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answered | Absent]:
        """As ``answer``, and of each whether the server cut it off at ``max_new_tokens``."""
        asked = [Asked(i, *pair, ends=True) for i, pair in enumerate(zip(prompts, seeds, strict=True))]
        found: dict[int, Answered | Absent] = {}
        for index, told in self._told(asked, lambda reply: json.dumps([reply.text, reply.cut])):
            found[index] = told if isinstance(told, Absent) else Answered(*json.loads(told))
        return [found[i] for i in range(len(prompts))]

    def stream(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> Iterator[tuple[int, str | Absent]]:
        """The answers with their prompts' indices as they come, known ones first; leaving calls back what is out."""
        asked = [Asked(i, *pair) for i, pair in enumerate(zip(prompts, seeds, strict=True))]
        yield from self._told(asked, lambda reply: reply.text)

    def label_logprobs(
        self, prompts: Sequence[Prompt], labels: Sequence[str], seeds: Sequence[int] | None = None
    ) -> list[tuple[float, ...] | Absent]:
        """Log-probability (nats) of every label as the answer's first token: a verdict without generation.

        A label that the server does not list among the likeliest gets the most that it can have.

        Args:
            prompts: their ``answer_start`` stands before the label.
            labels: each a single token of the model.
            seeds: only tell requests apart; nothing is drawn.
        """
        ids = self._ids_of(tuple(labels)) if prompts and self._spec.label_scoring == "token_ids" else ()
        asked = [Asked(i, prompt, seeds[i] if seeds else 0, True, ids) for i, prompt in enumerate(prompts)]
        found: dict[int, tuple[float, ...] | Absent] = {}
        for index, told in self._told(asked, lambda reply: json.dumps(reply.first) if reply.first else ""):
            if isinstance(told, Absent):
                found[index] = told
            else:
                absent = Absent(self.name, f"none of {', '.join(labels)} among the likeliest first tokens")
                found[index] = label_logprobs([(t, v) for t, v in json.loads(told or "[]")], labels) or absent
        return [found[i] for i in range(len(prompts))]

    def _told(self, asked: Sequence[Asked], text: Callable[[Reply], str]) -> Iterator[tuple[int, str | Absent]]:
        """What is known or answered of each, as ``text`` of the reply; an empty one is not kept."""
        keys = [key_of(self._style, one.prompt, one.seed, _kind(one)) for one in asked]
        known = self._known(keys)
        LEDGER.count("cached", self._spec.role, sum(key in known for key in keys))
        yield from ((one.index, known[key]) for one, key in zip(asked, keys, strict=True) if key in known)
        missing = {one.index: key for one, key in zip(asked, keys, strict=True) if key not in known}
        try:
            for one, reply in self._asked([one for one in asked if one.index in missing]):
                LEDGER.save(every_s=SAVE_EVERY_S)
                if isinstance(reply, Absent):
                    yield one.index, reply
                    continue
                told = text(reply)
                if told:
                    self._keep(missing[one.index], one.prompt, told)
                yield one.index, told
        finally:
            if self._cache is not None:
                self._cache.flush()

    def _ids_of(self, labels: tuple[str, ...]) -> tuple[int, ...]:
        if labels not in self._token_ids:
            self._token_ids[labels] = background.submit(self._pool.token_ids(labels)).result()
        return self._token_ids[labels]

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        if self._cache is None or not self._cache.is_on or not keys:
            return {}
        known = self._cache.get(keys)
        if known and not self._pool.identity:
            with suppress(Retryable):  # without a server what is known is taken as it is
                self.check()
        return self._cache.get(list(known), self._pool.identity) if known and self._pool.identity else known

    def _keep(self, key: bytes, prompt: Prompt, text: str) -> None:
        if self._cache is not None:
            owner = LEDGER.owner if prompt.on_policy else None
            self._cache.put(key, text, identity=self._pool.identity, owner=owner)

    def _asked(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Reply | Absent]]:
        """Replies as they come from the loop's thread."""
        if not asked:
            return
        came: queue.SimpleQueue[tuple[Asked, Reply | Absent] | None] = queue.SimpleQueue()
        work = background.submit(self._pool.answer(asked, lambda one, reply: came.put((one, reply))))
        work.add_done_callback(lambda _: came.put(None))
        try:
            while (item := came.get()) is not None:
                yield item
            work.result()
        finally:
            work.cancel()


_built: "WeakValueDictionary[Endpoint, EndpointModel]" = WeakValueDictionary()


def forget() -> None:
    """Let go of all models, connections and files."""
    _built.clear()
    close_caches()
    background.shut_down()


def _kind(asked: Asked) -> str:
    """What of the answer is kept, as part of its key."""
    if not asked.labels:
        return "answer with its end" if asked.ends else "answer"
    return " ".join(["labels", *map(str, asked.token_ids)])
