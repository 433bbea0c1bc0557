"""A world of digits so small that an untrained policy solves some of it, and a run that takes milliseconds a step.

A problem is a digit; an attempt is right if the first digit that it says is the next one. Whoever attempts at random is
right in a tenth of the cases, and an attempt ends by itself in about as many.
"""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tutelage import codec
from tutelage.correction import Correction, Plain, question_of
from tutelage.episodes import Problem
from tutelage.objectives import Objective, StageOne, StageTwo
from tutelage.optimizer import LearningRate
from tutelage.phases import Initial, Phase, Steps
from tutelage.problems.contract import ProblemSet
from tutelage.protocols import Prompt
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.types import Abstained, Scored, Verdict
from tutelage.weights import FromConfig

WORDS = ("<|endoftext|>", "<unk>", *map(str, range(10)), "next", "again")
SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
RATE = LearningRate(2e-2, warmup_steps=2)


def write_tokenizer(folder: Path, template: str | None = None) -> Path:
    """Words are tokens that carry the space before them."""
    vocabulary = {word if i < 2 else f" {word}": i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=WORDS[1]))
    tokenizer.normalizer = normalizers.Replace(Regex(r"^(?=\S)"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s*\S+"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=WORDS[0], unk_token=WORDS[1])
    if template is not None:
        fast.chat_template = template
    fast.save_pretrained(str(folder))
    return folder


@dataclass(frozen=True)
class Digits:
    """What comes after each digit; also broken problems, where asked."""

    count: int = 10
    broken: int = 0

    def read(self) -> ProblemSet:
        whole = [Problem(f"digit-{i}", str(i % 10), str((i + 1) % 10)) for i in range(self.count)]
        problems = (*whole, *(Problem(f"broken-{i}", "3", " ") for i in range(self.broken)))
        return ProblemSet(problems, (None,) * len(problems))


@dataclass(frozen=True)
class Prompts:
    """The same as whole prompts."""

    def read(self) -> ProblemSet:
        asked = [question_of(Prompt("", f"next {i}")) for i in range(9)]
        problems = tuple(Problem(f"prompt-{i}", text, str(i + 1)) for i, text in enumerate(asked))
        return ProblemSet(problems, (None,) * len(problems))


OPENED: list[str] = []
"""What became of verifiers."""


@dataclass(frozen=True)
class NextDigit:
    """Right if the first digit is the next one, or any ``even`` one; ``silent`` abstains on it, ``broken`` raises."""

    silent: tuple[str, ...] = ()
    broken: bool = False
    inverted: bool = False
    even: bool = False

    def build(self) -> AbstractContextManager["NextDigit"]:
        return self.running()

    @contextmanager
    def running(self) -> Generator["NextDigit"]:
        OPENED.append("open")
        yield self
        OPENED.append("closed")

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        if self.broken:
            raise OSError("the sandbox is gone")
        return [self.verdict(problem, text) for problem, text in zip(problems, attempts, strict=True)]

    def verdict(self, problem: Problem, text: str) -> Verdict:
        said = answer_of(text)
        if said in self.silent:
            return Abstained("it hung")
        right = said is not None and int(said) % 2 == 0 if self.even else said == problem.key
        return Scored(float(right != self.inverted))

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        return [answer_of(text) for text in attempts]


def answer_of(text: str) -> str | None:
    return next((word for word in text.split() if word.isdigit()), None)


def task(**changes: Any) -> Correction:
    settings: dict[str, Any] = {
        "problems": Digits(),
        "verifier": NextDigit(),
        "format": Plain("next {question}", "again"),
        "episodes": 6,
        "max_new_tokens": 8,
    }
    return Correction(**(settings | changes))


def correcting(objective: Objective | None = None, steps: int = 4, **changes: Any) -> Phase:
    """A phase; what is no field of a phase changes the task."""
    phase: dict[str, Any] = {"until": Steps(steps), "learning_rate": RATE, "documents_per_step": 4}
    own = {name: changes.pop(name) for name in list(changes) if name in Phase.__dataclass_fields__}
    return Phase(objective or StageTwo(alpha=2.0), **(phase | {"task": task(**changes)} | own))


def correction_run(tokenizer: Path, *phases: Phase, **changes: Any) -> Run:
    settings: dict[str, Any] = {
        "phases": phases or (correcting(),),
        "tokenizer": codec.Tokenizer(str(tokenizer)),
        "model": FromConfig("llama", SHAPE),
        "checkpoint": Checkpointing(every=100_000),
        "device": "cpu",
    }
    return Run(**(settings | changes))


def resumable_correction(tokenizer: Path, depth: int = 0) -> Run:
    """Both stages, an adapted leash, the base as reference, three attempts at other problems, checkpoints between."""
    first = correcting(StageOne(kl_target=0.01), 3, queue_depth=depth)
    second = correcting(StageTwo(alpha=2.0, beta1=0.1), 3, queue_depth=depth, reference=Initial())
    third = correcting(StageOne(turn=3), 2, turns=3, problems=Digits(7), queue_depth=depth)
    phases = (first, second, third, correcting(StageTwo(), 1, queue_depth=depth))
    settings = Checkpointing(every=2, keep_last=2)
    return correction_run(tokenizer, *phases, checkpoint=settings, samples=Recording(text_every=2))
