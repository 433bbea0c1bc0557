"""A run in progress: its parts built, its directory kept, its checkpoints written and read.

What a session adds to the loop is memory: every draw is recorded before the update, and a run that is killed at any
point goes on from its last checkpoint with the recorded draws, to the same weights, metrics and samples.
"""

import threading
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import assert_never

import torch

from tutelage import state
from tutelage.corpora import Corpora
from tutelage.correction import Correction, CorrectionExperience
from tutelage.devices import device_of
from tutelage.draws import Draws
from tutelage.endpoints import ENDING, LEDGER, drop_settled
from tutelage.evaluate import Evaluators
from tutelage.experience import Experience, SuffixExperience, SuffixTask, Take
from tutelage.logbook import Logbook, claim, require_same
from tutelage.loop import StepReport
from tutelage.metrics import reduce
from tutelage.phases import Initial, Limit, Phase, Progress, broken_limits, nothing_taught, watched_metrics
from tutelage.policy import Policy
from tutelage.protocols import Codec, Cursor, Resources, Sampler
from tutelage.ranks import Ranks
from tutelage.record import Ring
from tutelage.run import Run, require_context
from tutelage.sampler import InProcessSampler
from tutelage.served import ServedSampler
from tutelage.update import Learner, RunStopped
from tutelage.weights import embedding_rows, is_mixed, load_model


def new_reference(run: Run, phase: Phase, codec: Codec, policy: Policy) -> Policy:
    """The frozen reference that a phase begins with, where ``policy`` is what it begins with."""
    twin = policy.frozen_copy()
    if isinstance(phase.reference, Initial):
        first = load_model(run.model, codec, seed=run.seed, device=policy.device)
        twin.model.load_state_dict(first.state_dict())
    return twin


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
        self._corpora = Corpora(run, self._codec)
        self._corpora.open(0)
        model = load_model(run.model, self._codec, seed=run.seed, device=self._device)
        mixed = is_mixed(run.model.precision, self._device)
        policy = Policy(model, mixed=mixed, save_memory=run.save_memory)
        require_context(run, policy.context_length)
        self.learner = Learner(policy, run.optimizer.build(model), ranks, run.max_tokens_per_batch, run.gradient_clip)
        self._sampler = self._sampler_of(policy)
        self.progress = Progress()
        self.watch = watched_metrics(run.phases, run.limits)
        self._reference: Policy | None = None
        self._draws: Draws | None = None
        self._stop = threading.Event()
        self._idle = 0
        self._warned: frozenset[Limit] = frozenset()
        self._ring = Ring(self.directory / "ring", ranks.rank, ranks.size)
        self._logbook = Logbook(run, self.directory, self._codec, ranks)
        LEDGER.open(self.directory, ranks.rank, ranks.size)
        ENDING.clear()
        resources = self._resources(run.stream.suffix_length)
        self._evaluators = Evaluators(run.evaluations, resources, ranks)

    # ----------------------------------------------------------------- what the loop calls

    def phase(self) -> Phase | None:
        """The phase of the next step, or ``None`` at the end or after a request to stop, whichever rank got it."""
        if self._ranks.maximum([float(self._stop.is_set())])[0]:
            self._stop.set()
            return None
        while self.progress.phase < len(self.run.phases):
            phase = self.run.phases[self.progress.phase]
            if not self.progress.is_over(phase.until):
                if self._draws is None:
                    self._draws = self._enter(phase)
                return phase
            self._leave()
        return None

    def reference(self) -> Policy | None:
        """The frozen reference, synced first where its phase says so."""
        phase = self.run.phases[self.progress.phase]
        if not phase.objective.needs_reference:
            return None
        if self._reference is None:
            self._reference = new_reference(self.run, phase, self._codec, self.learner.policy)
        elif phase.reference.is_due(self.progress.phase_step):
            self._reference.copy_weights(self.learner.policy)
        return self._reference

    def take(self) -> Take:
        """The next step's draws: replayed where every rank holds their record, else drawn and recorded."""
        assert self._draws is not None
        take = self._draws.take(self.progress, self.learner.policy.version)
        self._corpora.advance(self.progress.phase, take.cursor)
        return take

    def commit(self, report: StepReport) -> StepReport:
        """Publish, write, evaluate, checkpoint."""
        assert self._draws is not None
        self.progress = report.progress
        step = report.progress.step
        self._draws.publish(self.learner.policy)
        self._logbook.add(step, report.take.groups, [lesson.item for lesson in report.lessons])
        numbers = {**report.metrics, **self._evaluate(step), **self._spent()}
        numbers["run/share"] = self.progress.share_of_run(self.run.phases)
        self._logbook.log(step, numbers)
        broken = self._broken(step)
        if broken or step % self.run.checkpoint.every == 0:
            self.save_checkpoint()
        self._idle = self._idle + 1 if numbers.get("pool/taught") == 0.0 else 0
        if self.run.max_untaught and self._idle >= self.run.max_untaught:
            told = nothing_taught(self.run.phases[self.progress.phase], self._idle, numbers)
            raise RunStopped(f"{told}; tutelage show reads what was written")
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
        """Ask the run to end after the step in progress, with a checkpoint; at once where it waits for servers."""
        self._stop.set()
        ENDING.set()

    def stream_counts(self) -> dict[str, int]:
        """What the streams passed over in this process so far: broken rows and the like, each over zero."""
        return self._corpora.counts()

    def export(self, folder: Path) -> None:
        """Write policy and tokenizer as a Hugging Face folder."""
        self.learner.policy.save_hf(folder)
        self._codec.save(folder)

    def close(self) -> None:
        """Flush, let go of files and leave no thread; nothing where that is done."""
        with ExitStack() as last_to_first:
            last_to_first.callback(self._claim.close)
            if not self._claim.closed:
                last_to_first.callback(LEDGER.close)
            if isinstance(self._sampler, ServedSampler):
                last_to_first.callback(self._sampler.close)
            if self._draws is not None:
                last_to_first.callback(self._draws.close)
            if not self._claim.closed:
                last_to_first.callback(self._logbook.close)

    def save_checkpoint(self) -> None:
        """Write the checkpoint of this step, what is pending recorded before it, and drop what it makes superfluous."""
        if self._draws is not None:
            self._draws.settle(self.progress)
        self._logbook.sync()
        text_bytes = tuple(int(n) for n in self._ranks.gather(str(self._logbook.samples.text_bytes)))
        step, settings = self.progress.step, self.run.checkpoint
        folder = self.directory / "checkpoints"
        if self._ranks.rank == 0 and step not in state.steps(folder):
            state.write(folder, self._snapshot(text_bytes))
            state.prune(folder, keep_last=settings.keep_last, keep_every=settings.keep_every)
            self._logbook.event("checkpoint", step=step)
            if (counts := self._corpora.news()) is not None:
                self._logbook.event("stream", step=step, **counts)
        self._ranks.barrier()
        drop_settled(LEDGER.owner)  # their verdicts are in the ring, or learnt from
        ahead = max(phase.queue_depth for phase in self.run.phases)
        self._ring.keep(settings.records(state.steps(folder), step + ahead))

    # ----------------------------------------------------------------- the inside

    def _broken(self, step: int) -> str | None:
        """What stops the run; a limit that does not is told when it is broken."""
        broken = broken_limits(self.run.limits, self.progress)
        for limit, words in broken.items():
            if not limit.stops and limit not in self._warned:
                self._logbook.event("limit", step=step, told=words)
        self._warned = frozenset(broken)
        return next((words for limit, words in broken.items() if limit.stops), None)

    def _sampler_of(self, policy: Policy) -> Sampler:
        """What writes rollouts: servers where the run names some, else this process."""
        servers = self.run.rollout_servers
        if servers is None:
            return InProcessSampler(policy, eos=self._codec.eos, max_rows=self.run.sampler_rows)
        return ServedSampler(servers, policy, self._codec, self.directory, ranks=self._ranks.size)

    def _resources(self, length: int) -> Resources:
        return Resources(self.run.seed, self._codec, self._sampler, length, self.directory)

    def _enter(self, phase: Phase) -> Draws:
        """Build the phase's parts."""
        number = self.progress.phase
        cursor = self._corpora.begin(number, anew=self.progress.phase_step == 0)
        self._logbook.vouch(self._corpora.fingerprints())
        experience = self._experience(phase, cursor)
        draws = Draws(phase, experience, self._ring, self._ranks, self._logbook, self.run.max_abstained)
        draws.publish(self.learner.policy)
        self._logbook.event("phase", phase=number, step=self.progress.step)
        return draws

    def _experience(self, phase: Phase, cursor: Cursor) -> Experience:
        """What the phase learns from, by its task."""
        place = {"rank": self._ranks.rank, "size": self._ranks.size}
        match phase.task:
            case SuffixTask():
                return self._suffixes(phase, cursor)
            case Correction() as task:
                reader = self._corpora.problems(self.progress.phase)
                resources = self._resources(task.max_new_tokens)
                experience = CorrectionExperience(task, reader, resources, cursor=cursor, **place)
                experience.require_room(self.learner.policy.context_length)
                return experience
            case _:
                assert_never(phase.task)

    def _suffixes(self, phase: Phase, cursor: Cursor) -> SuffixExperience:
        number = self.progress.phase
        resources = self._resources(self._corpora.spec(number).suffix_length)
        sources = [(_role(spec, "Source"), spec.build(resources)) for spec in phase.sources]
        judges = [(_role(spec, "Judge"), spec.build(resources)) for spec in phase.judges]
        return SuffixExperience(
            *(self._corpora.documents(number), sources, judges),
            cursor=cursor,
            seed=self.run.seed,
            taught_share=phase.taught_share,
            suffix_length=resources.suffix_length,
            vocab_size=embedding_rows(self.learner.policy.model),
            rank=self._ranks.rank,
            size=self._ranks.size,
        )

    def _leave(self) -> None:
        """End a phase: the next one has its own parts and reference."""
        if self._draws is not None:
            self._draws.close()
        self.progress = self.progress.next_phase()
        self._draws, self._reference = None, None

    def _evaluate(self, step: int) -> dict[str, float]:
        phase = self.run.phases[self.progress.phase]
        last = self.progress.phase == len(self.run.phases) - 1 and self.progress.is_over(phase.until)
        numbers = self._evaluators.measure(self.learner.policy, step, last=last)
        self.progress = self.progress.remember(numbers, self.watch)
        return numbers

    def _spent(self) -> dict[str, float]:
        """What teachers on servers took since the last step, by role; part of it may be for steps to come."""
        LEDGER.save()
        numbers = reduce(LEDGER.take_metrics(), self._ranks)
        self.progress = self.progress.remember(numbers, self.watch)
        return numbers

    def _snapshot(self, text_bytes: tuple[int, ...]) -> state.Snapshot:
        """What a checkpoint holds; ``text_bytes`` is what every rank spent on text."""
        tensors = {"policy": self.learner.policy.model.state_dict()}
        tensors["optimizer"], plain = state.optimizer_tensors(self.learner.optimizers)
        if self._reference is not None:
            tensors["reference"] = self._reference.model.state_dict()
        facts = {
            "progress": {**asdict(self.progress), "history": self.progress.history},
            "cursor": self._corpora.cursor,
            "run_cursor": self._corpora.run_cursor,
            "problem_cursors": tuple(self._corpora.problem_cursors.items()),
            "version": self.learner.policy.version,
            "optimizer": plain,
            "text_bytes": text_bytes,
            "fingerprints": self._corpora.fingerprints(),
        }
        return state.Snapshot(self.progress.step, tensors, facts)

    def _resume(self) -> None:
        """Go on from the newest checkpoint, or from the beginning; drop what will be written again."""
        path = state.latest(self.directory / "checkpoints")
        if path is not None:
            self._restore(state.read(path))
            self._logbook.event("resumed", step=self.progress.step)
        self._ranks.barrier()
        # Before anything is dropped: a resume that is refused must leave the directory as it was.
        self._logbook.vouch(self._corpora.fingerprints())
        self._logbook.open(self.progress.step)

    def _restore(self, snapshot: state.Snapshot) -> None:
        facts = snapshot.facts
        self.progress = Progress(**facts["progress"])
        self._corpora.cursor, self._corpora.run_cursor = facts["cursor"], facts["run_cursor"]
        self._corpora.problem_cursors = dict(facts.get("problem_cursors", ()))  # older checkpoints have none
        self._corpora.open(min(self.progress.phase, len(self.run.phases) - 1))
        require_same(facts["fingerprints"], self._corpora.fingerprints(), self.directory, "was trained with")
        self._reference = state.restore(snapshot, self.learner.policy, self.learner.optimizers)
        spent: tuple[int, ...] = facts["text_bytes"]
        self._logbook.samples.text_bytes = spent[self._ranks.rank] if self._ranks.rank < len(spent) else 0


def _role(spec: object, kind: str) -> str:
    """``RolloutSource`` → ``rollout``: the name under which seconds are counted."""
    return type(spec).__name__.removesuffix(kind).lower()
