"""The nouns, in the order in which data becomes them.

    Document → Chunk → Pool → JudgedPool → Pair | Row → (collate) Batch

Everything here is immutable: it hashes, compares, goes to disk and replays. A stage returns the next noun; no
field is filled in later. Tensors begin at ``Batch``, which lives in ``collate``.

Letters used for shapes throughout the package:

    B sequences of a micro-batch · T tokens of a sequence · V vocabulary · N scored target tokens of a micro-batch
    R rows of a micro-batch · P pairs · K candidates of a pool · G members of a group
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray


class Tokens:
    """An immutable run of token ids over a read-only int32 buffer.

    Slices share the buffer, so that the prefix, the suffix and every candidate of a pool cost no copy. Equality and
    hash are by content.

    Example:
        >>> document = Tokens([5, 6, 7, 8])
        >>> document[1:3].tolist()
        [6, 7]
    """

    __slots__ = ("_array", "_digest")

    def __init__(self, ids: Sequence[int] | NDArray[np.integer]) -> None:
        array = np.ascontiguousarray(np.asarray(ids, dtype=np.int32).reshape(-1))
        if array.flags.writeable:
            array = array.copy() if array.base is not None or array is ids else array
            array.flags.writeable = False
        self._array: NDArray[np.int32] = array
        self._digest: bytes | None = None

    @classmethod
    def join(cls, parts: Iterable["Tokens"]) -> "Tokens":
        """Concatenate ``parts`` into one new buffer."""
        arrays = [part.array for part in parts]
        return cls(np.concatenate(arrays) if arrays else np.empty(0, np.int32))

    @property
    def array(self) -> NDArray[np.int32]:
        """The ids, read-only, shape ``(len(self),)``."""
        return self._array

    @property
    def digest(self) -> bytes:
        """Sixteen bytes that identify the content."""
        if self._digest is None:
            self._digest = hashlib.blake2b(self._array.tobytes(), digest_size=16).digest()
        return self._digest

    def tolist(self) -> list[int]:
        """The ids as Python integers."""
        return self._array.tolist()

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> "Tokens": ...
    def __getitem__(self, index: int | slice) -> "int | Tokens":
        if isinstance(index, slice):
            return Tokens(self._array[index])
        return int(self._array[index])

    def __len__(self) -> int:
        return len(self._array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokens) and np.array_equal(self._array, other._array)

    def __hash__(self) -> int:
        return int.from_bytes(self.digest[:8], "little", signed=True)

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self._array[:6]))
        return f"Tokens([{shown}{', …' if len(self) > 6 else ''}], length={len(self)})"


class Floats:
    """An immutable run of float32 values: the log-probabilities (nats) that a sampler recorded, one a token."""

    __slots__ = ("_array",)

    def __init__(self, values: Sequence[float] | NDArray[np.floating]) -> None:
        array = np.array(values, dtype=np.float32).reshape(-1)
        array.flags.writeable = False
        self._array: NDArray[np.float32] = array

    @property
    def array(self) -> NDArray[np.float32]:
        """The values, read-only, shape ``(len(self),)``."""
        return self._array

    def tolist(self) -> list[float]:
        """The values as Python floats."""
        return self._array.tolist()

    def __len__(self) -> int:
        return len(self._array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Floats) and np.array_equal(self._array, other._array)

    def __hash__(self) -> int:
        return hash(self._array.tobytes())

    def __repr__(self) -> str:
        return f"Floats(length={len(self)})"


# --------------------------------------------------------------------------- from the corpus


@dataclass(frozen=True, slots=True)
class Document:
    """One tokenised document of a corpus, as it was met in one epoch.

    Example:
        >>> Document(id="wiki-17", corpus="wiki", epoch=0, tokens=Tokens([5, 6, 7, 8])).key
        (0, 'wiki', 'wiki-17')
    """

    id: str
    """The corpus's own id, or ``file:line`` where it has none."""
    corpus: str
    """The name of the corpus in the run."""
    epoch: int
    """How many times the corpus had been read through before."""
    tokens: Tokens
    """The whole document, or of a very long one the stream's window; end-of-text is not appended."""
    text: str | None = None
    """What the tokens were made of, where a stream keeps it: for work that must not lose a character."""
    tags: tuple[str, ...] = ()
    """What its corpus says of it, from ``tags_column``."""

    @property
    def key(self) -> tuple[int, str, str]:
        """What identifies this reading of the document in keyed draws."""
        return (self.epoch, self.corpus, self.id)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A document cut into the prefix that a policy sees and the suffix that the author wrote after it."""

    document: Document
    prefix: Tokens
    """At most ``max_length - suffix_length`` tokens that end at the cut."""
    suffix: Tokens
    """At most ``suffix_length`` tokens from the cut on; ends with end-of-text where the document does."""
    cut: int
    """Position of the cut in ``document.tokens``, in tokens."""
    repeated: int = 0
    """How many tokens of the prefix an earlier cut's prefix holds; the anchor to the corpus is on the others."""
    covered: int = 0
    """As ``repeated``, of prefix and suffix together: what an earlier cut's prefix or suffix holds; plain pretraining
    trains the others."""

    @property
    def key(self) -> tuple[int, str, str, int]:
        """What identifies this chunk in keyed draws: epoch, corpus, document, cut."""
        return (*self.document.key, self.cut)


# --------------------------------------------------------------------------- candidates


@dataclass(frozen=True, slots=True)
class Suffix:
    """The original continuation as a candidate."""

    tokens: Tokens

    @property
    def source(self) -> str:
        """Name under which wins are counted."""
        return "suffix"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A continuation written by another model, or by any source of the user's."""

    tokens: Tokens
    author: str
    """Who wrote it: a model's name or path."""
    source: str = "rewrite"
    """Name under which wins are counted."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A continuation sampled from the policy, with all that is needed to train on it exactly."""

    tokens: Tokens
    logprobs: Floats
    """Behaviour log-probabilities of ``tokens`` in nats, at ``temperature`` and before truncation by ``top_p``."""
    policy_version: int
    """Number of updates that the policy had seen when it wrote this."""
    draw: int
    """Which of the pool's rollouts this is; part of its random key."""
    temperature: float
    top_p: float
    finish: Literal["stop", "length"]
    """``stop`` where the policy ended the text itself (``tokens`` then ends with end-of-text)."""

    @property
    def source(self) -> str:
        """Name under which wins are counted."""
        return "rollout"


Candidate = Suffix | Rewrite | Rollout


@dataclass(frozen=True, slots=True)
class Absent:
    """A candidate that a source failed to write. It is counted, never replaced."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pool:
    """All candidates for one chunk, in the order of the run's sources."""

    chunk: Chunk
    candidates: tuple[Candidate, ...]
    absent: tuple[Absent, ...] = ()


# --------------------------------------------------------------------------- verdicts


@dataclass(frozen=True, slots=True)
class Scored:
    """A verdict that was reached."""

    value: float
    comparisons: int = 0
    """How many comparisons ``value`` rests on; 0 where the candidate was judged by itself."""


@dataclass(frozen=True, slots=True)
class Abstained:
    """A verdict that was not reached: refusal, unparsable answer, time-out. It is an event, never a score."""

    reason: str

    @property
    def asked(self) -> bool:
        """Whether the judge was asked at all; what was not asked is no failure of the judge's."""
        return not self.reason.startswith(NOT_ASKED)

    @property
    def refused(self) -> bool:
        """Whether the judge declined to answer."""
        return self.reason.lower().startswith("refus")


NOT_ASKED = "not asked"
"""How the reason begins where there was nothing to ask: nobody to compare a lone candidate with."""

Verdict = Scored | Abstained


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge says of every candidate of a pool on one axis.

    Example:
        >>> Judgement("safety", (Scored(1.0), Abstained("refused"))).verdicts[0].value
        1.0
    """

    axis: str
    """``quality``, ``safety``, ``factuality`` or a name of the user's."""
    verdicts: tuple[Verdict, ...]
    """One a candidate, in the pool's order."""
    weight: float = 1.0
    """Factor in the sum over axes; the papers use 1 throughout [P]."""
    words: tuple[str, ...] = ()
    """For readers, all that was said about each candidate: one entry a candidate, in the pool's order, its parts on
    lines of their own; empty where the judge gave no words."""
    calls: int = 0
    """How often the judge was asked for this."""

    def __post_init__(self) -> None:
        if self.words and len(self.words) != len(self.verdicts):
            raise ValueError(
                f"the judge of {self.axis} gave words for {len(self.words)} candidates and verdicts for "
                f"{len(self.verdicts)}; words has one entry a candidate, or none at all"
            )


@dataclass(frozen=True, slots=True)
class JudgedPool:
    """A pool with the judgements of every judge of the phase; ``judgements`` may be empty for judge-free objectives."""

    pool: Pool
    judgements: tuple[Judgement, ...] = ()

    def __post_init__(self) -> None:
        for judgement in self.judgements:
            if len(judgement.verdicts) != len(self.pool.candidates):
                counts = f"{len(judgement.verdicts)} verdicts for {len(self.pool.candidates)} candidates"
                raise ValueError(f"the judgement on {judgement.axis} has {counts}; there must be one each")

    def total(self, index: int) -> Verdict:
        """The weighted sum over axes of candidate ``index``.

        Abstained on any axis means abstained on the whole [I]: a sum over fewer axes is not comparable. Its comparisons
        are the fewest of an axis that compares; 0 where none does.
        """
        if not self.judgements:
            return Abstained("no judge in this phase")
        value, comparisons = 0.0, []
        for judgement in self.judgements:
            verdict = judgement.verdicts[index]
            if isinstance(verdict, Abstained):
                return Abstained(f"{judgement.axis}: {verdict.reason}")
            value += judgement.weight * verdict.value
            comparisons.append(verdict.comparisons)
        return Scored(value, min((count for count in comparisons if count), default=0))

    @property
    def totals(self) -> tuple[Verdict, ...]:
        """``total`` of every candidate, in the pool's order."""
        return tuple(self.total(i) for i in range(len(self.pool.candidates)))


# --------------------------------------------------------------------------- what is trained


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens of a row with the credit that is local to it."""

    tokens: Tokens
    trained: bool = False
    """Whether the objective's main loss applies to these tokens."""
    advantage: float = 0.0
    """Policy-gradient advantage of every token here."""
    kl_weight: float = 0.0
    """Weight of the KL leash on these tokens."""
    ntp_weight: float = 0.0
    """Weight of the plain next-token loss on these tokens (the anchor to the corpus)."""
    logprobs: Floats | None = field(default=None, repr=False)
    """Behaviour log-probabilities where the objective compares with them."""
    turn: int = 0
    """Which attempt of an episode this is, counted from 1; 0 where it is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence to train on. Rows that begin with equal segments share a trunk when they are packed.

    Example:
        >>> Row((Segment(Tokens([5, 6])), Segment(Tokens([7, 8]), trained=True))).length
        4
    """

    segments: tuple[Segment, ...]

    @property
    def length(self) -> int:
        """Number of tokens."""
        return sum(len(segment.tokens) for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows for a preference loss. They are never separated by micro-batching."""

    chosen: Row
    rejected: Row


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong to one pool without being a pair: the rollouts of GRPO, the single row of an NLL objective."""

    rows: tuple[Row, ...]


Item = Pair | Group
"""What an objective makes of one judged pool; always packed and placed as a whole."""
