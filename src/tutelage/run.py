"""A run: one frozen tree that says everything, written to ``run.yaml`` and trainable from there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.codec import Tokenizer
from tutelage.config import dump_yaml, from_plain, load_yaml, to_plain
from tutelage.endpoints import HOW_ASKED
from tutelage.evaluate import Evaluation
from tutelage.experience import SuffixTask
from tutelage.maths.ranges import require
from tutelage.optimizer import AdamW, OptimizerSpec
from tutelage.phases import Limit, Phase
from tutelage.protocols import StreamSpec
from tutelage.record import write_atomically
from tutelage.samples import Recording
from tutelage.served import RolloutServers
from tutelage.stream import NoDocuments
from tutelage.trackers import TrackerSpec
from tutelage.weights import ModelSpec


@dataclass(frozen=True, slots=True)
class Checkpointing:
    """When to write checkpoints, and which to keep. One is always written at the end and on SIGTERM."""

    every: int = 100
    """Updates between two checkpoints."""
    keep_last: int = 2
    """Newest checkpoints to keep."""
    keep_every: int | None = None
    """Also keep those at multiples of this."""
    replay_steps: int = 20
    """So many steps after the beginning, and after every checkpoint that is kept, can be replayed."""

    def __post_init__(self) -> None:
        require(self, "every", "keep_last", "keep_every", at_least=1)
        require(self, "replay_steps", at_least=0)

    def records(self, kept: Sequence[int], last: int) -> set[int]:
        """The draws to keep, each by the number of updates before it, where ``kept`` are the checkpoints there are.

        All since the oldest of the newest checkpoints, up to ``last``, for a run may have to go on from it; and what
        ``tutelage replay`` can reach from the beginning, which needs no checkpoint, and from the others.
        """
        oldest = kept[-self.keep_last :][0] if kept else 0
        replayed = {n for start in (0, *kept) for n in range(start, start + self.replay_steps)}
        return replayed | set(range(oldest, last + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that decides what a run does."""

    phases: tuple[Phase, ...]
    """What is trained, one after the other."""
    tokenizer: Tokenizer
    """Of the policy."""
    model: ModelSpec
    """The policy: from a configuration, or from a folder."""
    stream: StreamSpec = NoDocuments()
    """Where documents come from, and how they are cut; left out where no phase reads any."""
    name: str = "run"
    """What trackers and reports call it."""
    split: str = "policy"
    """Which keyed split of the documents is read: ``policy``, ``judge`` or ``rewriter``."""
    seed: int = 0
    """All random draws are functions of this."""
    optimizer: OptimizerSpec = AdamW()
    """How gradients become updates."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    max_tokens_per_batch: int = 16_384
    """Packed tokens of a micro-batch; the gradient does not depend on it."""
    save_memory: bool = False
    """Compute activations again in the backward pass instead of keeping them: a third more time for far less memory."""
    sampler_rows: int = 256
    """Most continuations that are sampled at a time; fewer where they would take more than a quarter of memory."""
    rollout_servers: RolloutServers | None = None
    """Servers that sample rollouts in this process's place, from weights that are pushed to them."""
    checkpoint: Checkpointing = Checkpointing()
    """When checkpoints are written, and which are kept."""
    samples: Recording = Recording()
    """How much of what was sampled is kept."""
    evaluations: tuple[Evaluation, ...] = ()
    """What is measured while it trains."""
    limits: tuple[Limit, ...] = ()
    """Metrics that stop the run, or warn, when they leave their range."""
    max_abstained: float = 0.5
    """Stop when a judge abstains on more than this share of a step's candidates."""
    max_untaught: int = 20
    """Stop after so many steps in a row in which no pool could teach anything; 0 goes on for ever."""
    trackers: tuple[TrackerSpec, ...] = ()
    """Besides ``metrics.jsonl``, which is always written."""
    device: str = "auto"
    """``cpu``, ``cuda``, or ``auto``: a GPU where there is one."""
    threads: int | None = None
    """CPU threads of this process; the machine's default where not given."""

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("a run needs at least one phase")
        for number, phase in enumerate(self.phases):
            if isinstance(phase.task, SuffixTask) and isinstance(phase.stream or self.stream, NoDocuments):
                raise ValueError(f"phase {number} reads documents, but there are none: give the run a stream")
        require_file_name("name", self.name)
        require(self, "gradient_clip", above=0)
        require(self, "max_tokens_per_batch", "sampler_rows", at_least=1)
        require(self, "threads", at_least=1)
        require(self, "max_abstained", at_least=0, at_most=1)
        require(self, "max_untaught", at_least=0)


def require_context(run: Run, context: int | None) -> None:
    """Refuse streams whose texts can be longer than the model's ``context`` in tokens, before one of them ends the run.

    Raises:
        ValueError: naming the setting, what it is, and the context.
    """
    named = [("stream", run.stream), *((f"phases.{i}.stream", phase.stream) for i, phase in enumerate(run.phases))]
    for place, stream in named:
        longest: int | None = getattr(stream, "max_length", None)
        if context is not None and longest is not None and longest > context:
            raise ValueError(f"{place}.max_length is {longest}, and the model takes {context} tokens: lower it")


def require_file_name(field: str, name: str) -> None:
    """Refuse a name that could lead out of the folder that it is put into.

    Raises:
        ValueError: other characters than letters, digits, ``.``, ``_`` and ``-``, or nothing but one or two dots.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name in (".", ".."):
        raise ValueError(f"{field} must be a file name of letters, digits, '.', '_' and '-', not {name!r}")


FREE_TO_CHANGE = frozenset(
    {
        "name",
        "save_memory",
        "checkpoint",
        "samples",
        "trackers",
        "device",
        "threads",
        "limits",
        "max_abstained",
        "max_untaught",
    }
)
"""Fields of a run that may differ on resume: they do not decide what is learnt."""


_SERVED = re.compile(rf".*\.model\.({'|'.join(HOW_ASKED)})(\..*)?|rollout_servers\..*")


def is_free_to_change(path: str) -> bool:
    """Whether the setting at ``path`` may differ on resume: it decides how the run goes, not what is learnt."""
    return path.split(".")[0] in FREE_TO_CHANGE or _SERVED.fullmatch(path) is not None


def save_run(run: Run, path: Path) -> None:
    """Write the resolved tree."""
    write_atomically(path, dump_yaml(to_plain(run)).encode())


def load_run(path: Path, imports: tuple[str, ...] = ()) -> Run:
    """Read a ``run.yaml``; class names resolve inside ``tutelage`` and ``imports`` only.

    Raises:
        ConfigError: an unknown key (names the nearest), a missing or ill-typed value, a class that is not allowed.
    """
    plain: Any = load_yaml(path)
    return from_plain(Run, plain, imports=imports, file=path)
