"""``tutelage replay``: feed a recorded step to the trainer alone, in memory; the run is only read.

Step N is the N-th update, counted from 1, as in ``metrics.jsonl`` and ``tutelage show``. The newest checkpoint before
it gives the weights; steps between the two are replayed as well, in order. No source, judge or document is needed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby, takewhile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage import state
from tutelage.commands.directories import run_directory
from tutelage.commands.show import ranges
from tutelage.commands.terminal import messages, results
from tutelage.commands.untrusted import one_line
from tutelage.devices import device_of
from tutelage.draws import replayed, together
from tutelage.episodes import EpisodeGroup
from tutelage.experience import Take
from tutelage.loop import StepReport, one_step, teach
from tutelage.objectives import Lesson
from tutelage.phases import Phase, Progress, watched_metrics
from tutelage.policy import Policy
from tutelage.protocols import Codec
from tutelage.quiet import hush
from tutelage.ranks import OneRank
from tutelage.record import RecordError, RecordFile, read_record, record_files
from tutelage.run import Run, load_run
from tutelage.session import new_reference
from tutelage.trackers import read_metrics
from tutelage.types import Group, JudgedPool, Pair, Row, Segment
from tutelage.update import Learner, RunStopped
from tutelage.weights import is_mixed, load_model

SHOWN = ("loss/", "policy/", "dpo/", "grpo/", "kl", "pool/", "advantage/", "tokens/trained")
"""Metrics that the trainer makes."""


def replay_command(run: Path, step: int, *, limit: int = 5, imports: tuple[str, ...] = ()) -> int:
    """Print the loss terms, the gradient's norm and the pairs of one step; see ``cli.Replay``."""
    directory = run_directory(run)
    if step < 1:
        raise ValueError(f"steps are counted from 1; there is no step {step}")
    hush()
    took = takes(directory, step)
    trainer = Trainer.at(load_run(directory / "run.yaml", imports), directory, step - 1 - len(took[:-1]))
    if len(took) > 1:
        messages().print(f"Replaying {len(took) - 1} steps from the checkpoint of step {trainer.progress.step}")
    for take in took[:-1]:
        trainer.learn(take)
    console = results()
    try:
        report = trainer.learn(took[-1])
    except RunStopped as error:
        _print_pairs(console, trainer.codec, took[-1].groups, trainer.lessons(took[-1]), limit)
        raise RunStopped(f"step {step} stops again: {error}") from error
    console.print(_comparison(report.metrics, _recorded(directory, step), step))
    _print_pairs(console, trainer.codec, took[-1].groups, report.lessons, limit)
    return 0


def takes(directory: Path, step: int) -> list[Take]:
    """What each step from the newest checkpoint before ``step`` up to it learnt from, on all ranks together.

    Raises:
        ValueError: the checkpoint or a record is gone; says what is there.
    """
    known = [0, *state.steps(directory / "checkpoints")]
    start = max(number for number in known if number < step)
    held = _held(directory / "ring")
    try:
        return [_take(held, number) for number in range(start, step)]
    except _Missing as missing:
        whole = held.keys() - {missing.number}
        raise ValueError(_why_not(missing, start, step, replayable(known, whole))) from missing


def replayable(checkpoints: Iterable[int], records: Collection[int]) -> list[int]:
    """The steps that unbroken records lead to from a checkpoint; records count the updates made before them."""
    found: set[int] = set()
    for start in checkpoints:
        found.update(number + 1 for number in takewhile(records.__contains__, count(start)))
    return sorted(found)


class _Missing(ValueError):
    """The record of update ``number + 1`` cannot be had."""

    def __init__(self, number: int, told: str) -> None:
        super().__init__(told)
        self.number = number


def _held(ring: Path) -> dict[int, list[Path]]:
    """The files of every whole record, by the updates made before it."""
    steps = groupby(record_files(ring), key=lambda file: file.step)
    return {number: paths for number, files in steps if (paths := _whole(list(files)))}


def _take(held: Mapping[int, Sequence[Path]], number: int) -> Take:
    """The record of update ``number + 1``: the ring counts the updates made before."""
    if number not in held:
        raise _Missing(number, "is gone")
    try:
        records: list[Any] = [read_record(path) for path in held[number]]
    except (FileNotFoundError, RecordError) as error:
        raise _Missing(number, f"cannot be read ({error})") from error
    return together([replayed(*record) for record in records])


def _whole(files: Sequence[RecordFile]) -> list[Path]:
    """A step's file of every rank. Of several numbers of ranks, those that recorded it last made the update."""
    sets = {size: [file.path for file in files if file.size == size] for size in {file.size for file in files}}
    whole = [paths for size, paths in sets.items() if len(paths) == size]
    return max(whole, key=lambda paths: paths[0].stat().st_mtime_ns, default=[])


def _why_not(missing: _Missing, start: int, step: int, can: Sequence[int]) -> str:
    origin = f"the checkpoint of step {start}" if start else "the beginning, for no checkpoint before it is left"
    there = f"What can be replayed: steps {ranges(can)}" if can else "No step of this run can be replayed"
    return (
        f"step {step} cannot be replayed: it starts from {origin}, and the record of step {missing.number + 1} "
        f"{missing}. {there}. Checkpoints are kept by checkpoint.keep_last and checkpoint.keep_every, and records of "
        "checkpoint.replay_steps steps after each and after the beginning"
    )


@dataclass(slots=True)
class Trainer:
    """A run's trainer without its sources, judges and documents."""

    run: Run
    codec: Codec
    learner: Learner
    progress: Progress
    reference: Policy | None
    evaluated: Mapping[int, Mapping[str, float]]
    """What the run's own evaluations measured, for the rules that look at it."""

    @classmethod
    def at(cls, run: Run, directory: Path, step: int) -> "Trainer":
        """The trainer as it was after ``step`` updates.

        Raises:
            CheckpointError: the checkpoint is torn or altered.
        """
        codec = run.tokenizer.build()
        device = device_of(run.device)
        model = load_model(run.model, codec, seed=run.seed, device=device)
        policy = Policy(model, mixed=is_mixed(run.model.precision, device))
        optimizers = run.optimizer.build(model)
        learner = Learner(policy, optimizers, OneRank(), run.max_tokens_per_batch, run.gradient_clip)
        rows = {int(row["step"]): row for row in read_metrics(directory / "metrics.jsonl")}
        trainer = cls(run, codec, learner, Progress(), None, rows)
        if step:
            snapshot = state.read(directory / "checkpoints" / f"step-{step:08d}")
            trainer.reference = state.restore(snapshot, policy, optimizers)
            trainer.progress = Progress(**snapshot.facts["progress"])
        return trainer

    def learn(self, take: Take) -> StepReport:
        """One update, as ``RunSession`` would make it."""
        phase = self._phase()
        report = one_step(self.learner, self._reference(phase), phase, take, self.progress, self._watch())
        # Evaluations are not repeated: what they gave then is remembered.
        found = self.evaluated.get(report.progress.step, {})
        evaluated = {name: value for name, value in found.items() if name.startswith("evaluation/")}
        self.progress = report.progress.remember(evaluated, self._watch())
        return report

    def lessons(self, take: Take) -> tuple[Lesson, ...]:
        """What the objective makes of every pool, without an update."""
        return teach(self._phase(), take, self.progress, self.learner.ranks)[0].lessons

    def _phase(self) -> Phase:
        while self.progress.is_over(self.run.phases[self.progress.phase].until):
            self.progress = self.progress.next_phase()
            self.reference = None
        return self.run.phases[self.progress.phase]

    def _reference(self, phase: Phase) -> Policy | None:
        if not phase.objective.needs_reference:
            return None
        if self.reference is None:
            self.reference = new_reference(self.run, phase, self.codec, self.learner.policy)
        elif phase.reference.is_due(self.progress.phase_step):
            self.reference.copy_weights(self.learner.policy)
        return self.reference

    def _watch(self) -> dict[str, int]:
        """Metrics that end phases; limits do not stop a replay."""
        return watched_metrics(self.run.phases, ())


def _recorded(directory: Path, step: int) -> Mapping[str, Any]:
    return next((row for row in read_metrics(directory / "metrics.jsonl") if row["step"] == step), {})


def _comparison(replayed: Mapping[str, float], recorded: Mapping[str, Any], step: int) -> Table:
    """What the trainer gives now beside what it gave then."""
    table = Table(title=f"Step {step}", title_justify="left")
    table.add_column("metric")
    table.add_column("replayed", justify="right")
    table.add_column("recorded", justify="right")
    for name, value in replayed.items():
        if name.startswith(SHOWN):
            then = recorded.get(name)
            told = "–" if then is None else "the same" if then == value else f"{then:.6g}"
            table.add_row(Text(one_line(name)), f"{value:.6g}", told)
    return table


def _print_pairs(
    console: Console, codec: Codec, groups: Sequence[JudgedPool | EpisodeGroup], lessons: Sequence[Lesson], limit: int
) -> None:
    """What is trained of every pool, or of every problem's episodes."""
    for pool, lesson in list(zip(groups, lessons, strict=True))[:limit]:
        document = one_line(_name(pool), 60)
        match lesson.item:
            case None:
                console.print(f"{document}: nothing to train")
            case Pair():
                console.print(f"{document}: a pair")
                for role, row in (("chosen", lesson.item.chosen), ("rejected", lesson.item.rejected)):
                    text = codec.decode(row.segments[-1].tokens)
                    console.print(f"  {role:9} {_about(pool, row.segments[-1].tokens)} {one_line(text, 160)}")
            case Group(rows):
                console.print(f"{document}: {len(rows)} rows")
                for segment in (one for row in rows for one in _shown(row)):
                    told = f"advantage {segment.advantage:+.3f} " if segment.advantage else ""
                    text = one_line(codec.decode(segment.tokens), 160)
                    console.print(f"  {told}{_about(pool, segment.tokens, segment.turn)} {text}")
    if len(lessons) > limit:
        console.print(f"{limit} of {len(lessons)} pools; see the others with --limit {len(lessons)}")


def _name(group: JudgedPool | EpisodeGroup) -> str:
    return group.problem.id if isinstance(group, EpisodeGroup) else group.pool.chunk.document.id


def _shown(row: Row) -> list[Segment]:
    """The attempts of an episode that carry credit; of another row its end."""
    return [one for one in row.segments if one.turn and (one.trained or one.kl_weight)] or [row.segments[-1]]


def _about(pool: JudgedPool | EpisodeGroup, tokens: object, turn: int = 0) -> str:
    """Source and score of the candidate with these tokens; turn and reward of the attempt."""
    if isinstance(pool, EpisodeGroup):
        alike = (e.turns[turn - 1] for e in pool.episodes if turn and e.turns[turn - 1].completion == tokens)
        reward = getattr(next(alike, None), "reward", None)
        return f"[turn {turn} {getattr(reward, 'value', float('nan')):.3g}]"
    for index, candidate in enumerate(pool.pool.candidates):
        if candidate.tokens == tokens:
            total = pool.total(index)
            return f"[{one_line(candidate.source, 24)} {getattr(total, 'value', float('nan')):.3g}]"
    return "[document]"
