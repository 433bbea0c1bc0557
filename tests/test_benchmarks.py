"""The benchmarks: pairs, ratios, rows on disk, the table, and that both sides do the same work."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import model, ours, pairing, results, rows, table
from benchmarks.model import Job
from benchmarks.pairing import Ratio, Side, Step, WorkerFailed, fresh, interleave, ratio_of
from benchmarks.peers import generate, training, twin
from benchmarks.results import Result
from benchmarks.rows import KINDS, QUICK, Row, full
from benchmarks.worker import Pipe

from tutelage.objectives import GRPO, OnlineDPO

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
    for row in (one, two, replace(one, ours=7.0), replace(one, cuts=4)):
        results.merge(path, row)
    assert results.read(path) == [replace(one, ours=7.0), two, replace(one, cuts=4)]
    assert results.read(tmp_path / "none.json") == []


def test_quick_rows_stand_in_the_table_where_the_whole_bench_has_none(tmp_path: Path):
    for name, pairs, shape in (("here", 5, (896, 128, 16)), ("quick", 3, (896, 128, 16)), ("quick", 3, (256, 64, 8))):
        results.merge(tmp_path / f"{name}.json", replace(result(shape=shape), pairs=pairs))
    assert [(row.pairs, row.shape) for row in table.committed(tmp_path)] == [(5, (896, 128, 16)), (3, (256, 64, 8))]


def test_the_table_replaces_what_stood_between_its_marks():
    page = "Before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n"
    text = table.filled(page, [result(), result(cuts=4, shape=(1920, 128, 8), unit="s/cut")])
    assert "old" not in text and text.startswith("Before\n") and text.endswith("<!-- /benchmarks -->\nafter\n")
    assert "| pass | twin | 896, 128, 16 | 3.00 × | 2.50 to 3.50 | 5 | 1 | 3 | s/pass | 10 / 40 |" in text
    assert "| pass, 4 cuts | twin | 1,920, 128, 8 |" in text and "a processor; 2026-01-01." in text
    assert table.filled(text, []) == page.replace("old\n", table.NOT_YET)
    with pytest.raises(ValueError, match="0 places"):
        table.filled("nothing", [])


def test_the_page_holds_the_committed_results():
    text = table.PAGE.read_text("utf-8")
    assert table.filled(text, table.committed()) == text, "run python -m benchmarks table"


def test_committed_quick_results_have_the_promised_form():
    path = results.RESULTS / "quick.json"
    if not path.exists():
        pytest.skip("benchmarks/results/quick.json is not there yet")
    for row in json.loads(path.read_text("utf-8")):
        assert row["name"] in ("step", "step_dpo", "pass", "pass_pair", "sampling", "memory", "ntp")
        assert row["against"] in ("trl_grpo", "assembly", "twin", "generate", "vllm", "hf_trainer")
        assert len(row["shape"]) == 3 and row["pairs"] >= 3
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
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
    assert len({result_key(row) for row in full()}) == len(full())


def result_key(row: Row) -> tuple[object, ...]:
    return (row.name, row.against, row.shape, row.cuts)


def test_an_unknown_pair_is_refused():
    with pytest.raises(ValueError, match="there is no step against twin; there are step against trl_grpo"):
        _ = Row("step", "twin", (1, 1, 1)).kind


def test_settings_of_the_command_line_are_numbers_where_they_can_be():
    assert command.settings_of(["rows=8", "cache=static", "eager=false"]) == {
        "rows": 8,
        "cache": "static",
        "eager": False,
    }


def test_a_row_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kind = rows.Kind("tests.fake_arms:quick", "tests.fake_arms:slow", "s/pass", value=lambda step: step.amount)
    monkeypatch.setitem(KINDS, ("pass", "twin"), kind)
    monkeypatch.setattr(command, "WORK", tmp_path)
    made = {"folder": "", "vocabulary": 8, "device": "cpu"}
    found = command.run_row(Row("pass", "twin", (1, 1, 1), pairs=2), made, threads=1, changes={})
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
        (twin.grpo_pass, 40),
        (twin.pair_pass, 40),
        (generate.generate, 40),
    ],
)
def test_an_arm_does_the_work_of_its_shape(arm: Callable[[Job, Pipe], None], amount: int, job: Job):
    ready, *steps = serve(arm, job)
    assert "ready" in ready and [step["amount"] for step in steps] == [amount, amount]
    assert all(step["seconds"] > 0 for step in steps)


@pytest.mark.parametrize("arm", [ours.pretraining_dpo, ours.pretraining_grpo])
def test_several_cuts_fork_one_document(arm: Callable[[Job, Pipe], None], job: Job):
    cut = replace(job, cuts=4)
    assert [step["amount"] for step in serve(arm, cut)[1:]] == [8, 8]
    chunks = ours.forks(cut, 0)
    assert [chunk.cut for chunk in chunks] == [3, 6, 9, 12] * 2
    assert [len(chunk.suffix) for chunk in chunks] == [5] * 8 and chunks[0].document == chunks[3].document


@pytest.mark.parametrize("arm", [ours.grpo_pass, twin.grpo_pass])
def test_a_pass_whose_memory_is_measured_warms_up_on_a_tiny_one(arm: Callable[[Job, Pipe], None], job: Job):
    ready, step = serve(arm, replace(job, settings={"memory": True, "rows": 99}), 1)
    assert "ready" in ready and step["amount"] == 40 and step["grown_mib"] > -1


def gradients(parameters: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in parameters])


@pytest.mark.parametrize("name", ["group", "pair"])
def test_ours_and_the_twin_compute_one_gradient(name: str, job: Job):
    state = ours.state_of(job, reference=True)
    theirs = training.load(job)
    with torch.no_grad():  # away from the reference, where DPO's gradient hangs on both models
        for a, b in zip(state.policy.model.parameters(), theirs.parameters(), strict=True):
            b.copy_(a.add_(torch.randn_like(a), alpha=0.05))
    ours.learn(state, GRPO() if name == "group" else OnlineDPO(beta=model.BETA), ours.made_up(job, 3))
    if name == "group":
        group = twin.rows_of(job, 3).flatten(0, 1), twin.advantages(job, 3).flatten()
        twin.train_group(job, theirs, *group, rows=3)
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
