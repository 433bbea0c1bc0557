"""Who writes candidates: the author, a rewriter, the policy. Every source may fail, and then says so.

Seeds are keyed by the chunk (which names its epoch) and never by the step: resume cannot change a draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tutelage import rng
from tutelage.maths.ranges import require
from tutelage.prompts import RewritePrompt, ending, fence
from tutelage.protocols import (
    Codec,
    Resources,
    Rewriter,
    RewriterSpec,
    Sampler,
    SampleRequest,
    Source,
    TextModel,
    TextModelSpec,
)
from tutelage.types import Absent, Abstained, Candidate, Chunk, Rewrite, Rollout, Suffix, Tokens


@dataclass(frozen=True, slots=True)
class SuffixSource:
    """The original continuation; it is its own working part.

    Example:
        >>> from tutelage.types import Document
        >>> document = Document("d", "c", 0, Tokens([5, 6, 7]))
        >>> SuffixSource().propose([Chunk(document, document.tokens[:1], document.tokens[1:], 1)])
        [(Suffix(tokens=Tokens([6, 7], length=2)),)]
    """

    def build(self, resources: Resources) -> Source:
        """Itself."""
        return self

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        """The suffix of every chunk; the stream has cut it to ``suffix_length``."""
        return [
            (Suffix(chunk.suffix) if len(chunk.suffix) else Absent("suffix", "the suffix is empty"),)
            for chunk in chunks
        ]


@dataclass(frozen=True, slots=True)
class RolloutSource:
    """Continuations sampled from the policy.

    Defaults are the paper's for continual pretraining [P §1.2.2]; from scratch it uses one rollout.
    """

    num_rollouts: int = 16
    """The paper's K."""
    temperature: float = 1.0
    """Of the sampling; 0 is greedy."""
    top_p: float = 1.0
    """Mass of the nucleus that is sampled from; 1 is all."""

    def __post_init__(self) -> None:
        require(self, "num_rollouts", at_least=1)
        require(self, "temperature", at_least=0)
        require(self, "top_p", above=0, at_most=1)

    def build(self, resources: Resources) -> Source:
        """The working source, over the run's sampler."""
        return PolicyRollouts(self, resources.sampler, resources.seed, resources.suffix_length)


class PolicyRollouts:
    """``RolloutSource`` at work."""

    def __init__(self, spec: RolloutSource, sampler: Sampler, seed: int, suffix_length: int) -> None:
        self._spec = spec
        self._sampler = sampler
        self._seed = seed
        self._suffix_length = suffix_length

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        """``num_rollouts`` rollouts a chunk; one that ended itself keeps its end-of-text."""
        spec = self._spec
        requests = [
            SampleRequest(
                prefix=chunk.prefix,
                seeds=tuple(rng.seed(self._seed, "rollout", *chunk.key, k) for k in range(spec.num_rollouts)),
                max_new_tokens=self._suffix_length,
                temperature=spec.temperature,
                top_p=spec.top_p,
            )
            for chunk in chunks
        ]
        version = self._sampler.version
        return [
            tuple(
                Rollout(s.tokens, s.logprobs, version, k, spec.temperature, spec.top_p, s.finish)
                for k, s in enumerate(sampled)
            )
            for sampled in self._sampler.sample(requests)
        ]


@dataclass(frozen=True, slots=True)
class RewriteSource:
    """What a rewriter makes of the suffix."""

    rewriter: RewriterSpec

    def build(self, resources: Resources) -> Source:
        """The working source, its rewriter built."""
        return Rewrites(self.rewriter.build(resources), resources.suffix_length)


class Rewrites:
    """``RewriteSource`` at work."""

    def __init__(self, rewriter: Rewriter, suffix_length: int) -> None:
        self._rewriter = rewriter
        self._suffix_length = suffix_length

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        """One rewrite a chunk, clipped to ``suffix_length`` tokens; a failure as ``Absent``."""
        return [(self._candidate(written),) for written in self._rewriter.rewrite(chunks)]

    def _candidate(self, written: Tokens | Absent) -> Candidate | Absent:
        if isinstance(written, Absent):
            return Absent("rewrite", written.reason)
        if not len(written):
            return Absent("rewrite", "empty rewrite")
        return Rewrite(written[: self._suffix_length], author=self._rewriter.name)


@dataclass(frozen=True, slots=True)
class PromptRewriter:
    """A rewriter that is a prompt over a text model."""

    model: TextModelSpec
    prompt: RewritePrompt = field(default_factory=RewritePrompt)
    max_new_tokens: int | None = None
    """Longest answer in the model's own tokens; ``None`` allows twice ``suffix_length`` [I]."""

    def build(self, resources: Resources) -> Rewriter:
        """The working rewriter, its model loaded."""
        room = self.max_new_tokens or 2 * resources.suffix_length
        return PromptedRewriter(self.prompt, self.model.build(), resources, room)


class PromptedRewriter:
    """``PromptRewriter`` at work."""

    def __init__(self, prompt: RewritePrompt, model: TextModel, resources: Resources, room: int) -> None:
        self._prompt = prompt
        self._model = model
        self._codec: Codec = resources.codec
        self._seed = resources.seed
        self._suffix_length = resources.suffix_length
        self._room = room

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
        """One continuation a chunk, all asked for in one call; a refusal or an empty answer as ``Absent``."""
        most = self._prompt.judge_prefix
        texts = [(ending(c.prefix, self._codec, most), self._codec.decode(c.suffix)) for c in chunks]
        codes = [fence(pair, self._seed, *chunk.key) for pair, chunk in zip(texts, chunks, strict=True)]
        prompts = [
            replace(
                self._prompt.ask(prefix, suffix, code=code, max_new_tokens=self._room),
                document="/".join(map(str, chunk.document.key)),
            )
            for (prefix, suffix), code, chunk in zip(texts, codes, chunks, strict=True)
        ]
        seeds = [rng.seed(self._seed, "rewrite", *chunk.key) for chunk in chunks]
        answers = self._model.answer(prompts, seeds) if prompts else []
        read = [
            answer if isinstance(answer, Absent) else self._prompt.parse(answer, prefix=p, suffix=s, code=c)
            for answer, (p, s), c in zip(answers, texts, codes, strict=True)
        ]
        return [self._tokens(chunk, suffix, text) for chunk, (_, suffix), text in zip(chunks, texts, read, strict=True)]

    def _tokens(self, chunk: Chunk, suffix: str, text: str | Abstained | Absent) -> Tokens | Absent:
        """Tokens of ``text`` at the fork, clipped.

        A copy keeps the suffix's own tokens; a rewrite ends where the document does if the suffix does [I]:
        neither tokenisation nor a missing end-of-text tells a rewrite from an original.
        """
        if isinstance(text, Abstained | Absent):
            return Absent("rewrite", text.reason)
        if text == suffix:
            return chunk.suffix[: self._suffix_length]
        tokens = self._codec.encode_after(chunk.prefix, text)
        if tokens is None:
            return Absent("rewrite", "the rewrite cannot be put into tokens behind its prefix exactly")
        ends = len(chunk.suffix) > 0 and chunk.suffix[-1] == self._codec.eos
        if ends and len(tokens) < self._suffix_length:
            return Tokens.join([tokens, Tokens([self._codec.eos])])
        return tokens[: self._suffix_length]
