"""The open choices: what a user may replace by a class of their own.

Every part of a run comes in two pieces. Its *spec* is a frozen dataclass that stands in ``run.yaml``; ``build``
turns the spec into the working part. Light parts are their own spec and return themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from tutelage.types import Absent, Candidate, Chunk, Floats, Judgement, Pool, Tokens


@runtime_checkable
class Vocabulary(Protocol):
    """As much of a codec as a model's shape depends on."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        ...

    @property
    def eos(self) -> int:
        """Id of end-of-text."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Text to tokens and back. Decoding is exact: no clean-up of spaces, no special token skipped silently."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        ...

    @property
    def eos(self) -> int:
        """Id of end-of-text."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides how text becomes tokens; compared on resume."""
        ...

    def encode(self, text: str) -> Tokens:
        """Tokens of ``text``, no special token added."""
        ...

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """``encode`` of each text, in parallel where the tokenizer can."""
        ...

    def decode(self, tokens: Tokens) -> str:
        """Text of ``tokens``; end-of-text decodes to nothing."""
        ...

    def is_boundary(self, tokens: Tokens, cut: int, *, word: bool) -> bool:
        """Whether text may be cut before token ``cut``: between characters, and before a word if ``word``."""
        ...

    def encode_after(self, prefix: Tokens, text: str) -> Tokens | None:
        """Tokens of ``text`` as a continuation of ``prefix``; ``None`` where the pair would not decode to both."""
        ...


@runtime_checkable
class ChatCodec(Codec, Protocol):
    """A codec that may know how its model's conversations are written."""

    @property
    def has_chat_template(self) -> bool:
        """Whether the tokenizer has a chat template."""
        ...

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """Spellings of the tokens that text of others must not be able to produce."""
        ...

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as text, up to where the next answer begins; a message has a ``role`` and a ``content``."""
        ...

    def encode_rendered(self, text: str) -> Tokens:
        """Tokens of rendered text, in which control tokens are read as such; for nothing that others wrote."""
        ...


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One prefix to continue, once for every seed."""

    prefix: Tokens
    seeds: tuple[int, ...]
    """One 64-bit seed a continuation: the same seed gives the same tokens whatever the batch."""
    max_new_tokens: int
    temperature: float = 1.0
    """0 decodes greedily."""
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Sampled:
    """One continuation as it was sampled."""

    tokens: Tokens
    logprobs: Floats
    """Nats, at the request's temperature and before truncation by ``top_p``."""
    finish: Literal["stop", "length"]


@runtime_checkable
class Sampler(Protocol):
    """Text out of the policy."""

    @property
    def version(self) -> int:
        """Number of updates of the weights that it samples from."""
        ...

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        """Continue every request's prefix; one tuple a request, in the order of its seeds."""
        ...


@runtime_checkable
class TextModel(Protocol):
    """Any model that answers prompts with text: in process, or behind an endpoint."""

    @property
    def name(self) -> str:
        """What records and reports call it."""
        ...

    def answer(self, prompts: Sequence["Prompt"], seeds: Sequence[int]) -> list["str | Absent"]:
        """One answer a prompt; ``Absent`` with a reason where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and whether it was cut off before its end."""

    text: str
    cut: bool


@runtime_checkable
class EndTelling(Protocol):
    """A text model that says which of its answers reached their end."""

    def answered(self, prompts: Sequence["Prompt"], seeds: Sequence[int]) -> list["Answered | Absent"]:
        """One answer a prompt; ``Absent`` with a reason where there is none."""
        ...


@runtime_checkable
class TextModelSpec(Protocol):
    """A text model as it stands in a run, inside the judge or rewriter that asks it."""

    def build(self) -> TextModel:
        """The working model; specs that name the same weights share them."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation whose last word is a question, and how its answer must begin."""

    system: str
    user: str
    answer_start: str = ""
    """Forced beginning of the answer; not repeated in what ``TextModel.answer`` returns."""
    max_new_tokens: int = 512
    choices: tuple[str, ...] = ()
    """All that may be answered, for a server that can be held to it; others are told by the prompt's words alone."""
    document: str = field(default="", compare=False)
    """What it is about: a hint by which one server gets all prompts that begin alike."""
    on_policy: bool = field(default=False, compare=False)
    """Whether it shows text that the policy wrote, and is hardly ever asked again: a hint for what keeps answers."""
    before: tuple[tuple[str, str], ...] = ()
    """Earlier questions of the conversation, each with the answer that it got."""


@runtime_checkable
class LabelModel(Protocol):
    """A text model that can also say how likely it begins its answer with which label: verdicts without generation."""

    def label_logprobs(
        self, prompts: Sequence[Prompt], labels: Sequence[str], seeds: Sequence[int] | None = None
    ) -> list["tuple[float, ...] | Absent"]:
        """Log-probabilities in nats, one a label, for every prompt; ``Absent`` with a reason where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """What a spec may use when it builds its part."""

    seed: int
    """The run's seed."""
    codec: Codec
    """The policy's tokenizer."""
    sampler: Sampler
    """The policy as a writer."""
    suffix_length: int
    """Most tokens of a candidate: the papers' N."""
    directory: Path
    """The run's directory, for what a part wants to keep."""


@runtime_checkable
class Source(Protocol):
    """Writes candidates."""

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        """Candidates for every chunk, at most ``suffix_length`` tokens each; failures as ``Absent``."""
        ...


@runtime_checkable
class SourceSpec(Protocol):
    """A source as it stands in a run."""

    def build(self, resources: Resources) -> Source:
        """The working source."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Reads candidates and gives verdicts. It sees text, never an answer key; verifiers hold those.

    With a ``queue_depth`` above 0 it is asked in a thread of its own, one step after the other, while the policy writes
    and learns: a judge must not look at the policy's weights, and what it shares with a source must bear two threads.
    """

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """The judgements of every pool, one an axis; a failure is an ``Abstained`` verdict."""
        ...


@runtime_checkable
class JudgeSpec(Protocol):
    """A judge as it stands in a run."""

    def build(self, resources: Resources) -> Judge:
        """The working judge."""
        ...


@runtime_checkable
class Rewriter(Protocol):
    """Writes a better continuation from the original one."""

    @property
    def name(self) -> str:
        """What records and reports call it."""
        ...

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """One continuation a chunk, or why there is none."""
        ...


@runtime_checkable
class RewriterSpec(Protocol):
    """A rewriter as it stands in a run."""

    def build(self, resources: Resources) -> Rewriter:
        """The working rewriter."""
        ...


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a stream stands: the next row to read of every corpus, and how many documents were taken in all.

    ``positions[name]`` is ``(epoch, shard, block, row)`` in the keyed order.
    """

    taken: int
    positions: tuple[tuple[str, tuple[int, int, int, int]], ...]


@runtime_checkable
class Stream(Protocol):
    """Text in. Reading is pure: the same cursor gives the same chunks."""

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        ...

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The chunks of the next ``count`` documents that can be cut, and the cursor after them.

        One cut a document gives ``count`` chunks; with several, the chunks of one document are adjacent.
        """
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of corpora, order and cuts; compared on resume."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Events so far in this process: broken rows, documents too short, duplicates dropped."""
        ...


@runtime_checkable
class StreamSpec(Protocol):
    """A stream as it stands in a run."""

    @property
    def suffix_length(self) -> int:
        """Most tokens of a suffix, and of every other candidate: the papers' N."""
        ...

    def build(self, seed: int, codec: Codec, split: str) -> Stream:
        """The stream of one keyed split: ``policy``, ``judge``, ``rewriter``, ``validation`` or ``test``."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Receives the metrics of every step."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of ``step``."""
        ...

    def close(self) -> None:
        """Flush and let go."""
        ...
