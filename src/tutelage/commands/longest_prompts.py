"""Whether the longest prompt that a part of a run can ask fits into a server's context, found out without asking."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from tutelage.chat import LocalChat
from tutelage.commands.machine import Finding
from tutelage.endpoints import Endpoint
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
"""Documents that the longest chunk is made of."""


def fitting(field: str, spec: Endpoint, part: Any, stream: StreamSpec, context: int, run: Run, codec: Codec) -> Finding:
    """Whether the longest prompt to an endpoint of a run fits.

    Args:
        field: dotted path of the setting.
        spec: the endpoint.
        part: the source or judge around it.
        stream: what the part reads.
        context: most tokens of prompt and answer.
        run: what it stands in.
        codec: the policy's.
    """
    try:
        prompts = _prompts(spec, part, stream, run, codec)
    except Exception as error:  # the part may be anybody's
        return Finding(field, "note", f"its longest prompt could not be found out: {error}")
    if not prompts:
        return Finding(field, "note", "it asked nothing about the documents that were read")
    asked, answer = max(((_length(prompt, codec), prompt.max_new_tokens) for prompt in prompts), key=sum)
    told = f"a prompt takes up to {asked:,} tokens of the policy's, its answer up to {answer:,}; {context:,} fit"
    if asked + answer <= context * TIGHT:
        return Finding(field, "ok", told)
    remedy = "start the server with a longer context, or lower judge_prefix or max_new_tokens"
    return Finding(field, "problem" if asked + answer > context else "warning", f"{told}: {remedy}")


def _length(prompt: Prompt, codec: Codec) -> int:
    return sum(len(codec.encode(text)) for text in (prompt.system, prompt.user, prompt.answer_start)) + TEMPLATE


def _prompts(spec: Endpoint, part: Any, stream: StreamSpec, run: Run, codec: Codec) -> list[Prompt]:
    """What the part asks about a chunk as long as its stream may cut one."""
    chunk = _longest_chunk(stream, run, codec)
    listener = ScriptedModel(lambda prompt, seed: Absent(spec.model, "it was not asked"))
    resources = Resources(run.seed, codec, NoPolicy(), stream.suffix_length, NO_DIRECTORY)
    built = _listening(part, spec, listener).build(resources)
    if isinstance(built, Judge):
        other = Tokens.join([chunk.suffix[1:], chunk.suffix[:1]])
        built.judge([Pool(chunk, (Suffix(chunk.suffix), Rewrite(other, "doctor")))])
    else:
        built.propose([chunk])
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
