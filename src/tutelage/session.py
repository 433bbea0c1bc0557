"""A run in progress: its parts built, its directory kept, its checkpoints written and read.

What a session adds to the loop is memory: every draw is recorded before the update, and a run that is killed at any
point goes on from its last checkpoint with the recorded draws, to the same weights, metrics and samples.
"""

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tutelage import state
from tutelage.evaluate import Evaluator
from tutelage.experience import Experience, SuffixExperience, Take, judgement_metrics, source_metrics
from tutelage.logbook import Logbook, ResumeRefused, claim
from tutelage.loop import StepReport, check_judges
from tutelage.metrics import merge, reduce
from tutelage.phases import Phase, Progress, WhenAbove, broken_limit
from tutelage.policy import Policy
from tutelage.protocols import Cursor, Resources, Stream, StreamSpec
from tutelage.ranks import Ranks
from tutelage.record import Ring
from tutelage.run import Run
from tutelage.sampler import InProcessSampler
from tutelage.update import Learner, RunStopped
from tutelage.weights import embedding_rows, is_mixed, load_model


@dataclass(frozen=True, slots=True, eq=False)
class _Entered:
    """A phase with its parts built."""

    phase: Phase
    experience: Experience


class RunSession:
    """One run in one directory, on this rank."""

    def __init__(self, run: Run, directory: Path, ranks: Ranks) -> None:
        self.run = run
        self.directory = directory
        self._ranks = ranks
        self._codec = run.tokenizer.build()
        if run.threads is not None:
            torch.set_num_threads(run.threads)
        self._device = device_of(run.device)
        self._claim = claim(run, directory, ranks.rank)
        try:
            self._build()
            self._resume()
        except BaseException:
            self._claim.close()
            raise

    def _build(self) -> None:
        """Everything that the run's settings can get wrong, before anything is written."""
        run, ranks = self.run, self._ranks
        self._streams: dict[int | None, Stream] = {}
        self._stream_of(0)
        model = load_model(run.model, self._codec, seed=run.seed, device=self._device)
        mixed = is_mixed(run.model.precision, self._device)
        policy = Policy(model, mixed=mixed, save_memory=run.save_memory)
        self.learner = Learner(policy, run.optimizer.build(model), ranks, run.max_tokens_per_batch, run.gradient_clip)
        self._sampler = InProcessSampler(policy, eos=self._codec.eos, max_rows=run.sampler_rows)
        self.progress = Progress()
        self.watch = _watched(run)
        self._reference: Policy | None = None
        self._entered: _Entered | None = None
        self._cursor: Cursor | None = None
        self._run_cursor: Cursor | None = None
        self._stop = threading.Event()
        self._idle = 0
        self._told: dict[str, int] = {}
        self._ring = Ring(self.directory / "ring", ranks.rank, ranks.size)
        self._logbook = Logbook(run, self.directory, self._codec, ranks)
        resources = self._resources(run.stream)
        self._evaluators: list[Evaluator] = [e.evaluator.build(resources) for e in run.evaluations]

    # ----------------------------------------------------------------- what the loop calls

    def phase(self) -> Phase | None:
        """The phase of the next step, or ``None`` at the end or after a request to stop, whichever rank got it."""
        if self._ranks.maximum([float(self._stop.is_set())])[0]:
            self._stop.set()
            return None
        while self.progress.phase < len(self.run.phases):
            phase = self.run.phases[self.progress.phase]
            if not self.progress.is_over(phase.until):
                if self._entered is None:
                    self._enter(phase)
                return phase
            self._leave()
        return None

    def reference(self) -> Policy | None:
        """The frozen reference, synced first where its phase says so."""
        phase = self.run.phases[self.progress.phase]
        if not phase.objective.needs_reference:
            return None
        if self._reference is None:
            self._reference = self.learner.policy.frozen_copy()
        elif phase.reference.is_due(self.progress.phase_step):
            self._reference.copy_weights(self.learner.policy)
        return self._reference

    def take(self) -> Take:
        """The next step's draws: replayed where every rank holds their record, else drawn and recorded."""
        assert self._entered is not None
        experience, step = self._entered.experience, self.progress.step
        record = self._ring.get(step)
        if self._ranks.maximum([float(record is None)])[0]:
            count = self._entered.phase.documents_per_step
            take = experience.take(count, max_staleness=0)
            # Before it is recorded: a run that is resumed with its judge mended must ask again.
            silent = {name: metric for name, metric in take.metrics.items() if name.startswith("abstained/")}
            check_judges(take, reduce(silent, self._ranks), self.run.max_abstained)
            self._ring.put(step, (take.judged, take.plain, take.cursor, take.version))
        else:
            judged, plain, cursor, version = record
            metrics = merge([source_metrics([j.pool for j in judged]), judgement_metrics(judged)])
            take = Take(judged, plain, cursor, version, metrics)
            experience.cursor = cursor
        self._cursor = take.cursor
        if self._entered.phase.stream is None:
            self._run_cursor = take.cursor
        return take

    def commit(self, report: StepReport) -> StepReport:
        """Publish, write, evaluate, checkpoint."""
        assert self._entered is not None
        self.progress = report.progress
        step = report.progress.step
        self._entered.experience.publish(self.learner.policy, self.learner.policy.version)
        self._logbook.add(step, report.take.judged, [lesson.item for lesson in report.lessons])
        numbers = {**report.metrics, **self._evaluate(step), "run/share": self._share()}
        self._logbook.log(step, numbers)
        broken = broken_limit(self.run.limits, self.progress)
        if broken or step % self.run.checkpoint.every == 0:
            self.save_checkpoint()
        self._idle = self._idle + 1 if numbers.get("pool/taught") == 0.0 else 0
        if self.run.max_untaught and self._idle >= self.run.max_untaught:
            raise RunStopped(
                f"no pool could teach anything in {self._idle} steps (max_untaught): are there judges, and candidates "
                "that they score differently? tutelage show reads what was written"
            )
        if broken:
            raise RunStopped(f"{broken}; a checkpoint of step {step} was written")
        return StepReport(report.progress, numbers, report.take, report.lessons)

    def finish(self) -> None:
        """The last checkpoint; at the end of the run also the last evaluation and ``hf/``."""
        self.save_checkpoint()
        if self.is_complete and self._ranks.rank == 0:
            self.export(self.directory / "hf")
            self._logbook.event("finished", step=self.progress.step)
        self.close()

    # ----------------------------------------------------------------- what a caller may ask

    @property
    def is_complete(self) -> bool:
        """Whether every phase is over."""
        return self.progress.phase >= len(self.run.phases)

    def stop(self) -> None:
        """Ask the run to end after the step in progress, with a checkpoint."""
        self._stop.set()

    def stream_counts(self) -> dict[str, int]:
        """What the streams passed over in this process so far: broken rows and the like, each over zero."""
        found = [counts for stream in self._streams.values() for counts in stream.counts().items()]
        names = dict.fromkeys(name for name, _ in found)
        totals = {name: sum(count for key, count in found if key == name) for name in names}
        return {name: count for name, count in totals.items() if count}

    def export(self, folder: Path) -> None:
        """Write policy and tokenizer as a Hugging Face folder."""
        self.learner.policy.save_hf(folder)
        self._codec.save(folder)

    def close(self) -> None:
        """Flush and let go of files; nothing where that is done."""
        if self._claim.closed:
            return
        try:
            self._logbook.close()
        finally:
            self._claim.close()

    def save_checkpoint(self) -> None:
        """Write the checkpoint of this step and drop what it makes superfluous."""
        self._logbook.sync()
        text_bytes = tuple(int(n) for n in self._ranks.gather(str(self._logbook.samples.text_bytes)))
        step, settings = self.progress.step, self.run.checkpoint
        folder = self.directory / "checkpoints"
        if self._ranks.rank == 0 and step not in state.steps(folder):
            state.write(folder, self._snapshot(text_bytes))
            state.prune(folder, keep_last=settings.keep_last, keep_every=settings.keep_every)
            self._logbook.event("checkpoint", step=step)
            self._tell_stream()
        self._ranks.barrier()
        first = max(0, step - max(settings.replay_steps, settings.every * settings.keep_last))
        self._ring.keep(range(first, step + 1))

    # ----------------------------------------------------------------- the inside

    def _stream_of(self, phase: int) -> Stream:
        own = self.run.phases[phase].stream
        key = None if own is None else phase
        if key not in self._streams:
            self._streams[key] = (own or self.run.stream).build(self.run.seed, self._codec, self.run.split)
        return self._streams[key]

    def _tell_stream(self) -> None:
        """An event of what was passed over, where that changed since the last one."""
        counts = self.stream_counts()
        if counts != self._told:
            self._logbook.event("stream", step=self.progress.step, **counts)
            self._told = counts

    def _resources(self, stream: StreamSpec) -> Resources:
        return Resources(self.run.seed, self._codec, self._sampler, stream.suffix_length, self.directory)

    def _enter(self, phase: Phase) -> None:
        """Build the phase's parts.

        A phase with documents of its own starts at their beginning; the others read on where the last of them ended.
        """
        resources, stream = self._resources(phase.stream or self.run.stream), self._stream_of(self.progress.phase)
        self._logbook.vouch(self._built_from())
        if self._cursor is None or self.progress.phase_step == 0:
            known = self._run_cursor if phase.stream is None else None
            self._cursor = known or stream.start()
        sources = [(_role(spec, "Source"), spec.build(resources)) for spec in phase.sources]
        judges = [(_role(spec, "Judge"), spec.build(resources)) for spec in phase.judges]
        experience = SuffixExperience(
            *(stream, sources, judges),
            cursor=self._cursor,
            seed=self.run.seed,
            taught_share=phase.taught_share,
            suffix_length=resources.suffix_length,
            vocab_size=embedding_rows(self.learner.policy.model),
            rank=self._ranks.rank,
            size=self._ranks.size,
        )
        experience.publish(self.learner.policy, self.learner.policy.version)
        self._entered = _Entered(phase, experience)
        self._logbook.event("phase", phase=self.progress.phase, step=self.progress.step)

    def _leave(self) -> None:
        """End a phase: the next one has its own parts and reference."""
        self.progress = self.progress.next_phase()
        self._entered, self._reference = None, None

    def _evaluate(self, step: int) -> dict[str, float]:
        phase = self.run.phases[self.progress.phase]
        last = self.progress.phase == len(self.run.phases) - 1 and self.progress.is_over(phase.until)
        pairs = zip(self.run.evaluations, self._evaluators, strict=True)
        due = [evaluator for e, evaluator in pairs if last or (e.every and step % e.every == 0)]
        numbers = self._measured(due) if due else {}
        self.progress = self.progress.remember(numbers, self.watch)
        return numbers

    def _measured(self, evaluators: Sequence[Evaluator]) -> dict[str, float]:
        """What rank 0 measures, for every rank: numbers that end phases and break limits must be the same on all."""
        found: dict[str, float] = {}
        if self._ranks.rank == 0:
            for evaluator in evaluators:
                found |= {f"evaluation/{k}": float(v) for k, v in evaluator.evaluate(self.learner.policy).items()}
        return json.loads(self._ranks.gather(json.dumps(found))[0])

    def _share(self) -> float:
        """How much of the run is done, each phase counting the same."""
        phase = self.run.phases[self.progress.phase]
        return (self.progress.phase + self.progress.share(phase.until)) / len(self.run.phases)

    def _snapshot(self, text_bytes: tuple[int, ...]) -> state.Snapshot:
        """What a checkpoint holds; ``text_bytes`` is what every rank spent on text."""
        tensors = {"policy": self.learner.policy.model.state_dict()}
        tensors["optimizer"], plain = state.optimizer_tensors(self.learner.optimizers)
        if self._reference is not None:
            tensors["reference"] = self._reference.model.state_dict()
        facts = {
            "progress": {**asdict(self.progress), "history": self.progress.history},
            "cursor": self._cursor,
            "run_cursor": self._run_cursor,
            "version": self.learner.policy.version,
            "optimizer": plain,
            "text_bytes": text_bytes,
            "fingerprints": self._fingerprints(),
        }
        return state.Snapshot(self.progress.step, tensors, facts)

    def _built_from(self) -> dict[str, str]:
        """Fingerprints of the tokenizer and of every corpus that was opened so far."""
        corpora = {
            "corpus" if key is None else f"corpus of phase {key}": s.fingerprint for key, s in self._streams.items()
        }
        return {"tokenizer": self._codec.fingerprint, **corpora}

    def _fingerprints(self) -> dict[str, str]:
        index = min(self.progress.phase, len(self.run.phases) - 1)
        return {"tokenizer": self._codec.fingerprint, "corpus": self._stream_of(index).fingerprint}

    def _resume(self) -> None:
        """Go on from the newest checkpoint, or from the beginning; drop what will be written again."""
        path = state.latest(self.directory / "checkpoints")
        if path is not None:
            self._restore(state.read(path))
            self._logbook.event("resumed", step=self.progress.step)
        self._ranks.barrier()
        # Before anything is dropped: a resume that is refused must leave the directory as it was.
        self._logbook.vouch(self._built_from())
        self._logbook.open(self.progress.step)

    def _restore(self, snapshot: state.Snapshot) -> None:
        facts = snapshot.facts
        self.progress = Progress(**facts["progress"])
        self._cursor, self._run_cursor = facts["cursor"], facts["run_cursor"]
        for name, value in self._fingerprints().items():
            if facts["fingerprints"][name] != value:
                raise ResumeRefused(
                    f"the {name} is not the one that {self.directory} was trained with: its fingerprint is "
                    f"{value[:12]}…, the checkpoint's {facts['fingerprints'][name][:12]}…"
                )
        self._reference = state.restore(snapshot, self.learner.policy, self.learner.optimizers)
        spent: tuple[int, ...] = facts["text_bytes"]
        self._logbook.samples.text_bytes = spent[self._ranks.rank] if self._ranks.rank < len(spent) else 0


def _watched(run: Run) -> dict[str, int]:
    """Metrics that rules and limits look at, with the longest window that any of them needs."""
    windows: dict[str, int] = {}
    for limit in run.limits:
        windows[limit.metric] = max(windows.get(limit.metric, 0), limit.window)
    for phase in run.phases:
        if isinstance(phase.until, WhenAbove):
            windows[phase.until.metric] = max(windows.get(phase.until.metric, 0), phase.until.window)
    return windows


def device_of(name: str) -> torch.device:
    """The device that a run's ``device`` means on this machine.

    Raises:
        ValueError: it is no device, or one that this machine does not have.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, not {name!r}")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ValueError(f"device is {name!r}, but torch finds {gpus} GPUs here; choose auto or cpu, or see doctor")
    return device


def _role(spec: object, kind: str) -> str:
    """``RolloutSource`` → ``rollout``: the name under which seconds are counted."""
    return type(spec).__name__.removesuffix(kind).lower()
