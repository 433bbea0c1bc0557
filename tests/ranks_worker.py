"""One rank of several: ``python -m tests.ranks_worker TASK FOLDER TOKENIZER`` under torchrun's variables."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tests.correction.parts import correcting, correction_run
from tests.tiny import LengthJudge, tiny_phase, tiny_run

from tutelage.evaluate import Evaluation
from tutelage.loop import StepReport, train
from tutelage.metrics import Mean, Peak, Sum, reduce
from tutelage.objectives import GRPO, OnlineDPO, StageOne, StageTwo
from tutelage.optimizer import AdamW, Muon
from tutelage.phases import Initial
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.ranks import Ranks, TorchRanks, from_environment
from tutelage.run import Checkpointing, Run
from tutelage.session import RunSession
from tutelage.types import Judgement, Pool, Scored
from tutelage.update import RunStopped


@dataclass(frozen=True)
class HalfJudge(LengthJudge):
    """Finds everything equal in every other document: the documents that the second rank gets."""

    def build(self, resources: Resources) -> "HalfJudge":
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        answers = LengthJudge.judge(self, pools)
        equal = [int(pool.chunk.document.id.rsplit("-", 1)[1]) % 2 == 1 for pool in pools]
        return [
            (replace(j, verdicts=tuple(Scored(1.0) for _ in j.verdicts)),) if same else (j,)
            for same, (j,) in zip(equal, answers, strict=True)
        ]


@dataclass(frozen=True)
class RankNumber:
    """Measures which rank it is on."""

    def build(self, resources: Resources) -> "RankNumber":
        return self

    def evaluate(self, policy: Policy) -> dict[str, float]:
        return {"rank": float(os.environ.get("RANK", "0")), "third": 1 / 3, "nothing": float("nan")}


def run_of(task: str, tokenizer: Path) -> Run:
    """The run of a task; ``half`` leaves the second rank without a pair, whether or not it has an anchor."""
    if task == "correction":
        stages = (StageOne(kl_target=0.01), StageTwo(alpha=2.0, beta1=0.1))
        phases = (correcting(objective, 2, documents_per_step=5, reference=Initial()) for objective in stages)
        return correction_run(tokenizer, *phases, checkpoint=Checkpointing(every=3))
    judges: dict[str, Any] = {
        "uneven": (LengthJudge(),),
        "queue": (LengthJudge(),),
        "half": (HalfJudge(),),
        "bare": (HalfJudge(),),
        "grpo": (HalfJudge(),),
        "stop": (LengthJudge(),),
        "muon": (LengthJudge(),),
    }
    objective = {
        "bare": OnlineDPO(),
        "grpo": GRPO(ntp_weight=0.3, kl_weight=0.1),
    }.get(task, OnlineDPO(ntp_weight=0.5, nll_weight=0.1))
    uneven = {"documents_per_step": 5, "taught_share": 0.7} if task in ("uneven", "queue") else {}
    phase = tiny_phase(objective, 4, judges=judges[task], queue_depth=int(task == "queue"), **uneven)
    evaluations = (Evaluation(RankNumber(), every=2),)
    optimizer = Muon() if task == "muon" else AdamW()
    return tiny_run(tokenizer, phase, checkpoint=Checkpointing(every=3), evaluations=evaluations, optimizer=optimizer)


def drawn(report: StepReport) -> list[Any]:
    """Documents and rollouts, or problems and attempts, of this rank."""
    taught = [
        [j.pool.chunk.document.id, [c.tokens.tolist() for c in j.pool.candidates], j.totals[0].__class__.__name__]
        for j in report.take.judged
    ]
    attempted = [
        [group.problem.id, [t.completion.tolist() for e in group.episodes for t in e.turns], str(group.epoch)]
        for group in report.take.episodes
    ]
    return taught + attempted + [[chunk.document.id, [], ""] for chunk in report.take.plain]


def train_task(task: str, folder: Path, tokenizer: Path, ranks: Ranks) -> None:
    session = RunSession(run_of(task, tokenizer), folder / "run", ranks)
    steps: list[Any] = []
    for report in train(session):
        steps.append({"drawn": drawn(report), "metrics": dict(report.metrics)})
        if task == "stop" and ranks.rank == ranks.size - 1 and report.progress.step == 2:
            session.stop()
    torch.save(session.learner.policy.model.state_dict(), folder / f"weights-{ranks.rank}.pt")
    (folder / f"rank-{ranks.rank}.json").write_text(json.dumps(steps))


def collectives(folder: Path, ranks: Ranks) -> None:
    """Every collective, with ranks that hold different things."""
    r = ranks.rank
    tensors = [torch.full((2, 3), r + 1.0), torch.full((4,), 10.0 * (r + 1), dtype=torch.float64), torch.ones(())]
    ranks.sum_(tensors)
    ranks.sum_([])
    mine = {"mean": Mean(float(r), r + 1), "peak": Peak(float(-r)), f"only/{r}": Sum(r + 0.1)}
    found = {
        "tensors": [t.reshape(-1).tolist() for t in tensors],
        "sum": ranks.sum_numbers([r, 2**53 - 2 + r]),
        "maximum": ranks.maximum([float(r), -float(r)]),
        "gather": ranks.gather("é" * r + "\n" * r),
        "empty": ranks.gather(""),
        "metrics": reduce(mine, ranks),
        "nothing": reduce({}, ranks),
    }
    ranks.barrier()
    (folder / f"rank-{r}.json").write_text(json.dumps(found))


def main(task: str, folder: Path, tokenizer: Path) -> None:
    torch.set_num_threads(1)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    ranks = TorchRanks.join(timeout_seconds=60) if several else from_environment()
    try:
        if task == "collectives":
            collectives(folder, ranks)
        else:
            train_task(task, folder, tokenizer, ranks)
    except RunStopped as stopped:
        (folder / f"rank-{ranks.rank}.json").write_text(json.dumps(str(stopped)))
    finally:
        ranks.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
