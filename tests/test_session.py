"""What a run does when something is wrong, and what it keeps from phase to phase."""

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import (
    LLAMA,
    WORLD,
    LengthJudge,
    SilentJudge,
    outcome,
    plain_run,
    tiny_phase,
    tiny_run,
    train_all,
)

from tutelage import state
from tutelage.codec import HFCodec
from tutelage.evaluate import Evaluation, HeldOut
from tutelage.logbook import ResumeRefused
from tutelage.loop import train
from tutelage.metrics import Mean
from tutelage.objectives import NTP, Loss, OnlineDPO
from tutelage.objectives.lesson import entropy_metric
from tutelage.phases import Limit, Steps, WhenAbove
from tutelage.protocols import Resources
from tutelage.ranks import OneRank
from tutelage.record import Ring, WriteFailed
from tutelage.run import Checkpointing, Run, load_run, save_run
from tutelage.scoring import Scores
from tutelage.served import RolloutServers
from tutelage.session import RunSession
from tutelage.state import CheckpointError
from tutelage.stream import Corpus, Splits, TextStream
from tutelage.trackers import read_metrics
from tutelage.types import Abstained, Judgement, Pool
from tutelage.update import RunStopped
from tutelage.weights import FromConfig
from tutelage.worlds.facts import FactsStream
from tutelage.worlds.facts.stream import Reader


def test_a_judge_that_abstains_on_everything_stops_the_run_with_its_words(tiny_tokenizer: Path, tmp_path: Path):
    run = tiny_run(tiny_tokenizer, tiny_phase(judges=(SilentJudge(),)))
    with pytest.raises(RunStopped, match=r"judge of quality abstained on 100%.*more than the 50% .*I would rather not"):
        train_all(run, tmp_path)
    assert read_metrics(tmp_path / "metrics.jsonl") == []


MENDED: list[bool] = []


@dataclass(frozen=True)
class BrokenJudge(LengthJudge):
    """Abstains until somebody mends it."""

    def build(self, resources: Resources) -> "BrokenJudge":
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        answers = LengthJudge.judge(self, pools)
        if MENDED:
            return answers
        return [(replace(j, verdicts=tuple(Abstained("down") for _ in j.verdicts)),) for (j,) in answers]


def test_a_judge_that_was_mended_is_asked_again(tiny_tokenizer: Path, tmp_path: Path):
    MENDED.clear()
    run = tiny_run(tiny_tokenizer, tiny_phase(judges=(BrokenJudge(),), steps=2))
    with pytest.raises(RunStopped, match="down"):
        train_all(run, tmp_path)
    MENDED.append(True)
    session, reports = train_all(run, tmp_path)
    assert session.is_complete and len(reports) == 2


def test_some_abstentions_are_allowed_and_how_many_may_change(tiny_tokenizer: Path, tmp_path: Path):
    run = tiny_run(tiny_tokenizer, tiny_phase(judges=(SilentJudge(),), steps=1))
    with pytest.raises(RunStopped):
        train_all(run, tmp_path)
    session, (report,) = train_all(replace(run, max_abstained=1.0), tmp_path)
    assert session.is_complete and report.metrics["abstained/quality"] == 1.0 and report.metrics["pool/taught"] == 0


def broken_loss(kind: str) -> Any:
    """A loss that is not finite, or one whose gradient is not."""

    def loss(self: OnlineDPO, policy: Scores, reference: Scores | None, batch: Any) -> Loss:
        total = policy.logprobs.sum() * 0
        broken = total * float("nan") if kind == "loss" else total.abs().sqrt()
        return Loss({"dpo": broken}, {"loss/dpo": Mean(1, 1)} | entropy_metric(policy, batch))

    return loss


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_before_the_update(
    kind: str, tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tiny_run(tiny_tokenizer, checkpoint=Checkpointing(every=1))
    session = RunSession(run, tmp_path, OneRank())
    steps = train(session)
    next(steps)
    before = {name: p.detach().clone() for name, p in session.learner.policy.model.named_parameters()}
    moments = {k: v.clone() for k, v in state.optimizer_tensors(session.learner.optimizers)[0].items()}
    with monkeypatch.context() as patch:
        patch.setattr(OnlineDPO, "loss", broken_loss(kind))
        with pytest.raises(RunStopped, match=f"the {kind} is not finite; the update was not made"):
            next(steps)
    assert all(torch.equal(p, before[name]) for name, p in session.learner.policy.model.named_parameters())
    assert all(torch.equal(v, moments[k]) for k, v in state.optimizer_tensors(session.learner.optimizers)[0].items())
    assert session.learner.policy.version == 1 and len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    judged, *_ = Ring(tmp_path / "ring", 0).get(1)
    assert len(judged) == 4, "the batch is there to be replayed"
    _, reports = train_all(run, tmp_path)
    assert [report.progress.step for report in reports] == [2, 3, 4]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, r"holds a run whose seed is 0, not 1"),
        ({"gradient_clip": 0.5}, r"gradient_clip is 1.0, not 0.5"),
        ({"phases": (tiny_phase(OnlineDPO(beta=0.7, ntp_weight=0.5)),)}, r"phases.*beta is 0.1, not 0.7"),
        ({"stream": FactsStream(WORLD, corpus="other")}, r"stream.corpus is 'facts', not 'other'"),
        ({"model": FromConfig("llama", LLAMA | {"num_hidden_layers": 2})}, r"num_hidden_layers is 1, not 2"),
    ],
)
def test_another_run_in_the_same_directory_is_refused_by_field(
    change: dict[str, Any], words: str, tiny_tokenizer: Path, tmp_path: Path
):
    run = tiny_run(tiny_tokenizer)
    save_run(run, tmp_path / "run.yaml")
    with pytest.raises(ResumeRefused, match=words):
        RunSession(replace(run, **change), tmp_path, OneRank())
    assert load_run(tmp_path / "run.yaml", imports=("tests",)) == run


@pytest.mark.parametrize(("holder", "name"), [(HFCodec, "tokenizer"), (Reader, "corpus")])
def test_another_tokenizer_or_corpus_behind_the_same_name_is_refused(
    holder: type, name: str, tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = plain_run(tiny_tokenizer, steps=1)
    train_all(run, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(holder, "fingerprint", property(lambda self: "f" * 32))
        with pytest.raises(ResumeRefused, match=rf"the {name} is not the one .* its fingerprint is ffffffffffff…"):
            RunSession(run, tmp_path, OneRank())
    train_all(run, tmp_path)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("foo", r"device must be auto, cpu, cuda or cuda:N, not 'foo'"),
        ("meta", r"device must be auto, cpu, cuda or cuda:N, not 'meta'"),
        ("cuda", r"device is 'cuda', but torch finds 0 GPUs here"),
        ("cuda:3", r"device is 'cuda:3', but torch finds 0 GPUs here"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    device: str, words: str, tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=words):
        RunSession(plain_run(tiny_tokenizer, device=device), tmp_path, OneRank())
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_be_built_leaves_its_directory_free(tiny_tokenizer: Path, tmp_path: Path):
    wrong = tiny_run(tiny_tokenizer, model=FromConfig("llama", LLAMA | {"vocab_size": 20}))
    with pytest.raises(ValueError, match=r"the tokenizer has 1.. ids but the model embeds only 20"):
        RunSession(wrong, tmp_path, OneRank())
    train_all(plain_run(tiny_tokenizer, steps=1), tmp_path)


def test_two_processes_in_one_directory_are_refused(tiny_tokenizer: Path, tmp_path: Path):
    run = plain_run(tiny_tokenizer, steps=1)
    first = RunSession(run, tmp_path, OneRank())
    with pytest.raises(ResumeRefused, match="another process is training in"):
        RunSession(run, tmp_path, OneRank())
    assert len(list(train(first))) == 1
    RunSession(run, tmp_path, OneRank()).close()


def test_a_broken_limit_stops_the_run_with_a_checkpoint_and_may_be_moved(tiny_tokenizer: Path, tmp_path: Path):
    held_out = Evaluation(HeldOut(FactsStream(WORLD, clean=True), documents=2), every=2)
    run = plain_run(
        tiny_tokenizer, evaluations=(held_out,), limits=(Limit("evaluation/held_out_nll", above=1.0, window=2),)
    )
    with pytest.raises(
        RunStopped, match=r"evaluation/held_out_nll is \d\.\d+, above its limit of 1; a checkpoint of step 4"
    ):
        train_all(run, tmp_path)
    assert state.steps(tmp_path / "checkpoints") == [4]
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]
    session, reports = train_all(replace(run, limits=()), tmp_path)
    assert session.is_complete and reports == [] and (tmp_path / "hf").is_dir()


def test_a_full_disk_stops_with_the_earlier_checkpoint_and_the_run_goes_on_later(
    tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tiny_run(tiny_tokenizer, checkpoint=Checkpointing(every=2))
    real, calls = state.save_file, [0]

    def full(*positional: Any, **named: Any) -> None:
        calls[0] += 1
        if calls[0] > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*positional, **named)

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", full)
        with pytest.raises(
            CheckpointError, match=r"No space left on device; the last whole checkpoint is .*step-00000002"
        ):
            train_all(run, tmp_path / "full")
    train_all(run, tmp_path / "full")
    train_all(run, tmp_path / "whole")
    assert outcome(tmp_path / "full") == outcome(tmp_path / "whole")


def test_metrics_and_samples_are_on_disk_before_the_checkpoint_that_counts_on_them(
    tiny_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.name, path.read_bytes().count(b"\n") if path.name == "metrics.jsonl" else 0))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    train_all(tiny_run(tiny_tokenizer, checkpoint=Checkpointing(every=2)), tmp_path)
    first, second = [i for i, (name, _) in enumerate(synced) if name == "policy.safetensors"]
    before, between = synced[:first], synced[first:second]
    assert ("metrics.jsonl", 2) in before and ("step-00000001-00000002.rank-0000.part", 0) in before
    assert ("metrics.jsonl", 4) in between and ("step-00000003-00000004.rank-0000.part", 0) in between


@pytest.mark.parametrize(("rank", "spent"), [(0, 5), (1, 700), (2, 0)])
def test_every_rank_gets_its_own_budget_of_text_back(rank: int, spent: int, tiny_tokenizer: Path, tmp_path: Path):
    run = plain_run(tiny_tokenizer, 1)
    train_all(run, tmp_path)
    folder = tmp_path / "checkpoints"
    snapshot = state.read(folder / "step-00000001")
    state.write(folder, replace(snapshot, facts={**snapshot.facts, "text_bytes": (5, 700)}))
    session = RunSession(run, tmp_path, OneRank(rank, 3))
    assert session._logbook.samples.text_bytes == spent
    session.close()


def documents(reports: Sequence[Any]) -> list[list[str]]:
    return [
        [chunk.document.id for chunk in report.take.plain or [j.pool.chunk for j in report.take.judged]]
        for report in reports
    ]


def test_a_phase_with_its_own_documents_does_not_move_the_runs_place(tiny_tokenizer: Path, tmp_path: Path):
    plain = tiny_phase(NTP(), 2, sources=(), judges=())
    own = replace(plain, stream=FactsStream(WORLD, corpus="aside"))
    run = tiny_run(tiny_tokenizer, plain, own, plain, own, checkpoint=Checkpointing(every=1))
    _, whole = train_all(run, tmp_path / "whole")
    found = documents(whole)
    ids = [name for step in (0, 1, 4, 5) for name in found[step]]
    assert ids == [f"policy-0-{i}" for i in range(16)]
    assert found[2:4] == found[6:8] == [[f"policy-0-{i + k}" for i in range(4)] for k in (0, 4)]
    assert {j.pool.chunk.document.corpus for r in whole[2:4] for j in r.take.judged} == {"aside"}
    resumed: list[Any] = []
    for _ in range(8):
        session = RunSession(run, tmp_path / "resumed", OneRank())
        for report in train(session):
            resumed.append(report)
            break
    assert documents(resumed) == found


def test_a_measured_rule_does_not_see_the_phase_before(tiny_tokenizer: Path, tmp_path: Path):
    rule = WhenAbove("pool/taught", 0.0, window=2, at_most=50)
    phase = tiny_phase(judges=(LengthJudge(),), until=rule)
    session, reports = train_all(tiny_run(tiny_tokenizer, phase, phase), tmp_path)
    assert [(r.progress.phase, r.progress.phase_step) for r in reports] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert session.progress.step == 4


def test_evaluation_runs_on_schedule_and_at_the_end(tiny_tokenizer: Path, tmp_path: Path):
    held_out = HeldOut(FactsStream(WORLD, clean=True), documents=2)
    run = plain_run(
        tiny_tokenizer, 5, evaluations=(Evaluation(held_out, every=2), Evaluation(replace(held_out, name="last"), 0))
    )
    train_all(run, tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "evaluation/held_out_nll" in row] == [2, 4, 5]
    assert [row["step"] for row in rows if "evaluation/last_nll" in row] == [5]
    assert [row["run/share"] for row in rows] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_events_tell_the_story_of_a_run(tiny_tokenizer: Path, tmp_path: Path):
    train_all(plain_run(tiny_tokenizer, 2, checkpoint=Checkpointing(every=1)), tmp_path)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["phase", "checkpoint", "checkpoint", "finished"]


def test_a_run_without_phases_is_refused(tiny_tokenizer: Path):
    run = tiny_run(tiny_tokenizer)
    with pytest.raises(ValueError, match="a run needs at least one phase"):
        replace(run, phases=())
    assert isinstance(run, Run) and run.phases[0].until == Steps(4)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("")])  # pyright: ignore
def test_checkpoints_without_their_run_are_refused(damage: Any, tiny_tokenizer: Path, tmp_path: Path):
    run = tiny_run(tiny_tokenizer, tiny_phase(steps=1))
    train_all(run, tmp_path)
    damage(tmp_path / "run.yaml")
    with pytest.raises(ResumeRefused, match=r"holds checkpoints, but .*run\.yaml is .*run\.yaml that they"):
        train_all(run, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_stops_at_an_event_with_the_file_and_the_way_on(tiny_tokenizer: Path, tmp_path: Path):
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    with pytest.raises(WriteFailed, match=r"events\.jsonl .*No space left.*free space, then resume"):
        train_all(tiny_run(tiny_tokenizer, tiny_phase(steps=1)), tmp_path)


def test_broken_rows_of_a_corpus_are_among_the_events(tiny_tokenizer: Path, tmp_path: Path):
    texts = [" ".join(f"{word}{i}" for word in ("amber", "basil", "cedar", "delta") * 10) for i in range(6)]
    lines = [*(json.dumps({"text": text}) for text in texts), "broken", "broken too"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    corpus = TextStream(
        (Corpus(str(tmp_path / "a.jsonl")),),
        suffix_length=12,
        max_length=36,
        min_prefix=2,
        min_suffix=2,
        splits=Splits(1.0, validation=0.0, test=0.0),
        deduplicate=None,
    )
    run = tiny_run(tiny_tokenizer, tiny_phase(steps=4), stream=corpus, evaluations=())
    train_all(run, tmp_path / "out")
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    told = [event for event in events if event["event"] == "stream"]
    assert told and told[-1]["broken_rows"] == 2


def test_a_resume_that_is_refused_leaves_the_directory_as_it_was(tiny_tokenizer: Path, tmp_path: Path):
    session = RunSession(plain_run(tiny_tokenizer, 3), tmp_path, OneRank())
    steps = train(session)
    next(steps)
    next(steps)
    session.close()
    written = (tmp_path / "metrics.jsonl").read_bytes()
    known = json.loads((tmp_path / "fingerprints.json").read_text())
    (tmp_path / "fingerprints.json").write_text(json.dumps(known | {"corpus": "of another corpus"}))
    with pytest.raises(ResumeRefused, match="the corpus is not the one that"):
        RunSession(plain_run(tiny_tokenizer, 3), tmp_path, OneRank())
    assert written and (tmp_path / "metrics.jsonl").read_bytes() == written


def test_a_run_whose_file_lacks_a_setting_that_came_later_goes_on_where_it_is_not_used(
    tiny_tokenizer: Path, tmp_path: Path
):
    run = plain_run(tiny_tokenizer, steps=1)
    train_all(run, tmp_path)
    path = tmp_path / "run.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("rollout_servers: null\n", ""), "utf-8")
    assert path.read_text("utf-8") != text
    session, _ = train_all(run, tmp_path)
    assert session.is_complete
    servers = RolloutServers("policy", ("http://localhost:9/v1",))
    with pytest.raises(ResumeRefused, match="rollout_servers"):
        RunSession(replace(run, rollout_servers=servers), tmp_path, OneRank())
