import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import SOURCES, WORLD, tiny_phase, tiny_run

from tutelage.bulk import Extent, bulk_of_run, rewrite_corpus
from tutelage.cli import main
from tutelage.commands.plan import Question, rates_of
from tutelage.commands.planning import Rates, RolePlan, RunPlan, plan_run
from tutelage.config import dump_yaml, to_plain
from tutelage.endpoints import Cap, Endpoint, Price
from tutelage.judges import AllPairs, Guard, PairwiseQuality, Pivot, PointwiseSafety
from tutelage.objectives import GRPO, NTP
from tutelage.phases import TrainedTokens, WhenAbove
from tutelage.prompts import QualityPrompt
from tutelage.rewrites import StoredRewrites
from tutelage.run import Run, load_run, save_run
from tutelage.served import RolloutServers
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource
from tutelage.study import Job, Study
from tutelage.trackers import read_metrics
from tutelage.worlds.facts import FactsRewriter, FactsWorld
from tutelage.worlds.facts.start import WriteTokenizer

NOWHERE = ("http://localhost:1/v1",)


def endpoint(role: str, **settings: Any) -> Endpoint:
    return Endpoint("m", NOWHERE, role=role, cache=None, **settings)


def quality(**settings: Any) -> PairwiseQuality:
    return PairwiseQuality(endpoint("judge.quality"), prompt=QualityPrompt(max_new_tokens=50), **settings)


def planned(run: Run, rates: Rates | None = None) -> tuple[RunPlan, dict[str, RolePlan]]:
    plan = plan_run(run, run.tokenizer.build(), rates or Rates())
    return plan, {role.role: role for role in plan.roles}


def test_calls_are_those_that_the_judges_would_make(tokenizer: Path):
    # a pool of 1 suffix, 1 rewrite and 3 rollouts; 4 steps of 4 documents
    judges = (
        Guard(quality(samples=2, schedule=AllPairs()), floor=0.0),
        PointwiseSafety(endpoint("judge.safety"), samples=3),
    )
    plan, roles = planned(tiny_run(tokenizer, tiny_phase(judges=judges)))
    assert (plan.steps, plan.documents) == (4, 16)
    assert roles["judge.quality"].calls == 16 * 10 * 2 and roles["judge.quality"].written == 16 * 10 * 2 * 50
    assert roles["judge.safety"].calls == 16 * 5 * 3
    assert roles["rollout"].calls == 16 * 3 and roles["rollout"].written == 16 * 3 * WORLD.suffix_length


def test_schedules_are_compared(tokenizer: Path):
    plan, _ = planned(tiny_run(tokenizer, tiny_phase(judges=(quality(schedule=Pivot()),))))
    assert [(s.schedule, s.calls_per_pool, s.calls, s.is_own) for s in plan.schedules] == [
        ("Pivot", 4, 64, True),
        ("AllPairs", 10, 160, False),
        ("KnockOut", 6, 96, False),
        ("Swiss", 8, 128, False),
        ("Adaptive", 4, 64, False),
    ]


def test_the_tokens_that_are_trained_are_those_of_the_run(tokenizer: Path, finished: Path):
    run = load_run(finished / "run.yaml")
    plan, roles = planned(run)
    trained = sum(row["tokens/trained"] for row in read_metrics(finished / "metrics.jsonl"))
    assert plan.steps == 6
    assert trained <= roles["train"].written * 1.02 and roles["train"].written < 1.5 * trained


def test_an_objective_that_trains_every_rollout_takes_more(tokenizer: Path):
    pool = (SuffixSource(), RolloutSource(3))
    _, dpo = planned(tiny_run(tokenizer, tiny_phase(sources=pool)))
    _, grpo = planned(tiny_run(tokenizer, tiny_phase(GRPO(), sources=(RolloutSource(8),))))
    _, ntp = planned(tiny_run(tokenizer, tiny_phase(NTP(), sources=(), judges=())))
    assert ntp["train"].written < dpo["train"].written < grpo["train"].written
    assert "rollout" not in ntp


def test_a_phase_that_counts_tokens_or_ends_by_a_rule_has_updates_too(tokenizer: Path):
    _, roles = planned(tiny_run(tokenizer, tiny_phase()))
    budget = int(roles["train"].written / 4 * 10)
    plan, _ = planned(tiny_run(tokenizer, tiny_phase(until=TrainedTokens(budget))))
    assert plan.steps == pytest.approx(10, rel=1e-3)
    plan, _ = planned(tiny_run(tokenizer, tiny_phase(until=WhenAbove("chosen/rollout", 0.5, at_most=30))))
    assert plan.steps == 30 and any("ends by a measured rule" in note for note in plan.notes)


def test_documents_that_are_not_taught_are_not_judged(tokenizer: Path):
    _, whole = planned(tiny_run(tokenizer, tiny_phase(judges=(quality(),))))
    _, half = planned(tiny_run(tokenizer, tiny_phase(judges=(quality(),), taught_share=0.5)))
    assert half["judge.quality"].calls == whole["judge.quality"].calls / 2
    assert half["train"].written < whole["train"].written


def test_money_and_gpu_hours_follow_from_rates(tokenizer: Path):
    dear = replace(quality(), model=endpoint("judge.quality", price=Price(1.0, 3.0), cap=Cap(cost=1e-6)))
    rates = Rates({"judge.quality": 100.0, "train": 10.0}, {"judge.quality": 20.0}, gpu_price=2.0, bytes_per_token=2.0)
    plan, roles = planned(tiny_run(tokenizer, tiny_phase(judges=(dear,))), rates)
    judge, train = roles["judge.quality"], roles["train"]
    assert judge.written == judge.calls * 20
    assert judge.cost == pytest.approx((judge.read + 3 * judge.written) / 1e6)
    assert judge.gpu_hours == pytest.approx((judge.read + judge.written) / 100 / 3600)
    assert train.gpu_hours == pytest.approx(train.written / 10 / 3600) and train.cost == 2.0 * (train.gpu_hours or 0)
    assert roles["rollout"].gpu_hours is None and roles["rollout"].cost is None
    assert any("would pass its cap of 0.00" in note for note in plan.notes)


def test_the_rewriter_is_paid_once_where_there_is_a_table(tokenizer: Path, tmp_path: Path):
    live = PromptRewriter(endpoint("rewriter"))
    _, roles = planned(tiny_run(tokenizer, tiny_phase(sources=(SuffixSource(), RewriteSource(live)))))
    assert roles["rewriter"].calls == 16
    facts = FactsRewriter(WORLD)
    table = bulk_of_run(tiny_run(tokenizer, tiny_phase(sources=(RewriteSource(facts),))))
    rewrite_corpus(table, tmp_path, Extent(documents=12))
    for known, calls in ((None, 0), (live, 16 / 4)):  # 12 of the 16 documents that are looked at have a row
        source = RewriteSource(StoredRewrites(str(tmp_path), live=known))
        _, roles = planned(tiny_run(tokenizer, tiny_phase(sources=(SuffixSource(), source))))
        assert roles.get("rewriter", RolePlan("", 0, 0, 0, None, None)).calls == calls


def test_what_a_judge_without_a_text_model_takes_is_said_to_be_unknown(tokenizer: Path):
    plan, _ = planned(tiny_run(tokenizer, tiny_phase(sources=SOURCES)))
    assert any(note.startswith("FactsJudge asks no text model") for note in plan.notes)


def test_the_command_prints_a_table_and_writes_json(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    save_run(tiny_run(tokenizer, tiny_phase(judges=(quality(),))), tmp_path / "run.yaml")
    words = ["plan", str(tmp_path / "run.yaml"), "--rate", "train=50", "--rate", "judge.quality=9", "--gpu-price", "3"]
    assert main([*words, "--json", str(tmp_path / "plan.json"), "--documents-per-step", "8"]) == 0
    told = capsys.readouterr().out
    assert "judge.quality" in told and "KnockOut (this run's)" in told and "at least" in told and "--measured" in told
    (plan,) = json.loads((tmp_path / "plan.json").read_text())
    assert plan["documents"] == 32 and {role["role"] for role in plan["roles"]} == {"train", "rollout", "judge.quality"}
    assert main([*words, "--rate", "train"]) == 2
    assert "--rate judge.quality=5000" in capsys.readouterr().err


def test_servers_of_rollouts_read_prefixes_and_are_sent_weights(tokenizer: Path):
    run = tiny_run(tokenizer)
    here, roles = planned(run)
    served = replace(run, rollout_servers=RolloutServers("policy", (*NOWHERE, "http://localhost:2/v1")))
    there, theirs = planned(served)
    assert roles["rollout"].read == 0 and not any("weights" in note for note in here.notes)
    chunks = run.stream.build(run.seed, run.tokenizer.build(), run.split)
    prefixes = [len(chunk.prefix) for chunk in chunks.read(chunks.start(), 16)[0]]
    assert theirs["rollout"].read == 3 * sum(prefixes) and theirs["rollout"].written == roles["rollout"].written
    assert "weights are sent to 2 servers of rollouts once an update" in there.notes


def test_the_rate_of_servers_of_rollouts_is_of_one_of_them(tmp_path: Path, tokenizer: Path):
    servers = RolloutServers("policy", (*NOWHERE, "http://localhost:2/v1"))
    save_run(tiny_run(tokenizer, rollout_servers=servers), tmp_path / "run.yaml")
    row = {"step": 1, "seconds/rollout": 5.0, "tokens/sampled": 300.0}
    row |= {"prompt_tokens/rollout": 700.0, "answer_tokens/rollout": 300.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    assert rates_of(Question(measured=tmp_path)).tokens_per_second == {"rollout": pytest.approx(100.0)}


def test_rates_are_taken_from_a_run_unless_they_are_given(finished: Path):
    rates = rates_of(Question(measured=finished, rates=("train=7",)))
    rows = read_metrics(finished / "metrics.jsonl")
    sampled = sum(row["tokens/sampled"] for row in rows) / sum(row["seconds/rollout"] for row in rows)
    assert rates.tokens_per_second == {"train": 7.0, "rollout": pytest.approx(sampled)}


def test_the_rates_of_teachers_are_measured_by_their_share_of_the_judging(tmp_path: Path, tokenizer: Path):
    twice = replace(endpoint("judge.quality"), servers=(*NOWHERE, "http://localhost:2/v1"))
    judges = (PairwiseQuality(twice), PointwiseSafety(endpoint("judge.safety")))
    save_run(tiny_run(tokenizer, tiny_phase(judges=judges)), tmp_path / "run.yaml")
    row = {"step": 1, "seconds/judge.pairwisequality": 6.0, "seconds/judge.pointwisesafety": 4.0}
    row |= {"server_seconds/judge.quality": 30.0, "server_seconds/judge.safety": 10.0}
    row |= {"prompt_tokens/judge.quality": 900.0, "answer_tokens/judge.quality": 600.0, "requests/judge.quality": 20.0}
    row |= {"prompt_tokens/judge.safety": 50.0, "answer_tokens/judge.safety": 50.0, "requests/judge.safety": 10.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "step": 2}) + "\n")
    rates = rates_of(Question(measured=tmp_path))
    # 20 seconds of judging, three quarters of them by two GPUs
    assert rates.tokens_per_second == {"judge.quality": pytest.approx(100.0), "judge.safety": pytest.approx(40.0)}
    assert rates.answer_tokens == {"judge.quality": 30.0, "judge.safety": 5.0}


def test_a_study_is_planned_with_the_tokenizer_that_it_makes(capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "proving_ground", "--seeds", "5"]) == 0
    told = capsys.readouterr()
    assert "online_dpo-5: " in told.out and "base-5: 1,600 updates" in told.out and told.err.count("tokenizer") == 1


def test_a_study_without_a_run_that_can_be_planned_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    study = tmp_path / "study.yaml"
    jobs = [Job("tokenizer", WriteTokenizer(FactsWorld()))]
    study.write_text(dump_yaml(to_plain(Study(name="empty", jobs=tuple(jobs)))))
    assert main(["plan", str(study)]) != 0
    assert "no run of empty can be planned" in capsys.readouterr().err
