import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import metrics, save_model, write_metrics

from tutelage.codec import Tokenizer, train_tokenizer
from tutelage.config import from_plain, to_plain
from tutelage.judges import Guard, LikelihoodJudge
from tutelage.report import RealTextReport
from tutelage.report.real_charts import bits_chart, held_out
from tutelage.report.real_text import findings
from tutelage.stream import Corpus, Splits, TextStream
from tutelage.study import Work

TEXT = "the river ran over old stones while a grey heron waited <script>alert(1)</script> for its supper"
WORDS = TEXT.split()


def story(number: int) -> str:
    return " ".join(WORDS[(number * 7 + i * i) % len(WORDS)] for i in range(60))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RealTextReport:
    root = tmp_path_factory.mktemp("real")
    (root / "text.jsonl").write_text("".join(json.dumps({"text": f"{n} {story(n)}"}) + "\n" for n in range(40)))
    folder = train_tokenizer(iter([story(n) for n in range(40)]), 300, root / "tokenizer") or root / "tokenizer"
    codec = Tokenizer(str(folder)).build()
    for number, name in enumerate(("base", "ntp", "dpo", "judge")):
        save_model(root / name / "hf", codec, seed=number)
        codec.save(root / name / "hf")
    write_metrics(root / "dpo", metrics(5, judged=True))
    write_metrics(root / "ntp", [row | {"evaluation/held_out_bits_per_byte": 2.0} for row in metrics(5, judged=False)])
    return RealTextReport(
        tokenizer=str(folder),
        base=str(root / "base" / "hf"),
        ntp=str(root / "ntp" / "hf"),
        dpo=str(root / "dpo" / "hf"),
        stream=TextStream(
            (Corpus(str(root / "text.jsonl")),),
            suffix_length=12,
            max_length=64,
            min_prefix=4,
            min_suffix=4,
            deduplicate=None,
            splits=Splits(policy=0.5, validation=0.5, test=0.0),
        ),
        judge=Guard(LikelihoodJudge(str(root / "judge" / "hf")), floor=-30.0),
        documents=30,
        shown=3,
    )


@pytest.fixture(scope="module")
def study(report: RealTextReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("study")
    (study / "report").mkdir()
    assert report.execute(study / "report", study)
    return study


@pytest.fixture(scope="module")
def summary(study: Path) -> dict[str, Any]:
    return json.loads((study / "summary.json").read_text())


def test_it_is_a_job_of_a_study_and_survives_its_file(report: RealTextReport):
    assert from_plain(Work, to_plain(report, Work)) == report


def test_every_model_has_its_figures_with_intervals(summary: dict[str, Any]):
    for entry in summary["models"].values():
        bits = entry["bits_per_byte"]
        assert 0 < bits["low"] <= bits["mean"] <= bits["high"]
        assert 0 <= entry["repetition"]["mean"] <= 1 and 0 < entry["distinct_2"] <= 1
    assert set(summary["runs"]) == {"ntp", "dpo"}


def test_every_document_is_read_once(summary: dict[str, Any]):
    assert 2 < summary["documents"] < 30


def test_wins_are_complete_and_comparable(summary: dict[str, Any]):
    for match in summary["wins"].values():
        judge = match["judge"]
        assert judge["judged"] + judge["abstained"] == summary["documents"]
        assert 0 <= judge["low"] <= judge["mean"] <= judge["high"] <= 1
        assert 0 <= match["less_repetition"]["mean"] <= 1


def test_the_page_escapes_the_corpus_and_refers_to_nothing_outside(study: Path):
    page = (study / "report.html").read_text()
    assert not re.search(r"https?:|<script|<link|<img|@import|url\((?!#)", page)
    assert "the very model that chose and rejected" in page
    assert page.count('class="sample real"') == 3


def test_findings_take_no_side():
    def fake(low: float, high: float) -> dict[str, Any]:
        share = {"mean": (low + high) / 2, "low": low, "high": high}
        bits = {"mean": 0.5 - share["mean"], "low": 0.5 - high, "high": 0.5 - low}
        match = {"likelier_documents": share, "judge": share, "bits_per_byte": bits}
        model = {"bits_per_byte": {"mean": 1.0, "low": 0.9, "high": 1.1}}
        return {
            "models": dict.fromkeys(("base", "ntp", "dpo"), model),
            "wins": dict.fromkeys(("dpo_vs_base", "dpo_vs_ntp"), match),
        }

    assert all("worse" in line for line in findings(fake(0.1, 0.4)))
    assert all("better" in line for line in findings(fake(0.6, 0.9)))
    assert all("not told apart" in line for line in findings(fake(0.4, 0.6)))


def test_a_continuation_is_drawn_from_the_update_at_which_its_base_ended():
    runs = {
        "base": {"steps": 450, "held_out": [[400, 2.4], [450, 2.3]]},
        "ntp": {"steps": 75, "held_out": [[75, 2.2]]},
        "dpo": {"steps": 60, "held_out": []},
    }
    assert held_out(runs) == {"base": [(400, 2.4), (450, 2.3)], "ntp": [(525, 2.2)]}
    assert held_out({"ntp": runs["ntp"]}) == {"ntp": [(75, 2.2)]}


def test_the_axis_of_a_share_does_not_go_below_zero_and_its_marks_are_whole():
    few, many = ({"mean": mean, "low": mean, "high": mean} for mean in (0.005, 0.2))
    bits = {"mean": 2.0, "low": 1.9, "high": 2.1}
    models = {name: {"bits_per_byte": bits, "repetition": share} for name, share in (("ntp", few), ("dpo", many))}
    drawn = str(bits_chart({"models": models}, {"ntp": "control", "dpo": "DPO"}))
    assert ">−0" not in drawn and ">0.0" in drawn
