"""What ``tutelage doctor`` finds out about teachers on servers: who is up, with which model, and whether prompts fit.

Servers are asked for their list of models; no prompt is sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from tutelage.chat import LocalChat
from tutelage.commands.machine import Finding
from tutelage.endpoints import Endpoint, EndpointError, Look, Retryable
from tutelage.protocols import Codec, Judge, Prompt, Resources, StreamSpec
from tutelage.run import Run
from tutelage.scripted import ScriptedModel
from tutelage.stream import JudgedStream, TextStream
from tutelage.stream.judged import NO_DIRECTORY, NoPolicy
from tutelage.types import Absent, Chunk, Pool, Rewrite, Suffix, Tokens

TEMPLATE = 32
"""Tokens that a chat template is taken to add."""
TIGHT = 0.9
"""Share of a context beyond which another tokenizer may need more than there is."""
READ = 8
"""Documents that the longest prompt is made of."""


@dataclass(frozen=True, slots=True)
class Served:
    """A part of a run that asks servers."""

    field: str
    """Dotted path of the setting, as ``phases.0.judges.0.model``."""
    spec: Endpoint
    part: Any = None
    """The source or judge around it."""
    stream: StreamSpec | None = None
    """What the part reads."""


def served(run: Run) -> Iterator[Served]:
    """Every endpoint of a run."""
    for number, phase in enumerate(run.phases):
        for kind in ("sources", "judges"):
            for index, part in enumerate(getattr(phase, kind)):
                for field, spec in _endpoints(part, f"phases.{number}.{kind}.{index}"):
                    yield Served(field, spec, part, phase.stream or run.stream)
        yield from (Served(field, spec) for field, spec in _endpoints(phase.stream, f"phases.{number}.stream"))
    for name in ("stream", "evaluations"):
        yield from (Served(field, spec) for field, spec in _endpoints(getattr(run, name), name))


def _endpoints(value: Any, here: str) -> Iterator[tuple[str, Endpoint]]:
    if isinstance(value, Endpoint):
        yield here, value
    elif isinstance(value, tuple):
        items: tuple[Any, ...] = value
        for number, item in enumerate(items):
            yield from _endpoints(item, f"{here}.{number}")
    elif is_dataclass(value):
        for field in fields(value):
            yield from _endpoints(getattr(value, field.name), f"{here}.{field.name}")


def surveyed(run: Run, codec: Codec | None, survey: Callable[[Endpoint], tuple[Look, ...]]) -> Iterator[Finding]:
    """Every server under the setting that names it, and whether the longest prompt fits into its context."""
    for one in served(run):
        looks = survey(one.spec)
        yield from (_told(one, look) for look in looks)
        listed = [look.found for look in looks if look.found is not None and not isinstance(look.found, EndpointError)]
        names = sorted({found.identity for found in listed})
        if len(names) > 1:
            told = f"its servers have different models, {' and '.join(names)}: their verdicts must not be mixed"
            yield Finding(one.field, "problem", told)
        contexts = [found.context for found in listed if found.context is not None]
        if contexts and codec is not None and one.part is not None:
            yield _fitting(one, min(contexts), run, codec)


def _told(one: Served, look: Look) -> Finding:
    found = look.found
    if isinstance(found, EndpointError):
        remedy = "; start it, or mend the address" if isinstance(found, Retryable) else ""
        return Finding(one.field, "problem", f"{found}{remedy}")
    if found is None:
        told = f"{look.url} is up and lists no models; whether it has {one.spec.model!r} is not known"
        return Finding(one.field, "note", told)
    context = "a context that it does not tell" if found.context is None else f"a context of {found.context:,} tokens"
    return Finding(one.field, "ok", f"{look.url} has {found.identity} with {context}")


# --------------------------------------------------------------------------- the longest prompt


def _fitting(one: Served, context: int, run: Run, codec: Codec) -> Finding:
    try:
        prompts = _prompts(one, run, codec)
    except Exception as error:  # the part may be anybody's
        return Finding(one.field, "note", f"its longest prompt could not be found out: {error}")
    if not prompts:
        return Finding(one.field, "note", "it asked nothing about the documents that were read")
    asked, answer = max(((_length(prompt, codec), prompt.max_new_tokens) for prompt in prompts), key=sum)
    told = f"a prompt takes up to {asked:,} tokens of the policy's, its answer up to {answer:,}; {context:,} fit"
    if asked + answer <= context * TIGHT:
        return Finding(one.field, "ok", told)
    remedy = "start the server with a longer context, or lower judge_prefix or max_new_tokens"
    return Finding(one.field, "problem" if asked + answer > context else "warning", f"{told}: {remedy}")


def _length(prompt: Prompt, codec: Codec) -> int:
    return sum(len(codec.encode(text)) for text in (prompt.system, prompt.user, prompt.answer_start)) + TEMPLATE


def _prompts(one: Served, run: Run, codec: Codec) -> list[Prompt]:
    """What the part asks about a chunk as long as its stream may cut one."""
    assert one.stream is not None
    chunk = _longest_chunk(one.stream, run, codec)
    listener = ScriptedModel(lambda prompt, seed: Absent(one.spec.model, "it was not asked"))
    resources = Resources(run.seed, codec, NoPolicy(), one.stream.suffix_length, NO_DIRECTORY)
    part = _listening(one.part, one.spec, listener).build(resources)
    if isinstance(part, Judge):
        other = Tokens.join([chunk.suffix[1:], chunk.suffix[:1]])
        part.judge([Pool(chunk, (Suffix(chunk.suffix), Rewrite(other, "doctor")))])
    else:
        part.propose([chunk])
    return listener.asked


def _longest_chunk(spec: StreamSpec, run: Run, codec: Codec) -> Chunk:
    while isinstance(spec, JudgedStream):  # reading it would ask its judge
        spec = spec.stream
    quick = replace(spec, deduplicate=None) if isinstance(spec, TextStream) else spec
    stream = quick.build(run.seed, codec, run.split)
    chunks, _ = stream.read(stream.start(), READ)
    length: int | None = getattr(spec, "max_length", None)
    if length is None:
        return max(chunks, key=lambda chunk: len(chunk.prefix) + len(chunk.suffix))
    text = Tokens.join([chunk.document.tokens for chunk in chunks])
    text = Tokens.join([text] * -(-length // max(len(text), 1)))[:length]
    cut = max(len(text) - spec.suffix_length, 0)
    return Chunk(replace(chunks[0].document, tokens=text), text[:cut], text[cut:], cut)


def _listening(part: Any, spec: Endpoint, listener: ScriptedModel) -> Any:
    """``part`` with ``listener`` wherever it asks ``spec``, and a model that says nothing wherever it asks another."""
    if isinstance(part, Endpoint | LocalChat):
        return listener if part == spec else ScriptedModel(lambda prompt, seed: Absent("doctor", "it was not asked"))
    if isinstance(part, tuple):
        items: tuple[Any, ...] = part
        return tuple(_listening(item, spec, listener) for item in items)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    inner = {field.name: getattr(part, field.name) for field in fields(part) if field.init}
    heard = {name: _listening(value, spec, listener) for name, value in inner.items()}
    changed = {name: value for name, value in heard.items() if value is not inner[name]}
    return replace(part, **changed) if changed else part
