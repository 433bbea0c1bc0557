"""The benchmarks: pairs, ratios, rows on disk, the table, and that both sides do the same work."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import agreement, model, ours, overlap, pairing, picture, results, rows, table, tune, view, worker
from benchmarks.model import Job
from benchmarks.pairing import Ratio, Side, Step, WorkerFailed, fresh, interleave, ratio_of
from benchmarks.peers import generate, trainers, training, twin
from benchmarks.results import Result
from benchmarks.rows import KINDS, QUICK, Row, full
from benchmarks.worker import Pipe
from tests import fake_arms

from tutelage.objectives import OnlineDPO

TINY = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("model")
    model.save_model(folder, "cpu", TINY, 64)
    return Job("", (12, 5, 4), 2, str(folder), 64)


def serve(arm: Callable[[Job, Pipe], None], job: Job, steps: int = 2) -> list[dict[str, Any]]:
    reports = StringIO()
    with pytest.raises(SystemExit):
        arm(job, Pipe(StringIO('{"do": "step"}\n' * steps), reports))
    return [json.loads(line) for line in reports.getvalue().splitlines()]


def side(name: str, shape: tuple[int, int, int] = (1, 1, 1), **settings: Any) -> Side:
    return Side(Path(sys.executable), Job(f"tests.fake_arms:{name}", shape, 1, "", 8, threads=1, settings=settings))


def result(name: str = "pass", against: str = "twin", **changes: Any) -> Result:
    row = Result(
        *(
            name,
            against,
            (896, 128, 16),
            Ratio(3.0, 2.5, 3.5),
            1.0,
            3.0,
            "s/pass",
            5,
            2,
            1,
            {"ours": 10.0, "theirs": 40.0},
        ),
        *("python -m benchmarks pass", "a processor", "2026-01-01"),
    )
    return replace(row, **changes)


def test_a_ratio_is_the_median_and_the_range_of_the_pairs():
    assert ratio_of([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == Ratio(2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="no pair"):
        ratio_of([], [])
    with pytest.raises(ValueError):
        ratio_of([1.0], [1.0, 2.0])


def test_workers_take_turns_and_chatter_is_no_report(tmp_path: Path):
    found = interleave(side("quick", (1, 1, 7), word="hello"), side("slow"), pairs=3, logs=tmp_path)
    assert [step.amount for step in found.ours] == [7.0, 107.0, 207.0]
    assert all(step.seconds >= 0.05 for step in found.theirs) and len(found.theirs) == 3
    assert found.notes == {"ours": {"said": "hello"}, "theirs": {}}
    assert "chatter" in (tmp_path / "ours.log").read_text()


def test_an_arm_gets_the_threads_of_its_job(monkeypatch: pytest.MonkeyPatch):
    told: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    assert worker.arm_of(replace(side("quick").job, threads=3)) is fake_arms.quick and told == [3]


def test_no_pair_is_begun_after_the_limit_but_one_is_always_measured(tmp_path: Path):
    assert len(interleave(side("quick"), side("slow"), pairs=9, logs=tmp_path, limit_s=0.0).ours) == 1


@pytest.mark.parametrize(("name", "said"), [("broken", "the peer is broken"), ("early", "it cannot even start")])
def test_a_worker_that_fails_says_why(tmp_path: Path, name: str, said: str):
    with pytest.raises(WorkerFailed, match=said):
        interleave(side("quick"), side(name), pairs=3, logs=tmp_path)


def test_a_worker_without_a_report_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pairing, "PATIENCE", 1.5)
    with pytest.raises(WorkerFailed, match="no report for 2 s"):
        interleave(side("quick"), side("silent"), pairs=1, logs=tmp_path)


def test_what_a_worker_started_ends_with_it(tmp_path: Path):
    found = interleave(side("quick"), side("parent"), pairs=1, logs=tmp_path)
    child = Path("/proc") / str(found.notes["theirs"]["child"]) / "status"
    assert not child.exists() or "State:\tZ" in child.read_text()


def test_memory_is_what_a_fresh_process_grows_by(tmp_path: Path):
    found = fresh(side("greedy", (40, 1, 1)), side("greedy", (160, 1, 1)), pairs=2, logs=tmp_path)
    assert all(35 < step.grown_mib < 60 for step in found.ours)
    assert all(155 < step.grown_mib < 180 for step in found.theirs)


def test_rows_are_merged_by_what_they_measure(tmp_path: Path):
    path = tmp_path / "some" / "results.json"
    one, two = result(), result(against="generate", name="sampling")
    others = [replace(one, cuts=4), replace(one, prompts=1)]
    for row in (one, two, replace(one, ours=7.0), *others):
        results.merge(path, row)
    assert results.read(path) == [replace(one, ours=7.0), two, *others]
    assert results.read(tmp_path / "none.json") == []


def test_only_rows_that_the_file_has_not_are_missing(tmp_path: Path):
    path, row = tmp_path / "results.json", Row("pass", "twin", (896, 128, 16))
    others = [replace(row, cuts=4), replace(row, prompts=1)]
    results.merge(path, result())
    assert results.missing(path, [row, *others]) == others


def test_of_a_row_that_failed_it_is_said_which_measurement_stays(tmp_path: Path):
    path, row = tmp_path / "results.json", Row("pass", "twin", (896, 128, 16))
    assert results.stays(path, row.key) == ""
    results.merge(path, replace(result(), commit="abc1234"))
    assert results.stays(path, row.key) == " (the file keeps the row of 2026-01-01, abc1234)"
    assert results.stays(path, replace(row, prompts=1).key) == ""


def test_quick_rows_stand_in_the_table_where_the_whole_bench_has_none(tmp_path: Path):
    for name, pairs, shape in (("here", 5, (896, 128, 16)), ("quick", 3, (896, 128, 16)), ("quick", 3, (256, 64, 8))):
        results.merge(tmp_path / f"{name}.json", replace(result(shape=shape), pairs=pairs))
    assert [(row.pairs, row.shape) for row in table.committed(tmp_path)] == [(5, (896, 128, 16)), (3, (256, 64, 8))]


def test_the_table_replaces_what_stood_between_its_marks():
    page = "Before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n"
    text = table.filled(page, [result(), result(cuts=4, shape=(1920, 128, 8), unit="s/cut")])
    assert "old" not in text and text.startswith("Before\n") and text.endswith("<!-- /benchmarks -->\nafter\n")
    assert "| pass | twin | 896, 128, 16 | 2 | 3.00 × | 2.50 to 3.50 | 5 | 1 | 3 | s/pass | 10 / 40 |" in text
    assert "| pass, 4 cuts | twin | 1,920, 128, 8 | 2 |" in text and "a processor; 2026-01-01." in text
    assert table.filled(text, []) == page.replace("old\n", table.NOT_YET)
    with pytest.raises(ValueError, match="0 places"):
        table.filled("nothing", [])


def test_the_picture_shows_one_prompt_along_k_and_along_p():
    shapes = [(896, 128, 16), (896, 128, 2), (128, 128, 16), (256, 64, 8)]
    found = [replace(result(shape=shape), prompts=1) for shape in shapes] + [result(shape=(896, 128, 4))]
    assert [row.shape[2] for row in picture.series(found, "pass", 2)] == [2, 16]
    assert [row.shape[0] for row in picture.series(found, "pass", 0)] == [128, 896]
    sampled = replace(result(name="sampling", unit="tokens/s"), ours=2048.0, theirs=512.0, prompts=1)
    assert picture.seconds(sampled) == (1.0, 4.0)
    lines = [len(axes.lines) for axes in picture.draw(found).axes]
    assert lines == [2, 2, 2, 2], "ours and theirs, of pass alone"


def test_the_page_holds_the_committed_results():
    text = table.PAGE.read_text("utf-8")
    assert table.filled(text, table.committed()) == text, "run python -m benchmarks table"


def test_committed_quick_results_are_the_quick_rows_in_the_promised_form():
    found = json.loads((results.RESULTS / "quick.json").read_text("utf-8"))
    assert {(row["name"], row["against"], *row["shape"], row["prompts"]) for row in found} == {
        (row.name, row.against, *row.shape, row.prompts) for row in QUICK
    }
    assert len(found) == len(QUICK)
    for row in found:
        assert row["pairs"] >= 3 and row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
        assert row["ours"] > 0 and row["theirs"] > 0 and row["unit"]


def test_every_row_names_arms_that_exist_and_its_own_command():
    for row in (*QUICK, *full()):
        for arm in (row.kind.ours, row.kind.theirs):
            module, _, name = arm.partition(":")
            source = rows.ROOT / (module.replace(".", "/") + ".py")
            assert re.search(rf"^def {name}\(job: Job, pipe: Pipe\)", source.read_text("utf-8"), re.MULTILINE), arm
        options = command.parser().parse_args(row.command.split()[3:])
        length, new, count = map(int, options.shape.split(","))
        again = Row(options.what, options.against, (length, new, count), options.pairs, options.prompts, options.cuts)
        assert again == replace(row, limit_s=again.limit_s)
    assert {(row.name, row.against) for row in (*QUICK, *full())} == set(KINDS)
    assert len({row.key for row in full()}) == len(full())


def test_a_series_of_growth_differs_in_one_number_alone():
    for name in ("pass", "sampling"):
        alike = {row.shape for row in full() if row.name == name and row.prompts == 1}
        assert {shape[2] for shape in alike if shape[:2] == (896, 128)} == {1, 2, 4, 8, 16, 32, 64}
        assert {shape[0] for shape in alike if shape[1:] == (128, 16)} == {128, 384, 896, 1920, 4096, 8192}


def test_an_unknown_pair_is_refused():
    with pytest.raises(ValueError, match="there is no step against twin; there are step against trl_grpo"):
        _ = Row("step", "twin", (1, 1, 1)).kind


def test_settings_of_the_command_line_are_numbers_where_they_can_be():
    assert command.settings_of(["rows=8", "cache=static", "eager=false"]) == {
        "rows": 8,
        "cache": "static",
        "eager": False,
    }


def test_changed_settings_stand_in_the_command_and_need_a_file_of_their_own(capsys: pytest.CaptureFixture[str]):
    changes = ["--theirs", "rows=8", "--ours", "note=two words", "--threads", "1"]
    row = ["pass", "--against", "twin"]
    with pytest.raises(SystemExit):
        command.main([*row, *changes])
    assert "--ours='note=two words' --theirs=rows=8 --threads=1 makes it another row" in capsys.readouterr().err
    options = command.parser().parse_args([*row, *changes, "--results", "some where.json"])
    again = command.parser().parse_args([*row, *shlex.split(" ".join(command.told(options)))])
    assert vars(again) == vars(options)
    plain = command.parser().parse_args([*row, "--results", "here.json", "--threads", str(command.CORES)])
    assert command.told(plain) == []


def test_a_row_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kind = rows.Kind("tests.fake_arms:quick", "tests.fake_arms:slow", "s/pass", value=lambda step: step.amount)
    monkeypatch.setitem(KINDS, ("pass", "twin"), kind)
    monkeypatch.setattr(command, "WORK", tmp_path)
    made = {"folder": "", "vocabulary": 8, "device": "cpu"}
    row = Row("pass", "twin", (1, 1, 1), pairs=2)
    found = command.run_row(row, made, threads=1, changes={}, told=["--theirs=rows=8"])
    assert found.command == f"{row.command} --theirs=rows=8" and found.prompts == 2
    assert found.ratio == Ratio((1.0 + 1 / 101) / 2, 1 / 101, 1.0) and (found.ours, found.theirs) == (51.0, 1.0)
    missing = replace(kind, python=tmp_path / "nowhere")
    monkeypatch.setitem(KINDS, ("pass", "twin"), missing)
    with pytest.raises(WorkerFailed, match="make peers"):
        command.run_row(Row("pass", "twin", (1, 1, 1)), made, threads=1, changes={})


@pytest.mark.parametrize(
    ("arm", "amount"),
    [
        (ours.step, 2),
        (ours.step_dpo, 2),
        (ours.pretraining_dpo, 2),
        (ours.pretraining_grpo, 2),
        (ours.grpo_pass, 40),
        (ours.pair_pass, 40),
        (ours.sampling, 40),
        (ours.ntp_tokens, 34),
        (ours.ntp_documents, 2),
        (overlap.sampling, 2),
        (twin.grpo_pass, 40),
        (twin.pair_pass, 40),
        (generate.generate, 40),
    ],
)
def test_an_arm_does_the_work_of_its_shape(arm: Callable[[Job, Pipe], None], amount: int, job: Job):
    ready, *steps = serve(arm, job)
    assert ready["ready"]["threads"] == torch.get_num_threads()
    assert [step["amount"] for step in steps] == [amount, amount]
    assert all(step["seconds"] > 0 for step in steps)


@pytest.mark.parametrize("arm", [overlap.ahead, overlap.strict])
def test_both_sides_of_the_overlap_wait_for_one_judge(arm: Callable[[Job, Pipe], None], job: Job):
    ready, *steps = serve(arm, replace(job, settings={"judge_seconds": 0.01}))
    assert ready["ready"]["judge_seconds"] == 0.01 and [step["amount"] for step in steps] == [2, 2]
    with pytest.raises(ValueError, match="nobody said how long the judge takes"):
        arm(job, Pipe(StringIO(), StringIO()))


def test_both_sides_are_told_the_same_seconds_measured_once(tmp_path: Path):
    measure = pairing.after_timing("tests.fake_arms:slow", "word")
    found = measure(side("quick"), side("quick"), pairs=1, logs=tmp_path)
    assert 0.05 <= found.notes["ours"]["said"] < 0.5 and found.notes["ours"] == found.notes["theirs"]


@pytest.mark.parametrize("arm", [ours.pretraining_dpo, ours.pretraining_grpo])
def test_several_cuts_fork_one_document(arm: Callable[[Job, Pipe], None], job: Job):
    cut = replace(job, cuts=4)
    assert [step["amount"] for step in serve(arm, cut)[1:]] == [8, 8]
    chunks = ours.forks(cut, 0)
    assert [chunk.cut for chunk in chunks] == [3, 6, 9, 12] * 2
    assert [len(chunk.suffix) for chunk in chunks] == [5] * 8 and chunks[0].document == chunks[3].document


class Watched(Pipe):
    """Tells a passer-by when the model counts as loaded."""

    def __init__(self, steps: int, seen: Callable[[], None]) -> None:
        super().__init__(StringIO('{"do": "step"}\n' * steps), StringIO())
        self._seen = seen

    def loaded(self) -> None:
        self._seen()
        super().loaded()


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_memory_is_counted_from_after_a_tiny_pass_without_its_gradients(
    side: str, job: Job, monkeypatch: pytest.MonkeyPatch
):
    """Both sides hold weights and moments then, and nothing else; the pass itself comes once and whole."""
    module, loader = (ours, "load_policy") if side == "ours" else (twin, "load")
    events: list[object] = []
    built: list[Any] = []
    load, drawn = getattr(module, loader), module.completions

    def kept(job: Job) -> Any:
        built.append(load(job))
        return built[-1]

    def told(job: Job, step: int) -> Any:
        events.append(job.shape)
        return drawn(job, step)

    def seen() -> None:
        model = built[0].model if side == "ours" else built[0]
        events.append([p.grad for p in model.parameters() if p.grad is not None])

    monkeypatch.setattr(module, loader, kept)
    monkeypatch.setattr(module, "completions", told)
    with pytest.raises(SystemExit):
        module.grpo_pass(replace(job, settings={"memory": True, "rows": 99}), Watched(1, seen))
    assert list(dict.fromkeys(map(str, events))) == ["(16, 8, 2)", "[]", "(12, 5, 4)"]


def gradients(parameters: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in parameters])


@pytest.mark.parametrize("name", ["group", "single", "pair"])
def test_ours_and_the_twin_compute_one_gradient(name: str, job: Job):
    if name == "single":
        job = replace(job, shape=(*job.shape[:2], 1))
    state = ours.state_of(job, reference=True)
    theirs = training.load(job)
    with torch.no_grad():  # away from the reference, where DPO's gradient hangs on both models
        for a, b in zip(state.policy.model.parameters(), theirs.parameters(), strict=True):
            b.copy_(a.add_(torch.randn_like(a), alpha=0.05))
    objective = OnlineDPO(beta=model.BETA) if name == "pair" else ours.on_all(job)
    ours.learn(state, objective, ours.made_up(job, 3))
    if name != "pair":
        twin.train_all(job, theirs, 3, rows=3)
    else:
        twin.train_pairs(job, theirs, training.load(job), twin.pairs_of(job, 3), job.shape[1], rows=2)
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), model.CLIP)
    mine, other = gradients(state.policy.model.parameters()), gradients(theirs.parameters())
    assert float(other.norm()) > 0.01
    torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_the_reward_hangs_on_every_token_and_on_their_order():
    assert model.reward([1, 2, 3]) == model.reward([1, 2, 3])
    assert len({model.reward(ids) for ids in ([1, 2, 3], [3, 2, 1], [1, 2, 4], [1, 2])}) == 4
    assert all(0 <= model.reward([i, i + 1]) < 1 for i in range(50))


def test_text_of_a_prompt_becomes_its_ids_again(job: Job):
    from transformers import AutoTokenizer

    ids = model.prompts(job, 0)[0].tolist()
    assert AutoTokenizer.from_pretrained(job.folder)(model.words(ids))["input_ids"] == ids


def test_steps_have_other_prompts_and_the_same_ones_on_either_side(job: Job):
    first = model.prompts(job, 0)
    assert [ids.tolist() for ids in first] == [ids.tolist() for ids in model.prompts(job, 0)]
    assert first[0].tolist() != model.prompts(job, 1)[0].tolist()
    chunks = ours.forks(job, 0)
    assert [chunk.prefix.tolist() for chunk in chunks] == [ids.tolist() for ids in first]


def test_a_step_knows_its_rate_and_its_share():
    step = Step(2.0, 8.0, 30.0)
    assert [f(step) for f in (rows.seconds, rows.share_of_seconds, rows.rate, rows.memory)] == [2.0, 0.25, 4.0, 30.0]


def test_agreement_is_counted_up_to_the_first_difference():
    one = [np.array(ids, np.int32) for ids in ([1, 2, 3, 4], [5, 6, 7, 8])]
    other = [np.array(ids, np.int32) for ids in ([1, 9, 3, 4], [5, 6, 7, 8])]
    assert agreement.shares(one, other) == {"continuations": 0.5, "tokens": (0.25 + 1) / 2}


def test_a_continuation_is_the_same_alone_and_in_a_batch(job: Job):
    assert agreement.agreement(job, "float32") == {"continuations": 1.0, "tokens": 1.0}
    assert 0 < agreement.agreement(job, "mixed")["tokens"] <= 1


def test_the_peers_optimiser_is_ours(job: Job):
    (mine,) = ours.state_of(job, reference=False).learner.optimizers
    theirs = training.adamw(training.load(job))
    for name in ("betas", "eps", "fused", "foreach", "amsgrad"):
        assert theirs.defaults[name] == mine.defaults[name], name
    for a, b in zip(mine.param_groups, theirs.param_groups, strict=True):
        assert a["weight_decay"] == b["weight_decay"] and len(a["params"]) == len(b["params"])


def test_a_step_that_is_no_whole_number_of_micro_batches_is_refused(job: Job):
    with pytest.raises(ValueError, match="a step of 8 rows is no whole number of micro-batches of 3"):
        trainers.arguments(job, 3, 8)


def test_tuning_tries_every_micro_batch_and_passes_over_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    kind = rows.Kind("", "tests.fake_arms:few_rows", "s/pass")
    monkeypatch.setitem(KINDS, ("pass", "twin"), kind)
    monkeypatch.setattr(tune, "WORK", tmp_path)
    monkeypatch.setattr(tune, "prepared", lambda device: {"folder": "", "vocabulary": 8, "device": "cpu"})
    monkeypatch.setattr(tune, "ROWS", (1, 2))
    tune.main(["twin", "--shape", "1,1,1", "--steps", "1"])
    one, two = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"twin rows=1: 0\.0[5-9]\d* s a step", one) and two == "twin rows=2: ValueError: too many rows"


def test_trl_is_held_to_the_length_that_was_asked_for():
    free = trainers.free_reward(2)
    assert len(free(completion_ids=[[1, 2], [3, 4]], prompts=["a", "b"])) == 2
    with pytest.raises(RuntimeError, match=r"TRL wrote \[1, 2\] tokens, not 2"):
        free(completion_ids=[[1, 2], [3]])


def test_the_viewers_page_holds_its_committed_results_and_opens_within_two_seconds():
    found = view.committed()
    text = view.PAGE.read_text("utf-8")
    assert view.filled(text, found) == text, "run python -m benchmarks.view"
    measured = {one["candidates"]: one for one in found}
    assert measured[100_000]["worst"]["open_samples_s"] <= 2.0
