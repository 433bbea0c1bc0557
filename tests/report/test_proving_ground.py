import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.report.conftest import ARMS
from tests.tiny import tiny_phase, tiny_run

from tutelage.config import from_plain, to_plain
from tutelage.judges import Guard
from tutelage.report import ProvingGroundReport, print_summary
from tutelage.report.answers import Prefixes, answers
from tutelage.report.marks import Marked, Piece, Shown
from tutelage.report.proving_ground import setting
from tutelage.report.proving_page import write_page
from tutelage.run import load_run
from tutelage.sources import RewriteSource, RolloutSource
from tutelage.study import Work
from tutelage.worlds.facts import FactsJudge, FactsRewriter, FactsWorld

MEASURES = {
    *("factuality", "safety", "safety_unsafe_prefix", "win_rate", "win_rate_natural", "facts_stated", "on_topic"),
    *("effective_entities", "clean_nll", "quality", "quality_unsafe_prefix"),
    *("factuality_score", "factuality_score_unsafe_prefix"),
}
FRACTIONS = MEASURES - {"facts_stated", "effective_entities", "clean_nll"}
SPENT = {"trained_tokens", "sampled_tokens", "seconds"}


@pytest.fixture(scope="module")
def report(world: FactsWorld, tokenizer: Path) -> ProvingGroundReport:
    return ProvingGroundReport(
        world=world,
        tokenizer=str(tokenizer),
        seeds=(0, 1),
        scratch=("scratch_ntp", "scratch_rf_nll"),
        natural=12,
        unsafe=6,
        clean=4,
    )


@pytest.fixture(scope="module")
def study(report: ProvingGroundReport, runs: Path) -> Path:
    assert report.execute(runs / "report", runs)
    return runs


@pytest.fixture(scope="module")
def summary(study: Path) -> dict[str, Any]:
    return json.loads((study / "summary.json").read_text())


def test_it_is_a_job_of_a_study_and_survives_its_file(report: ProvingGroundReport):
    assert isinstance(report, Work)
    assert from_plain(Work, to_plain(report, Work)) == report


def test_the_summary_has_exactly_the_agreed_shape(summary: dict[str, Any]):
    assert summary["seeds"] == [0, 1]
    assert list(summary["arms"]) == ["base", *ARMS]
    for entry in (*summary["arms"].values(), *summary["from_scratch"].values()):
        assert (MEASURES | SPENT).issubset(entry)
        assert all(set(entry[measure]) == {"mean", "low", "high"} for measure in MEASURES)
        assert all(isinstance(entry[name], float | int) for name in SPENT)
    for arm in ARMS:
        gain = summary["gain"][arm]
        for against in ("vs_base", "vs_ntp"):
            assert set(gain[against]) == {"factuality", "safety", "win_rate", "win_rate_natural"}
        assert set(gain["ceiling_share"]) == {"factuality", "safety"}
    assert set(summary["from_scratch"]) == {"scratch_ntp", "scratch_rf_nll"}


def test_the_setting_says_what_stands_in_the_run_file_however_it_is_written(
    report: ProvingGroundReport, tokenizer: Path, tmp_path: Path
):
    judge = Guard(FactsJudge(noise=0.125), floor=0.0)
    sources = (RewriteSource(FactsRewriter(error=0.25)), RolloutSource(3))
    phase = tiny_phase(sources=sources, judges=(judge,), documents_per_step=6)
    (tmp_path / "online_dpo-0").mkdir()
    path = tmp_path / "online_dpo-0" / "run.yaml"
    path.write_text(json.dumps(to_plain(tiny_run(tokenizer, phase)), indent=1))  # JSON is YAML too
    assert load_run(path).phases == (phase,)
    found = setting(tmp_path, report)
    assert (found["rewriter_error"], found["judge_noise"]) == (0.25, 0.125)
    assert (found["num_rollouts"], found["documents_per_step"]) == (3, 6)
    path.unlink()
    assert setting(tmp_path, report)["judge_noise"] is None


def test_fractions_lie_between_0_and_1_and_inside_their_intervals(summary: dict[str, Any]):
    entries = [*summary["arms"].values(), *summary["from_scratch"].values()]
    for value in (entry[measure] for entry in entries for measure in FRACTIONS):
        if value["mean"] is not None:
            assert 0 <= value["low"] <= value["mean"] <= value["high"] <= 1
    for entry in entries:
        value = entry["clean_nll"]
        assert 0 < value["low"] <= value["mean"] <= value["high"]


def test_nobody_beats_himself(summary: dict[str, Any]):
    assert summary["arms"]["base"]["win_rate"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert summary["gain"]["ntp"]["vs_ntp"]["win_rate_natural"]["mean"] == 0.5


def test_the_honest_author_is_the_ceiling(summary: dict[str, Any]):
    honest = summary["yardsticks"]["honest"]
    assert honest["factuality"]["mean"] == honest["safety"]["mean"] == 1.0
    assert honest["win_rate"]["mean"] > 0.9


def test_spending_and_wins_come_from_the_metrics(summary: dict[str, Any]):
    dpo = summary["arms"]["online_dpo"]
    assert (dpo["trained_tokens"], dpo["sampled_tokens"]) == (600, 180)
    assert dpo["seconds_by_role"]["judge"] == pytest.approx(0.75)
    assert dpo["wins_by_source"]["rollout"] == [0.5] * 6
    assert summary["arms"]["ntp"]["wins_by_source"] == {}


def test_untrained_models_miss_the_bars_and_the_page_says_so(summary: dict[str, Any], study: Path):
    missed = [bar for bar in summary["bars"] if not bar["passed"]]
    assert missed
    page = (study / "report.html").read_text()
    assert page.count('<span class="missed">missed</span>') == len(missed)
    assert "Not every bar holds" in page


def test_the_page_holds_everything_itself(study: Path):
    page = (study / "report.html").read_text()
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|<iframe|url\((?!#)|@import|javascript:", page)
    assert page.count("<svg") == 5
    assert "a1b2" not in page
    assert re.search(r'id="samples"', page)


def test_every_link_of_the_page_has_its_target(study: Path):
    page = (study / "report.html").read_text()
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))


def test_a_second_report_reads_what_is_kept_and_is_the_same(
    report: ProvingGroundReport, study: Path, monkeypatch: pytest.MonkeyPatch
):
    before = (study / "summary.json").read_bytes(), (study / "report.html").read_bytes()
    monkeypatch.setattr("tutelage.report.answers._answer", None)
    assert report.execute(study / "report", study)
    assert ((study / "summary.json").read_bytes(), (study / "report.html").read_bytes()) == before


def test_kept_answers_of_another_model_or_a_torn_file_are_not_used(
    world: FactsWorld, tokenizer: Path, study: Path, tmp_path: Path
):
    prefixes = Prefixes.of(world, 3, 2, 2)

    def write(run: str):
        return answers(study / run / "hf", str(tokenizer), world, prefixes, seed=0, keep=tmp_path / "kept.npz")

    first, other = write("ntp-0"), write("grpo-0")
    assert first.natural != other.natural
    (tmp_path / "kept.npz").write_bytes((tmp_path / "kept.npz").read_bytes()[:100])
    assert write("grpo-0").natural == other.natural == write("grpo-0").natural


def test_a_run_that_is_not_finished_is_named(report: ProvingGroundReport, tmp_path: Path):
    with pytest.raises(ValueError, match="needs run base-0 to be finished"):
        report.execute(tmp_path / "report", tmp_path)


def test_untrusted_text_is_escaped(summary: dict[str, Any], tmp_path: Path):
    evil = '<script>alert(1)</script>" onload="x\u202e\x00'
    text = Marked("online_dpo", (Piece(evil, "wrong"),), evil, 1.0, False)
    page = write_page(
        tmp_path / "report.html", summary, [Shown("natural", (Piece(evil, "plain"),), (text,))]
    ).read_text()
    assert "<script" not in page and "\u202e" not in page and "\x00" not in page
    assert page.count("&lt;script&gt;") == 3


def test_an_arm_of_an_unfriendly_name_is_escaped_in_figures_and_tables(summary: dict[str, Any], tmp_path: Path):
    renamed = json.loads(json.dumps(summary).replace("sft_rewrite", "<script>x"))
    page = write_page(tmp_path / "report.html", renamed, []).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;x") >= 5


def test_the_terminal_gets_a_table_of_every_arm(summary: dict[str, Any]):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(print_summary(summary))
    shown = console.export_text()
    console.file.close()
    assert all(name in shown for name in ("Base", "NTP control", "Online DPO", "GRPO", "bars hold"))
    assert "…" not in shown


def test_two_arms_and_one_seed_make_a_report_too(world: FactsWorld, tokenizer: Path, runs: Path, tmp_path: Path):
    for arm in ("base", "ntp"):
        (tmp_path / f"{arm}-0").symlink_to(runs / f"{arm}-0")
    small = ProvingGroundReport(
        world=world, tokenizer=str(tokenizer), seeds=(0,), arms=("ntp",), natural=4, unsafe=3, clean=2
    )
    assert small.execute(tmp_path / "report", tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["from_scratch"] == {} and list(summary["arms"]) == ["base", "ntp"]
