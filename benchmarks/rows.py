"""Which pairs there are, how each is measured, and which of them the two benches run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.pairing import ROOT, Pairs, Step, after_timing, fresh, interleave, own_python

Shape = tuple[int, int, int]
OWN, TRL, VLLM = own_python(), ROOT / ".venv-trl/bin/python", ROOT / ".venv-vllm/bin/python"
Unit = Literal["s/step", "s/pass", "s/cut", "tokens/s", "MiB"]


def seconds(step: Step) -> float:
    """Of a step or a pass."""
    return step.seconds


def share_of_seconds(step: Step) -> float:
    """Seconds a document, or a cut of one."""
    return step.seconds / step.amount


def rate(step: Step) -> float:
    """Tokens a second."""
    return step.amount / step.seconds


def memory(step: Step) -> float:
    """MiB above the loaded model."""
    return step.grown_mib


@dataclass(frozen=True, slots=True)
class Kind:
    """A pair: two arms, where theirs runs, and what is read off them."""

    ours: str
    theirs: str
    unit: Unit
    python: Path = OWN
    value: Callable[[Step], float] = seconds
    flip: bool = True
    """Whether the ratio is theirs over ours, so that more is better; a surcharge and a rate are ours over theirs."""
    measure: Callable[..., Pairs] = interleave
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """For both sides."""


MEMORY = {"memory": True, "rows": 1 << 20}
SAMPLING = Kind("benchmarks.ours:sampling", "", "tokens/s", value=rate, flip=False)
SURCHARGE = Kind("", "benchmarks.ours:ntp_documents", "s/cut", value=share_of_seconds, flip=False)
KINDS: dict[tuple[str, str], Kind] = {
    ("step", "trl_grpo"): Kind("benchmarks.ours:step", "benchmarks.peers.trainers:trl_grpo", "s/step", TRL),
    ("step_dpo", "trl_online_dpo"): Kind(
        "benchmarks.ours:step_dpo", "benchmarks.peers.trainers:trl_online_dpo", "s/step", TRL
    ),
    ("step_dpo", "assembly"): Kind("benchmarks.ours:step_dpo", "benchmarks.peers.vllm:assembly", "s/step", VLLM),
    ("pass", "twin"): Kind("benchmarks.ours:grpo_pass", "benchmarks.peers.twin:grpo_pass", "s/pass"),
    ("pass_pair", "twin"): Kind("benchmarks.ours:pair_pass", "benchmarks.peers.twin:pair_pass", "s/pass"),
    ("sampling", "generate"): replace(SAMPLING, theirs="benchmarks.peers.generate:generate"),
    ("sampling", "generate_batch"): replace(SAMPLING, theirs="benchmarks.peers.generate:generate_batch", python=TRL),
    ("sampling", "vllm"): replace(SAMPLING, theirs="benchmarks.peers.vllm:sampling", python=VLLM),
    ("memory", "twin"): Kind(
        "benchmarks.ours:grpo_pass",
        "benchmarks.peers.twin:grpo_pass",
        "MiB",
        value=memory,
        measure=fresh,
        settings=MEMORY,
    ),
    ("ntp", "hf_trainer"): Kind(
        "benchmarks.ours:ntp_tokens", "benchmarks.peers.trainers:hf_trainer", "tokens/s", TRL, value=rate, flip=False
    ),
    ("overlap", "strict"): Kind(
        "benchmarks.overlap:ahead",
        "benchmarks.overlap:strict",
        "s/step",
        measure=after_timing("benchmarks.overlap:sampling", "judge_seconds"),
    ),
    ("surcharge_dpo", "ntp"): replace(SURCHARGE, ours="benchmarks.ours:pretraining_dpo"),
    ("surcharge_grpo", "ntp"): replace(SURCHARGE, ours="benchmarks.ours:pretraining_grpo"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a bench."""

    name: str
    against: str
    shape: Shape
    pairs: int = 5
    prompts: int = 2
    cuts: int = 1
    limit_s: float = 900.0
    """No pair is begun after this."""

    @property
    def kind(self) -> Kind:
        """How it is measured.

        Raises:
            ValueError: there is no such pair.
        """
        if (self.name, self.against) not in KINDS:
            known = ", ".join(" against ".join(key) for key in KINDS)
            raise ValueError(f"there is no {self.name} against {self.against}; there are {known}")
        return KINDS[self.name, self.against]

    @property
    def key(self) -> tuple[object, ...]:
        """As `benchmarks.results.Result.key`."""
        return (self.name, self.against, self.shape, self.prompts, self.cuts)

    @property
    def command(self) -> str:
        """What measures this row alone."""
        shape = ",".join(map(str, self.shape))
        parts = [f"python -m benchmarks {self.name} --against {self.against} --shape {shape}"]
        parts += [f"--pairs {self.pairs}", f"--prompts {self.prompts}"]
        return " ".join(parts + ([f"--cuts {self.cuts}"] if self.cuts > 1 else []))


SMALL, MIDDLE, LARGE = (256, 64, 8), (896, 128, 16), (1920, 128, 16)
QUICK = (
    Row("step", "trl_grpo", MIDDLE, 3),
    Row("step_dpo", "assembly", MIDDLE, 3),
    Row("pass", "twin", MIDDLE, 3),
    Row("pass_pair", "twin", (896, 128, 2), 5),
    Row("sampling", "generate", MIDDLE, 3),
    Row("sampling", "vllm", MIDDLE, 3),
    Row("memory", "twin", MIDDLE, 3, prompts=1),
    Row("ntp", "hf_trainer", (1920, 128, 1), 5),
)


def full() -> tuple[Row, ...]:
    """Every row of the bench, the headlines first."""
    heads = [
        *(Row("step_dpo", "assembly", MIDDLE, prompts=n) for n in (2, 8)),
        *(Row("step", "trl_grpo", shape, prompts=n) for shape, n in ((SMALL, 4), (MIDDLE, 2), (LARGE, 2))),
        *(Row("step_dpo", "trl_online_dpo", (*shape[:2], 2), prompts=4) for shape in (SMALL, MIDDLE, LARGE)),
        *(Row("pass", "twin", shape) for shape in (MIDDLE, LARGE)),
        *(Row("pass_pair", "twin", (*shape[:2], 2)) for shape in (MIDDLE, LARGE)),
        *(Row("sampling", peer, MIDDLE) for peer in ("generate", "generate_batch", "vllm")),
        *(Row("memory", "twin", shape, prompts=1) for shape in (MIDDLE, LARGE)),
        Row("ntp", "hf_trainer", (1920, 128, 1)),
        Row("overlap", "strict", MIDDLE),
    ]
    surcharges = [
        Row(name, "ntp", (1920, 128, 8), cuts=cuts)
        for name, many in (("surcharge_dpo", (1, 2, 4, 8, 16)), ("surcharge_grpo", (1, 4)))
        for cuts in many
    ] + [Row("surcharge_dpo", "ntp", (1920, 128, 8), prompts=8)]
    # All with one prompt, those of the heads' shapes once more, so that nothing but K or P differs along a series.
    growing = [(896, 128, k) for k in (1, 2, 4, 8, 16, 32, 64)] + [(p, 128, 16) for p in (128, 384, 1920, 4096, 8192)]
    growth = [
        Row(name, peer, shape, prompts=1, limit_s=120)
        for shape in growing
        for name, peer in (("pass", "twin"), ("sampling", "generate"))
    ]
    return (*heads, *surcharges, *growth)
