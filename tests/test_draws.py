"""Runs that judge the pools of a step while the next ones are sampled: order, age, place in the stream, and threads."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import WORLD, LengthJudge, SilentJudge, outcome, tiny_phase, tiny_run, train_all

from tutelage import state
from tutelage.experience import TooStale
from tutelage.loop import StepReport, train
from tutelage.objectives import OnlineDPO
from tutelage.phases import Limit, Phase, TrainedTokens
from tutelage.protocols import Resources
from tutelage.ranks import OneRank
from tutelage.record import Ring
from tutelage.run import Checkpointing
from tutelage.session import RunSession
from tutelage.sources import RolloutSource, SuffixSource
from tutelage.trackers import read_metrics
from tutelage.types import Absent, Abstained, Candidate, Chunk, Judgement, Pool, Rewrite, Rollout, Tokens
from tutelage.update import RunStopped
from tutelage.worlds.facts import FactsStream


def queued_phase(steps: int = 4, depth: int = 1, **changes: Any) -> Phase:
    return tiny_phase(steps=steps, judges=(LengthJudge(),), queue_depth=depth, **changes)


def versions(reports: Sequence[StepReport]) -> list[set[int]]:
    """Of the policies that wrote each step's rollouts."""
    pools = [[j.pool for j in report.take.judged] for report in reports]
    return [{c.policy_version for pool in mine for c in pool.candidates if isinstance(c, Rollout)} for mine in pools]


def documents(reports: Sequence[StepReport]) -> list[str]:
    return [chunk.document.id for r in reports for chunk in (*[j.pool.chunk for j in r.take.judged], *r.take.plain)]


def judging_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("judges")]


@pytest.mark.parametrize(
    ("depth", "written", "ages"),
    [
        (0, [0, 1, 2, 3, 4, 5, 6], [0] * 7),
        (1, [0, 0, 1, 2, 4, 4, 5], [0, 1, 1, 1, 0, 1, 1]),
        (2, [0, 0, 0, 1, 4, 4, 4], [0, 1, 2, 2, 0, 1, 2]),
    ],
)
def test_every_take_says_which_policy_wrote_it_and_every_step_how_old_it_is(
    depth: int, written: list[int], ages: list[int], tiny_tokenizer: Path, tmp_path: Path
):
    run = tiny_run(tiny_tokenizer, queued_phase(4, depth), queued_phase(3, depth))
    _, reports = train_all(run, tmp_path)
    assert versions(reports) == [{version} for version in written] == [{r.take.version} for r in reports]
    assert [report.metrics["rollout/staleness"] for report in reports] == ages
    waited = ["seconds/wait_for_judges" in report.metrics for report in reports]
    assert waited == [depth > 0] * 7 and all("seconds/judge.length" in report.metrics for report in reports)


TOLD: list[str] = []
SAMPLED = [threading.Event() for _ in range(4)]


@dataclass(frozen=True)
class Teller:
    """A source and a judge; the judge of a step ends no sooner than the next one's sampling has begun."""

    def build(self, resources: Resources) -> "Teller":
        return self

    def propose(self, chunks: Sequence[Chunk]) -> list[tuple[Candidate | Absent, ...]]:
        step = sum(line.startswith("sampling") for line in TOLD)
        TOLD.append(f"sampling {step}")
        SAMPLED[step].set()
        return [(Rewrite(Tokens([9 + i]), "w"),) for i, _ in enumerate(chunks)]

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        step = sum(line.startswith("judged") for line in TOLD)
        assert step == 3 or SAMPLED[step + 1].wait(timeout=60), "nothing was sampled while the judge was at work"
        TOLD.append(f"judged {step}")
        return LengthJudge().judge(pools)


def test_a_step_is_judged_while_the_next_one_is_sampled(tiny_tokenizer: Path, tmp_path: Path):
    sources = (SuffixSource(), Teller())
    session, _ = train_all(
        tiny_run(tiny_tokenizer, tiny_phase(sources=sources, judges=(Teller(),), queue_depth=1)), tmp_path
    )
    assert session.is_complete and len(TOLD) == 8
    assert all(TOLD.index(f"sampling {step + 1}") < TOLD.index(f"judged {step}") for step in range(3))


def test_what_was_sampled_over_the_end_of_a_phase_is_dropped_and_its_documents_are_read_again(
    tiny_tokenizer: Path, tmp_path: Path
):
    measured = queued_phase(until=TrainedTokens(500))
    aside = queued_phase(until=TrainedTokens(500), stream=FactsStream(WORLD, corpus="aside"))
    other = queued_phase(3, sources=(SuffixSource(), RolloutSource(2)))
    run = tiny_run(tiny_tokenizer, measured, aside, other, checkpoint=Checkpointing(every=1))
    _, reports = train_all(run, tmp_path)
    phases = [
        [r for r in reports if ("aside" in {j.pool.chunk.document.corpus for j in r.take.judged}) == own]
        for own in (False, True)
    ]
    assert [documents(phase) for phase in phases] == [[f"policy-0-{i}" for i in range(4 * len(p))] for p in phases]
    assert all(len(phase) > 2 for phase in phases)
    assert all(len(j.pool.candidates) <= 3 for r in reports[-3:] for j in r.take.judged), "of its own sources alone"
    assert [r.metrics["rollout/staleness"] for r in reports].count(0.0) == 3


def test_without_a_queue_there_is_no_thread(tiny_tokenizer: Path, tmp_path: Path):
    steps = train(RunSession(tiny_run(tiny_tokenizer, queued_phase(depth=0)), tmp_path / "none", OneRank()))
    next(steps)
    assert judging_threads() == []
    steps.close()
    steps = train(RunSession(tiny_run(tiny_tokenizer, queued_phase()), tmp_path / "one", OneRank()))
    next(steps)
    assert len(judging_threads()) == 1
    steps.close()
    assert judging_threads() == []


def test_a_run_that_is_stopped_by_a_limit_or_a_fault_leaves_no_thread(
    tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tiny_run(tiny_tokenizer, queued_phase(), limits=(Limit("tokens/trained", above=1.0),))
    with pytest.raises(RunStopped, match="a checkpoint of step 1 was written"):
        train_all(run, tmp_path / "limit")
    assert judging_threads() == []
    monkeypatch.setattr(OnlineDPO, "lesson", lambda self, judged: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_all(replace(run, limits=()), tmp_path / "fault")
    assert judging_threads() == []


ANSWERS: list[str] = []


@dataclass(frozen=True)
class Failing(LengthJudge):
    """From its fourth answer on it abstains or raises, until somebody mends it."""

    how: str = "abstains"

    def build(self, resources: Resources) -> "Failing":
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        ANSWERS.append(self.how)
        answers = LengthJudge.judge(self, pools)
        if "mended" in ANSWERS or len(ANSWERS) < 4:
            return answers
        if self.how == "raises":
            raise OSError("the judge is down")
        return [(replace(j, verdicts=tuple(Abstained("down") for _ in j.verdicts)),) for (j,) in answers]


@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize(("how", "error"), [("abstains", RunStopped), ("raises", OSError)])
def test_a_judge_that_fails_in_the_background_stops_the_run_and_is_asked_again_once_mended(
    how: str, error: type[Exception], every: int, tiny_tokenizer: Path, tmp_path: Path
):
    """Step 4 is the first without verdicts: before the checkpoint of step 3, and after that of step 2."""
    ANSWERS[:] = ["mended"]
    phase = replace(queued_phase(6), judges=(Failing(how=how),))
    run = tiny_run(tiny_tokenizer, phase, checkpoint=Checkpointing(every=every))
    train_all(run, tmp_path / "whole")
    ANSWERS.clear()
    with pytest.raises(error, match="down"):
        train_all(run, tmp_path / "failed")
    assert judging_threads() == [] and state.steps(tmp_path / "failed" / "checkpoints") == [2][: every == 2]
    assert [row["step"] for row in read_metrics(tmp_path / "failed" / "metrics.jsonl")] == [1, 2, 3]
    ANSWERS.append("mended")
    train_all(run, tmp_path / "failed")
    assert outcome(tmp_path / "failed") == outcome(tmp_path / "whole")


def test_a_recorded_take_that_is_too_old_is_refused(tiny_tokenizer: Path, tmp_path: Path):
    run = tiny_run(tiny_tokenizer, queued_phase(), checkpoint=Checkpointing(every=2))
    steps = train(RunSession(run, tmp_path, OneRank()))
    assert [next(steps).progress.step for _ in range(2)] == [1, 2]
    steps.close()
    ring = Ring(tmp_path / "ring", 0)
    *drawn, version = ring.get(2)
    assert version == 1
    ring.put(2, (*drawn, 0))
    with pytest.raises(TooStale, match="written by version 0 of the policy, which is at version 2 now"):
        train_all(run, tmp_path)


def test_a_queue_cannot_be_shorter_than_nothing(tiny_tokenizer: Path):
    with pytest.raises(ValueError, match="queue_depth"):
        queued_phase(depth=-1)


def test_a_judge_that_never_answers_is_told_before_anything_is_recorded(tiny_tokenizer: Path, tmp_path: Path):
    phase = replace(queued_phase(), judges=(SilentJudge(),))
    with pytest.raises(RunStopped, match="I would rather not"):
        train_all(tiny_run(tiny_tokenizer, phase), tmp_path)
    assert not (tmp_path / "ring").exists() and judging_threads() == []
