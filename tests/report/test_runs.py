import json
import re
from pathlib import Path

import pytest
from tests.report.conftest import metrics, write_metrics
from transformers import AutoTokenizer

from tutelage.codec import HFCodec, Tokenizer
from tutelage.objectives import OnlineDPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps
from tutelage.report import write_run_report
from tutelage.run import Run, save_run
from tutelage.samples import Recording, SampleWriter
from tutelage.sources import SuffixSource
from tutelage.types import JudgedPool, Judgement, Pool, Rewrite, Scored, Suffix, Tokens
from tutelage.weights import FromConfig
from tutelage.worlds.facts import FactsStream, FactsWorld


class Evil(HFCodec):
    """A codec whose every text is an attack."""

    def decode(self, tokens: Tokens) -> str:
        return "<script>alert(1)</script>"


@pytest.fixture
def directory(world: FactsWorld, codec: HFCodec, tmp_path: Path) -> Path:
    phase = Phase(OnlineDPO(), Steps(6), LearningRate(1e-3), (SuffixSource(),), documents_per_step=4)
    run = Run(name="mine", phases=(phase,), stream=FactsStream(world), tokenizer=Tokenizer("x"), model=FromConfig())
    save_run(run, tmp_path / "run.yaml")
    write_metrics(tmp_path, metrics(6, judged=True))
    return tmp_path


def keep_samples(directory: Path, world: FactsWorld, codec: HFCodec, judged: int = 4) -> None:
    writer = SampleWriter(directory / "samples", Recording(), codec, 0)
    for step in (1, 6):
        pools: list[JudgedPool] = []
        for chunk in world.evaluation_chunks("natural", judged):
            pool = Pool(chunk, (Suffix(chunk.suffix), Rewrite(chunk.suffix[:3], "oracle")))
            pools.append(
                JudgedPool(pool, (Judgement("safety", (Scored(1.0), Scored(0.25)), words=("fine", "<i>bad")),))
            )
        writer.add(step, pools, [OnlineDPO().lesson(pool).item for pool in pools])
    writer.flush()


def test_a_run_explains_itself(directory: Path, world: FactsWorld, codec: HFCodec):
    keep_samples(directory, world, codec)
    page = write_run_report(directory).read_text()
    for part in (
        "OnlineDPO",
        "SuffixSource",
        "Who wins",
        "What the judge says",
        "tokens trained",
        "chosen",
        "rejected",
    ):
        assert part in page
    assert page.count('class="sample"') == 6
    assert "safety 1.00" in page and "&lt;i&gt;bad" in page
    assert "documents_per_step: 4" in page


def test_the_page_of_a_run_refers_to_nothing_outside(directory: Path, world: FactsWorld, codec: HFCodec):
    keep_samples(directory, world, codec)
    page = write_run_report(directory).read_text()
    assert not re.search(r"https?:|<script|<link|<img|@import|url\((?!#)", page)


def test_text_of_a_run_is_escaped(directory: Path, world: FactsWorld, tokenizer: Path):
    keep_samples(directory, world, Evil(AutoTokenizer.from_pretrained(tokenizer)))
    page = write_run_report(directory).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 6 * 3


def test_a_run_without_candidates_has_a_page_too(directory: Path):
    write_metrics(directory, metrics(3, judged=False))
    page = write_run_report(directory).read_text()
    assert "Who wins" not in page and "Training" in page


def test_a_run_in_progress_with_a_torn_line_has_a_page(directory: Path):
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "loss')
    assert "6 updates" in write_run_report(directory).read_text()


def test_a_directory_without_a_run_or_a_step_is_named(tmp_path: Path, directory: Path):
    with pytest.raises(ValueError, match=r"no run\.yaml"):
        write_run_report(tmp_path / "nowhere")
    write_metrics(directory, [])
    with pytest.raises(ValueError, match="no step to report"):
        write_run_report(directory)


def test_a_word_of_the_judge_that_is_no_number_is_shown(directory: Path, world: FactsWorld, codec: HFCodec):
    from tutelage.report.runs import _verdicts  # pyright: ignore[reportPrivateUsage]

    assert _verdicts(json.dumps({"safety": {"abstained": "refused"}, "quality": 0.5})) == (
        "safety: abstained (refused) · quality 0.50"
    )


def test_torn_samples_are_passed_over_with_a_note(directory: Path, world: FactsWorld, codec: HFCodec):
    keep_samples(directory, world, codec)
    whole = write_run_report(directory).read_text()
    (directory / "samples" / "step-00000000-00000000.rank-0000.parquet").write_bytes(b"PAR1 torn")
    (directory / "samples" / "step-00000009-00000009.rank-0000.parquet").write_bytes(b"")
    page = write_run_report(directory).read_text()
    note = "cannot be read: step-00000000-00000000.rank-0000.parquet, step-00000009-00000009.rank-0000.parquet"
    assert (
        note in page and "cannot be read" not in whole and page.count('class="prefix"') == whole.count('class="prefix"')
    )
