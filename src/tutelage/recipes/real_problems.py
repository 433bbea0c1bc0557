"""What is trained on maths and code: the paper's settings, a model made here where none is named, every arm's run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.correction import Chat, Collect, Correction, Exam, FirstAttempts, HeldOutCorrections, Plain, Subject
from tutelage.correction.formats import QUESTION
from tutelage.correction.wording import CODE, MATHS, REFINE
from tutelage.evaluate import Evaluation
from tutelage.evidence.score import TrainOnTraces
from tutelage.evidence.score.claims import SUPERVISED
from tutelage.evidence.score.models import ExamineModels, Refined
from tutelage.evidence.score.settings import STAR_EPOCHS, STAR_ROUNDS
from tutelage.lora import LoRA
from tutelage.objectives import NTP, StageOne, StageTwo
from tutelage.optimizer import AdamW, LearningRate
from tutelage.phases import Phase, Steps
from tutelage.problems import Gsm8k, HumanEval, Joined, Math, Mbpp, ProblemSource
from tutelage.protocols import StreamSpec
from tutelage.recipes.score_phases import Effort, ablations, baselines, collapse_alarm, score
from tutelage.run import Checkpointing, Run
from tutelage.samples import Recording
from tutelage.stream import NoDocuments, Traces, write_traces
from tutelage.study import Job, Train
from tutelage.types import Tokens
from tutelage.verifiers import Code, Maths, VerifierSpec
from tutelage.weights import FromConfig, ModelSpec, Pretrained

Kind = Literal["math", "code"]
HERE = "@start/hf"
"""The small model that is trained on the spot where none is named."""
COLLECTED, OFFLINE = "collected", "offline_only"
END = "Final Answer: ${answer}$"
"""What a solution ends with, as the question asks for it."""
NO_DOCUMENTS = NoDocuments()


@dataclass(frozen=True, slots=True)
class Domain:
    """What maths and code differ in."""

    train: ProblemSource
    held_out: ProblemSource
    tests: Mapping[str, ProblemSource]
    verifier: VerifierSpec
    question: str
    steps: int
    problems: int
    """Of an update; times 8 episodes it is the paper's batch [P]."""
    rate: float
    beta2: float
    max_new_tokens: int


def domain(kind: Kind, data: str) -> Domain:
    """Problems, verifier and the paper's settings (Table 5) [P]."""
    if kind == "code":
        train, held_out = Mbpp("train", data), Mbpp("validation", data)
        tests = {"humaneval": HumanEval(data)}
        return Domain(train, held_out, tests, Code(), CODE, 1500, 16, 1e-5, 0.25, 512)
    train = Joined((Gsm8k("train", data), Math("train", data)))
    held_out = Joined((Gsm8k("validation", data), Math("validation", data)))
    tests = {"math500": Math("test", data), "gsm8k": Gsm8k("test", data)}
    return Domain(train, held_out, tests, Maths(), MATHS, 3000, 64, 5e-6, 0.1, 1024)


@dataclass(frozen=True, slots=True)
class WriteSolutions:
    """Train a tokenizer on the training solutions, and put them into tokens behind their questions."""

    problems: ProblemSource
    question: str
    kind: Kind
    longest: int
    """Tokens of a question or a solution; longer ones are left out."""
    vocab_size: int = 4096

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``tokenizer/`` and ``solutions.npz``.

        Raises:
            ValueError: no problem has a solution.
        """
        found = self.problems.read()
        known = [(p, s) for p, s in zip(found.problems, found.solutions, strict=True) if s]
        if not known:
            raise ValueError("no training problem has a solution, and a model can be made here of solutions alone")
        texts = [(self.question.replace(QUESTION, p.question), self._told(p.key, s)) for p, s in known]
        train_tokenizer((a + b for a, b in texts), self.vocab_size, directory / "tokenizer")
        codec = Tokenizer(str(directory / "tokenizer")).build()
        end = Tokens([codec.eos])
        pairs = [(codec.encode(a), Tokens.join([codec.encode(b), end])) for a, b in texts]
        write_traces(directory / "solutions.npz", [pair for pair in pairs if max(map(len, pair)) <= self.longest])
        return True

    def _told(self, key: str, solution: str) -> str:
        if self.kind == "code":
            return f"```python\n{solution.strip()}\n```"
        return f"{solution.rpartition('####')[0].strip() or solution.strip()}\n{END.format(answer=key)}"


@dataclass(frozen=True, slots=True)
class Book:
    """Writes the jobs of one domain."""

    kind: Kind
    domain: Domain
    model: str | None
    lora: bool
    steps: int | None
    seed: int
    longest: int = 256
    """Tokens of an attempt of the model that is made here."""
    turns: int = 2
    """Attempts at a problem."""

    @property
    def base(self) -> str:
        """The folder that every arm continues."""
        return self.model or HERE

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the base."""
        return Tokenizer(self.model or "@solutions/tokenizer")

    @property
    def after(self) -> tuple[str, ...]:
        """What arms wait for."""
        return () if self.model else ("start",)

    @property
    def spec(self) -> ModelSpec:
        """The policy as an arm begins."""
        return Pretrained(self.base, "auto", lora=LoRA() if self.lora else None)

    @property
    def effort(self) -> Effort:
        """The paper's, or next to nothing for the model that is made here."""
        d = self.domain
        if self.model is None:
            return Effort(self.steps or 8, 8, LearningRate(1e-4, warmup_steps=2))
        steps = self.steps or d.steps
        return Effort(steps, d.problems, LearningRate(d.rate, warmup_steps=min(100, steps // 10)))

    def task(self, problems: ProblemSource | None = None, episodes: int = 8) -> Correction:
        """As many attempts as there are turns at the training problems, or at others."""
        d = self.domain
        asked = Chat(question=d.question) if self.model else Plain(question=f"{d.question}\n")
        most = d.max_new_tokens if self.model else self.longest
        longest = 1024 if self.model else self.longest
        return Correction(problems or d.train, d.verifier, asked, episodes, self.turns, most, max_prompt_tokens=longest)

    def start(self) -> tuple[Job, ...]:
        """The small model, where none is named: trained on the training solutions alone."""
        if self.model is not None:
            return ()
        d = self.domain
        written = WriteSolutions(d.train, f"{d.question}\n", self.kind, self.longest)
        shape = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
        shape |= {"max_position_embeddings": 16 * self.longest, "tie_word_embeddings": True}
        rate = LearningRate(2e-3, warmup_steps=20)
        phase = Phase(NTP(on="suffix"), Steps(300), rate, documents_per_step=16)
        stream = Traces("@solutions/solutions.npz", self.longest)
        run = self._run("start", FromConfig("llama", shape), (phase,), stream)
        return Job("solutions", written), Job("start", Train(run), ("solutions",), effort=30)

    def arms(self) -> Mapping[str, tuple[Phase, ...]]:
        """The phases of everything that is RL."""
        task, effort = self.task(), self.effort
        first, second = StageOne(beta2=self.domain.beta2), StageTwo()
        found = {"score": score(task, effort, first, second)}
        offline = replace(task, first_attempts=FirstAttempts(f"@{COLLECTED}/attempts.jsonl"))
        found |= ablations(task, effort, first, second)
        found |= {OFFLINE: ablations(offline, effort, first, second)[OFFLINE]}
        return found | {name: baselines(task, effort, 0.01)[name] for name in ("single_turn", "naive_multi_turn")}

    def reinforced(self) -> Iterator[Job]:
        """SCoRe, its ablations, and naive RL."""
        for name, phases in self.arms().items():
            after = (*self.after, COLLECTED) if name == OFFLINE else self.after
            yield Job(name, Train(self.run(name, phases)), after, effort=100)

    def collected(self) -> Job:
        """The base's episodes, sampled once: for all that imitate them, and for what corrects its first attempts."""
        subject = Subject(Pretrained(self.base, "auto"), self.tokenizer, self.seed)
        problems, kinds = self.effort.steps * self.effort.problems, {kind: self._asked(kind) for kind in SUPERVISED}
        return Job(COLLECTED, Collect(subject, self.task(), problems, kinds), self.after, effort=60)

    def supervised(self) -> Iterator[Job]:
        """STaR and Pair-SFT, on as many episodes as the others sample."""
        effort, task = self.effort, self.task()
        for kind in SUPERVISED:
            phase = Phase(NTP(on="suffix"), Steps(effort.steps), effort.rate, documents_per_step=8 * effort.problems)
            traces, epochs = f"@{COLLECTED}/{kind}.npz", STAR_EPOCHS if kind.startswith("star") else 1.0
            run = self._run(kind, self.spec, (phase,), Traces(traces, task.max_new_tokens))
            work = TrainOnTraces(run, task, kind, self._asked(kind), {}, _rounds(kind), epochs, traces)
            yield Job(kind, work, (*self.after, COLLECTED), effort=80)

    def _asked(self, kind: str) -> int:
        """Problems that a round of imitation attempts."""
        return max(1, self.effort.steps // _rounds(kind)) * self.effort.problems

    def run(self, name: str, phases: tuple[Phase, ...]) -> Run:
        """An arm that is watched on held-out problems, and keeps checkpoints to choose from."""
        every = max(1, self.effort.steps // 15)
        watched = HeldOutCorrections(self.task(self.domain.held_out), 200 if self.model else 8)
        run = self._run(name, self.spec, phases)
        return replace(
            run,
            evaluations=(Evaluation(watched, every),),
            checkpoint=Checkpointing(every=every, keep_last=1, keep_every=every),
            limits=(collapse_alarm(),) if self.model and name != "single_turn" else (),
            max_untaught=20 if self.model else 0,
        )

    def report(self, models: Mapping[str, str], after: tuple[str, ...], *, refined: bool = False) -> Job:
        """The test problems: greedy, and the mean of 8 samples; ``refined`` also by the base with Self-Refine."""
        exams: dict[str, Exam] = {}
        count, episodes = (100_000, 8) if self.model else (16, 2)
        for name, problems in self.domain.tests.items():
            exams[f"{name}_greedy"] = Exam(self.task(problems), count, 0.0)
            exams[f"{name}_avg{episodes}"] = Exam(self.task(problems, episodes), count, 0.6)
        instruction = REFINE if self.model else f"\n{REFINE}\n"
        others = {"self_refine": Refined(self.base, instruction)} if refined else {}
        work = ExamineModels(models, self.tokenizer, exams, others, "auto")
        return Job("report", work, (*self.after, *after), effort=20)

    def _run(self, name: str, model: ModelSpec, phases: tuple[Phase, ...], stream: StreamSpec = NO_DOCUMENTS) -> Run:
        return Run(
            name=name,
            seed=self.seed,
            tokenizer=self.tokenizer,
            model=model,
            phases=phases,
            stream=stream,
            optimizer=AdamW(weight_decay=0.0),
            save_memory=self.model is not None,
            checkpoint=Checkpointing(every=50, keep_last=1),
            samples=Recording(text_every=20),
        )


def _rounds(kind: str) -> int:
    return STAR_ROUNDS if kind.startswith("star") else 1
