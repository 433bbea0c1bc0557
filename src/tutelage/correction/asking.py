"""A model from a folder, put to the correction task outside of a run."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.codec import Tokenizer
from tutelage.config import fingerprint, to_plain
from tutelage.correction.experience import CorrectionExperience
from tutelage.correction.outcomes import Outcomes, outcomes_of
from tutelage.correction.problems import ProblemReader
from tutelage.correction.task import Correction
from tutelage.devices import device_of
from tutelage.episodes import EpisodeGroup
from tutelage.maths.ranges import require
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.sampler import InProcessSampler
from tutelage.weights import ModelSpec, Pretrained, is_mixed, load_model


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that attempts problems and is not trained."""

    model: ModelSpec
    tokenizer: Tokenizer
    seed: int = 0
    """Of all draws, and of the order of problems: equal seeds meet equal problems in the same order."""
    device: str = "auto"
    """As in a run."""
    max_rows: int = 1024
    """Most attempts that are sampled at a time."""

    def fingerprint_in(self, task: Correction, *settings: object) -> str:
        """Hex digest of all that decides what becomes of a task's episodes.

        Files of the model count by name, size and time, first attempts of another model by content.
        """
        folder = Path(self.model.path).expanduser() if isinstance(self.model, Pretrained) else None
        files = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
        first = task.first_attempts and task.first_attempts.fingerprint
        told = {"subject": to_plain(self), "task": to_plain(task), "files": stats, "first": first, "more": settings}
        return fingerprint(told)

    def resources(self) -> Resources:
        """The model loaded, with its sampler.

        Raises:
            ValueError: it cannot be loaded, or does not go with the tokenizer.
        """
        codec, device = self.tokenizer.build(), device_of(self.device)
        model = load_model(self.model, codec, seed=self.seed, device=device).requires_grad_(False)
        policy = Policy(model, mixed=is_mixed(self.model.precision, device))
        sampler = InProcessSampler(policy, eos=codec.eos, max_rows=self.max_rows)
        return Resources(self.seed, codec, sampler, 1, Path())


@dataclass(frozen=True, slots=True)
class Exam:
    """Problems with how they are asked, and how often."""

    task: Correction
    problems: int = 200
    """How many are asked, drawn by their ids; at most as many as there are."""
    temperature: float = 1.0
    """0 decodes greedily, a single episode a problem."""

    def __post_init__(self) -> None:
        require(self, "problems", at_least=1)
        require(self, "temperature", at_least=0)

    def taken_by(self, resources: Resources) -> Outcomes:
        """What became of the episodes.

        Raises:
            ValueError: no problem can be used.
        """
        return outcomes_of(self.episodes_of(resources))

    def episodes_of(self, resources: Resources) -> tuple[EpisodeGroup, ...]:
        """The episodes themselves; equal seeds ask equal problems.

        Raises:
            ValueError: no problem can be used.
        """
        task = replace(self.task, episodes=1) if self.temperature == 0 else self.task
        reader = task.open(resources.seed, resources.codec, self.problems)
        with posing(task, reader, resources, self.temperature) as experience:
            return experience.take(len(reader)).episodes


@contextmanager
def posing(
    task: Correction, reader: ProblemReader, resources: Resources, temperature: float = 1.0
) -> Generator[CorrectionExperience]:
    """Episodes from the first problem on, with the verifier at work for as long as the context lasts."""
    experience = CorrectionExperience(
        *(task, reader, resources), cursor=reader.start(), rank=0, size=1, temperature=temperature
    )
    try:
        yield experience
    finally:
        experience.close()
