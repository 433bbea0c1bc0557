"""What teachers will be asked, found out without asking them.

Judges and rewriters are put to work on pools of stand-ins, their models exchanged for one that writes down every prompt
and says something that can be read as an answer. So prompts and calls are those of the parts themselves, whatever their
schedules; with a schedule that goes by verdicts, as many as a judge that guesses would be asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from tutelage import rng
from tutelage.bulk.work import NO_POLICY
from tutelage.config.mapping import exchanged, parts_of
from tutelage.endpoints import Endpoint
from tutelage.phases import Phase
from tutelage.protocols import (
    Codec,
    JudgeSpec,
    Prompt,
    Resources,
    RewriterSpec,
    SourceSpec,
    StreamSpec,
    TextModel,
    TextModelSpec,
)
from tutelage.rewrites import StoredRewrites, TableRewriter
from tutelage.run import Run
from tutelage.sources import RewriteSource, RolloutSource, SuffixSource
from tutelage.stream import TextStream
from tutelage.types import Absent, Candidate, Chunk, Document, Floats, Pool, Rewrite, Rollout, Suffix, Tokens

_VERDICT = re.compile(r"VERDICT: (\w+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one model is asked about some pools."""

    role: str
    """The endpoint's role; of a model in this process the axis that it judges, or ``rewriter``."""
    model: TextModelSpec
    prompts: tuple[Prompt, ...]

    @property
    def bytes_read(self) -> int:
        """Of all prompts."""
        return sum(map(prompt_bytes, self.prompts))

    @property
    def most_written(self) -> int:
        """Tokens of all answers, each as long as its prompt allows."""
        return sum(prompt.max_new_tokens for prompt in self.prompts)


def prompt_bytes(prompt: Prompt) -> int:
    """Bytes of a prompt's text."""
    return sum(len(text.encode("utf-8", "replace")) for text in (prompt.system, prompt.user, prompt.answer_start))


# --------------------------------------------------------------------------- the model that is put in


@dataclass(frozen=True, slots=True)
class Overheard:
    """In the place of a model: keeps what it is asked."""

    model: TextModelSpec
    heard: list[Prompt] = field(default_factory=list[Prompt], compare=False)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(getattr(self.model, "name", type(self.model).__name__))

    def build(self) -> TextModel:
        """Itself."""
        return self

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        """One of the answers that the prompt allows, by its seed."""
        self.heard.extend(prompts)
        return [_guess(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def label_logprobs(
        self, prompts: Sequence[Prompt], labels: Sequence[str], seeds: Sequence[int] | None = None
    ) -> list[tuple[float, ...] | Absent]:
        """Every label as likely as the others, nearly."""
        self.heard.extend(replace(prompt, max_new_tokens=1) for prompt in prompts)
        keys = seeds or range(len(prompts))
        return [tuple(-1.0 - rng.uniform("guess", key, label) for label in labels) for key in keys]


def _guess(prompt: Prompt, seed: int) -> str:
    allowed = prompt.choices or _VERDICT.findall(prompt.user.rsplit("\n", 1)[-1])
    return f"VERDICT: {allowed[rng.below(len(allowed), 'guess', seed)]}" if allowed else "Somebody went on."


def is_model(part: object) -> bool:
    """Whether it is a text model's spec: what its ``build`` gives can answer."""
    build = getattr(type(part), "build", None)
    try:
        return build is not None and hasattr(get_type_hints(build).get("return"), "answer")
    except NameError:
        return False


def overhear(spec: Any) -> tuple[Any, list[Overheard]]:
    """``spec`` with its text models exchanged, and what stands in their places."""
    put_in: list[Overheard] = []

    def change(part: Any) -> Any:
        if not is_model(part):
            return part
        put_in.append(Overheard(part))
        return put_in[-1]

    return exchanged(spec, change), put_in


# --------------------------------------------------------------------------- what is asked


def judge_asked(judge: JudgeSpec, pools: Sequence[Pool], resources: Resources) -> list[Asked]:
    """What a judge asks its text models about ``pools``; nothing of a judge without any."""
    other, models = overhear(judge)
    if not models:
        return []
    other.build(resources).judge(pools)
    axis = next((str(axis) for _, part in parts_of(judge, object) if (axis := getattr(part, "axis", None))), "unknown")
    return [_asked(one, f"judge.{axis}") for one in models]


def rewriter_asked(rewriter: RewriterSpec, chunks: Sequence[Chunk], resources: Resources) -> list[Asked]:
    """What a rewriter asks its text models about ``chunks``; one behind a table about those without a row.

    Raises:
        TableError: the table cannot be used in this run.
    """
    if isinstance(rewriter, StoredRewrites):
        table = replace(rewriter, live=None).build(resources)
        left = table.missing(chunks) if isinstance(table, TableRewriter) else chunks
        return rewriter_asked(rewriter.live, left, resources) if rewriter.live is not None else []
    other, models = overhear(rewriter)
    if not models:
        return []
    other.build(resources).rewrite(chunks)
    return [_asked(one, "rewriter") for one in models]


def phase_asked(phase: Phase, pools: Sequence[Pool], resources: Resources) -> list[Asked]:
    """What all teachers of a phase are asked about ``pools``.

    Raises:
        TableError: a table of rewrites cannot be used in this run.
    """
    chunks = [pool.chunk for pool in pools]
    sources = [source.rewriter for source in phase.sources if isinstance(source, RewriteSource)]
    rewriters = [one for rewriter in sources for one in rewriter_asked(rewriter, chunks, resources)]
    return [*rewriters, *(one for judge in phase.judges for one in judge_asked(judge, pools, resources))]


def _asked(one: Overheard, default: str) -> Asked:
    return Asked(one.model.role if isinstance(one.model, Endpoint) else default, one.model, tuple(one.heard))


# --------------------------------------------------------------------------- stand-ins


def dry_resources(run: Run, stream: StreamSpec, codec: Codec) -> Resources:
    """What parts are built with when there is no policy and nothing is kept."""
    return Resources(run.seed, codec, NO_POLICY, stream.suffix_length, Path("runs"))


def sample_chunks(run: Run, stream: StreamSpec, codec: Codec, documents: int) -> tuple[Chunk, ...]:
    """The chunks of the first documents of a stream; duplicates are not looked for, which takes long.

    Raises:
        StreamError: it cannot be read.
    """
    fast = replace(stream, deduplicate=None) if isinstance(stream, TextStream) else stream
    reader = fast.build(run.seed, codec, run.split)
    return reader.read(reader.start(), documents)[0]


def longest_chunk(chunks: Sequence[Chunk], stream: StreamSpec) -> Chunk:
    """A chunk as long as the stream's can be, of the texts of ``chunks``; as the longest of these, if none is told."""
    longest = max(len(chunk.prefix) + len(chunk.suffix) for chunk in chunks)
    length: int = getattr(stream, "max_length", None) or longest
    text = Tokens.join([chunk.document.tokens for chunk in chunks]).array
    tokens = Tokens(np.resize(text, max(length, stream.suffix_length + 1)))
    cut = len(tokens) - stream.suffix_length
    return Chunk(Document("the longest", chunks[0].document.corpus, 0, tokens), tokens[:cut], tokens[cut:], cut)


def stand_in_pools(
    chunks: Sequence[Chunk], sources: Sequence[SourceSpec], stream: StreamSpec, *, seed: int = 0
) -> list[Pool]:
    """A pool for every chunk with as many candidates as ``sources`` give, of shuffled words as long as can be."""
    text = Tokens.join([chunk.document.tokens for chunk in chunks]).array

    def words(chunk: Chunk, number: int) -> Tokens:
        drawn = rng.generator(seed, "stand-in", *chunk.key, number)
        start = int(drawn.integers(len(text)))
        return Tokens(drawn.permutation(np.resize(np.roll(text, -start), stream.suffix_length)))

    return [Pool(chunk, tuple(_candidates(chunk, sources, words))) for chunk in chunks]


def _candidates(chunk: Chunk, sources: Sequence[SourceSpec], words: Any) -> list[Candidate]:
    found: list[Candidate] = []
    for source in sources:
        match source:
            case SuffixSource():
                found.append(Suffix(chunk.suffix))
            case RolloutSource():
                for k in range(source.num_rollouts):
                    tokens: Tokens = words(chunk, len(found))
                    logprobs = Floats([0.0] * len(tokens))
                    found.append(Rollout(tokens, logprobs, 0, k, source.temperature, source.top_p, "length"))
            case _:
                found.append(Rewrite(words(chunk, len(found)), author="stand-in"))
    return found
