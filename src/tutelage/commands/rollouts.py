"""What ``tutelage doctor`` finds out about servers of rollouts: who is up, with which model, and takes weights.

Nothing is sampled and no weights are sent.
"""

from collections.abc import Iterator
from pathlib import Path

from tutelage.commands.dry_asking import longest_chunk, sample_chunks
from tutelage.commands.machine import Finding
from tutelage.commands.memory_plan import Shape, shape_of
from tutelage.commands.planning import rollouts_of, sample_phase
from tutelage.commands.servers import Survey, told
from tutelage.endpoints import EndpointError, Look, Retryable
from tutelage.phases import Phase
from tutelage.protocols import Codec
from tutelage.run import Run
from tutelage.served import RolloutServers, held_weights
from tutelage.sources import RolloutSource
from tutelage.weights import Pretrained

PLACE = "rollout_servers"
LOOKED_AT = 20
"""Documents by which prompts are measured where their stream does not tell how long they become."""


def looked_at_rollouts(run: Run, codec: Codec | None, shape: Shape | None, survey: Survey) -> Iterator[Finding]:
    """Every server of rollouts and what of the run it must bear; without a ``codec`` where documents cannot be read."""
    servers = run.rollout_servers
    if servers is None:
        return
    phases = [phase for phase in run.phases if any(isinstance(source, RolloutSource) for source in phase.sources)]
    if not phases:
        yield Finding(PLACE, "warning", "no phase samples rollouts: nobody would ask them")
    yield from _temperatures(phases)
    longest = max((_longest(run, phase, codec) for phase in phases), default=0) if codec is not None else 0
    for look in survey(servers):
        yield from _server(servers, look, codec, shape, longest)
    if codec is not None:
        yield from (_step(run, phase, codec) for phase in phases)


def _temperatures(phases: list[Phase]) -> Iterator[Finding]:
    sources = [source for phase in phases for source in phase.sources if isinstance(source, RolloutSource)]
    odd = sorted({source.temperature for source in sources} - {0.0, 1.0})
    if odd:
        text = f"rollouts are sampled at temperature {', '.join(f'{one:g}' for one in odd)}, servers give 0 or 1 alone"
        yield Finding(PLACE, "problem", f"{text}: choose 1, or leave out rollout_servers")


def _longest(run: Run, phase: Phase, codec: Codec) -> int:
    """Tokens of the longest prefix with its rollout."""
    stream = phase.stream or run.stream
    chunk = longest_chunk(sample_chunks(run, stream, codec, LOOKED_AT), stream)
    return len(chunk.prefix) + stream.suffix_length


def _server(
    servers: RolloutServers, look: Look, codec: Codec | None, shape: Shape | None, longest: int
) -> Iterator[Finding]:
    if isinstance(look.found, Retryable):  # it cannot be up before the run has written what it is started on
        wait = f"the run writes the folder to start it on, says how, and waits {servers.requests.start_timeout_s:g} s"
        yield Finding(PLACE, "warning", f"{look.found}; {wait}")
        return
    yield told(PLACE, servers, look)
    if isinstance(look.found, EndpointError):
        return
    yield _routes(servers, look.url)
    if look.found is None:
        return
    if look.found.context is not None and longest:
        fits = longest <= look.found.context
        text = f"the longest prefixes take {longest:,} tokens with their rollouts, {look.url} up to"
        remedy = "" if fits else "; lower stream.max_length, or start it with a longer --max-model-len"
        yield Finding(
            f"context of {PLACE}", "ok" if fits else "problem", f"{text} {look.found.context:,} tokens{remedy}"
        )
    folder = look.found.folder
    if codec is not None and shape is not None and folder and (Path(folder) / "config.json").is_file():
        yield _model(look.url, folder, codec, shape)


def _routes(servers: RolloutServers, url: str) -> Finding:
    try:
        name = held_weights(servers, url)
    except EndpointError as error:
        return Finding(PLACE, "problem", str(error))
    return Finding(PLACE, "ok", f"{url} takes weights; those that it has are called {name!r}")


def _model(url: str, folder: str, codec: Codec, shape: Shape) -> Finding:
    """Whether the folder that a server was started on holds a model into which the policy's weights go."""
    try:
        theirs = shape_of(Pretrained(folder), codec)
    except (ValueError, OSError) as error:
        return Finding(PLACE, "problem", f"{url} was started on {folder}, which cannot be read: {error}")
    if (theirs.matrices, theirs.vocab) == (shape.matrices, shape.vocab):  # the head may stand by itself there
        return Finding(PLACE, "ok", f"{url} was started on a model of the policy's shape, {folder}")
    sizes = [f"{one.matrices:,} parameters between {one.vocab:,} embeddings and head" for one in (theirs, shape)]
    text = f"{url} was started on {folder}, a model with {sizes[0]}; the policy has {sizes[1]}"
    return Finding(PLACE, "problem", f"{text}: start it on the folder that the run writes")


def _step(run: Run, phase: Phase, codec: Codec) -> Finding:
    """Calls and tokens of a step."""
    one = sample_phase(run, phase, codec)
    calls, read, written = (amount / max(one.steps, 1.0) for amount in rollouts_of(one))
    where = f"phases.{run.phases.index(phase)}: " if len(run.phases) > 1 else ""
    text = f"{where}{calls:,.0f} calls a step, {read:,.0f} tokens read, up to {written:,.0f} written"
    return Finding("a step of rollout", "note", f"{text}; weights are sent to every server once a step")
