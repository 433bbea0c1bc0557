"""What ``tutelage doctor`` finds out by asking teachers on servers: contexts, readable answers, the price of a step.

Only here is something spent before a run: some twenty questions a judge and rewriter, none of which is kept.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tutelage.commands.dry_asking import (
    Asked,
    judge_asked,
    longest_chunk,
    phase_asked,
    prompt_bytes,
    rewriter_asked,
    sample_chunks,
    stand_in_pools,
)
from tutelage.commands.machine import Finding, Verdict
from tutelage.commands.planning import Sampled, sample_phase
from tutelage.commands.servers import Survey
from tutelage.config.mapping import exchanged, parts_of
from tutelage.endpoints import LEDGER, Cap, Endpoint, EndpointError
from tutelage.phases import Phase
from tutelage.protocols import Codec, JudgeSpec, RewriterSpec
from tutelage.rewrites import StoredRewrites
from tutelage.run import Run
from tutelage.sources import RewriteSource
from tutelage.types import Absent, Chunk, Pool, Rewrite, Scored, Suffix

QUESTIONS = 20
"""Questions that each teacher is asked."""
BYTES_PER_TOKEN = 4.0
"""Of prompts, where no server told."""
READABLE = 0.9
"""A share of answers with a verdict below this is worth a warning; below ``1 - max_abstained`` the run would stop."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a trial took, as the servers count."""

    bytes_per_token: float = BYTES_PER_TOKEN
    answer_tokens: float | None = None
    """Mean of an answer; ``None`` where nothing was answered."""


def asked_teachers(run: Run, codec: Codec, survey: Survey) -> Iterator[Finding]:
    """What is found of all teachers whose servers ``survey`` finds up; equal ones of several phases are asked once."""
    known: list[tuple[Any, Usage]] = []
    for number, phase in enumerate(run.phases):
        if next(parts_of((phase.sources, phase.judges), Endpoint), None) is None:
            continue
        try:
            yield from _phase(run, number, phase, codec, survey, known)
        except (ValueError, OSError) as error:
            yield Finding(f"phases.{number}", "problem", f"its teachers were not asked: {error}")


def _phase(
    run: Run, number: int, phase: Phase, codec: Codec, survey: Survey, known: list[tuple[Any, Usage]]
) -> Iterator[Finding]:
    one = sample_phase(run, phase, codec)
    stream = phase.stream or run.stream
    chunks = sample_chunks(run, stream, codec, QUESTIONS)
    longest = phase_asked(phase, _longest(phase, chunks, run), one.resources)
    usages: dict[str, Usage] = {}
    for teacher in _teachers(phase):
        endpoints = [endpoint for _, endpoint in parts_of(teacher, Endpoint)]
        usage = next((usage for other, usage in known if other == teacher), None)
        if usage is None and endpoints:
            up, contexts = _looked_at(endpoints, survey)
            findings, usage = _asked(run, teacher, up, chunks, one)
            known.append((teacher, usage))
            yield from findings
            yield from _contexts([asked for asked in longest if asked.model in endpoints], contexts, usage)
        usages |= {endpoint.role: usage or Usage() for endpoint in endpoints}
    yield from _step(run, number, phase, one, usages)


def _teachers(phase: Phase) -> Iterator[JudgeSpec | RewriterSpec]:
    """Judges, and the rewriters that write, also those behind a table."""
    for source in phase.sources:
        if isinstance(source, RewriteSource):
            rewriter = source.rewriter.live if isinstance(source.rewriter, StoredRewrites) else source.rewriter
            if rewriter is not None:
                yield rewriter
    yield from phase.judges


def _longest(phase: Phase, chunks: Sequence[Chunk], run: Run) -> list[Pool]:
    """A pool with texts as long as the run's can be."""
    stream = phase.stream or run.stream
    return stand_in_pools([longest_chunk(chunks, stream)], phase.sources, stream)


# --------------------------------------------------------------------------- servers


def _looked_at(endpoints: Sequence[Endpoint], survey: Survey) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Which servers of each role answer, and how many tokens each takes where it says so; faults are told elsewhere."""
    up: dict[str, list[str]] = {endpoint.role: [] for endpoint in endpoints}
    contexts: dict[str, int] = {}
    for endpoint in endpoints:
        for url, look in zip(endpoint.servers, survey(endpoint), strict=True):
            if isinstance(look.found, EndpointError):
                continue
            up[endpoint.role].append(url)
            if look.found is not None and look.found.context is not None:
                contexts[url] = look.found.context
    return up, contexts


def _contexts(asked: Sequence[Asked], contexts: dict[str, int], usage: Usage) -> Iterator[Finding]:
    """Whether the longest prompts leave room for their answers on every server that tells its context."""
    for one in asked:
        assert isinstance(one.model, Endpoint)
        told = {url: contexts[url] for url in one.model.servers if url in contexts}
        if not told or not one.prompts:
            continue
        most = max(prompt_bytes(p) / usage.bytes_per_token + p.max_new_tokens for p in one.prompts)
        url = min(told, key=lambda name: told[name])
        fits = most <= told[url]
        text = f"the longest prompts take about {most:,.0f} tokens with their answers, {url} up to {told[url]:,}"
        remedy = "; lower the prompt's judge_prefix or max_new_tokens, or start it with a longer context"
        yield Finding(f"context of {one.role}", "ok" if fits else "problem", text if fits else text + remedy)


# --------------------------------------------------------------------------- questions


def _asked(
    run: Run, teacher: JudgeSpec | RewriterSpec, up: dict[str, list[str]], chunks: Sequence[Chunk], one: Sampled
) -> tuple[list[Finding], Usage]:
    """How many of some answers can be read, and what they took."""
    role = next(iter(up))
    if not all(up.values()):
        return [Finding(f"answers of {role}", "note", "not asked, for no server of it answers")], Usage()

    def here(part: Any) -> Any:
        """Fewer repeats, no cap (this is not the run's account), nothing kept."""
        if not isinstance(part, Endpoint):
            return part
        requests = replace(part.requests, retries=min(part.requests.retries, 2), max_wait_s=10.0)
        return replace(part, servers=tuple(up[part.role]), cap=Cap(), cache=None, requests=requests)

    LEDGER.take_metrics()
    tried: Any = exchanged(teacher, here)
    if hasattr(tried.build(one.resources), "judge"):
        pools = _pairs(chunks)
        judge = cast(JudgeSpec, teacher)
        a_pool = sum(len(asked.prompts) for asked in judge_asked(judge, pools[:1], one.resources))
        pools = pools[: max(1, math.ceil(QUESTIONS / max(a_pool, 1)))]
        dry = judge_asked(judge, pools, one.resources)
        judged = tried.build(one.resources).judge(pools)
        verdicts = [verdict for pool in judged for judgement in pool for verdict in judgement.verdicts]
        reasons = [verdict.reason for verdict in verdicts if not isinstance(verdict, Scored)]
        what = "verdicts"
    else:
        dry = rewriter_asked(cast(RewriterSpec, teacher), chunks, one.resources)
        written = tried.build(one.resources).rewrite(chunks)
        verdicts, reasons = list(written), [text.reason for text in written if isinstance(text, Absent)]
        what = "rewrites"
    return [_readable(run, role, what, len(verdicts), reasons)], _usage(role, dry)


def _pairs(chunks: Sequence[Chunk]) -> list[Pool]:
    """What an author wrote, and what another one wrote elsewhere: a question that has an answer."""
    others = (*chunks[1:], *chunks[:1])
    return [
        Pool(chunk, (Suffix(chunk.suffix), Rewrite(other.suffix, author="stand-in")))
        for chunk, other in zip(chunks, others, strict=True)
    ]


def _readable(run: Run, role: str, what: str, count: int, reasons: Sequence[str]) -> Finding:
    share = 1 - len(reasons) / count if count else 0.0
    stops = 1 - share > run.max_abstained
    verdict: Verdict = "problem" if stops else "ok" if share >= READABLE else "warning"
    told = f"{count - len(reasons)} of {count} {what} of a trial could be read ({share:.0%})"
    return Finding(f"answers of {role}", verdict, f"{told}; for example: {reasons[0]}" if reasons else told)


def _usage(role: str, dry: Sequence[Asked]) -> Usage:
    news = {name: float(getattr(metric, "total", 0.0)) for name, metric in LEDGER.take_metrics().items()}
    read, written = news.get(f"prompt_tokens/{role}", 0.0), news.get(f"answer_tokens/{role}", 0.0)
    count, size = sum(len(one.prompts) for one in dry), sum(one.bytes_read for one in dry)
    return Usage(size / read if read else BYTES_PER_TOKEN, written / count if count and written else None)


# --------------------------------------------------------------------------- a step


def _step(run: Run, number: int, phase: Phase, one: Sampled, usages: dict[str, Usage]) -> Iterator[Finding]:
    """Calls, tokens and price of a step, by role."""
    pools = one.taught_pools / max(one.steps, 1.0)
    where = f"phases.{number}: " if len(run.phases) > 1 else ""
    for asked in phase_asked(phase, one.pools, one.resources):
        if not isinstance(asked.model, Endpoint) or not asked.prompts:
            continue
        usage, times = usages.get(asked.role, Usage()), pools / len(one.pools)
        calls = times * len(asked.prompts)
        read = times * asked.bytes_read / usage.bytes_per_token
        most = usage.answer_tokens is None
        written = times * asked.most_written if usage.answer_tokens is None else calls * usage.answer_tokens
        told = f"{where}{calls:,.0f} calls a step, {read:,.0f} tokens read, {'up to ' * most}{written:,.0f} written"
        cost = asked.model.price.of(read, written)
        if cost:
            told += f"; cost {cost:,.4g} a step, {cost * one.steps:,.2f} in {one.steps:,.0f} steps"
        yield Finding(f"a step of {asked.role}", "note", told)
