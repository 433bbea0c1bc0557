"""What lies in a run's samples, without reading a text; files that come, go, are torn or half-written."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.view.made import rows, write_samples

from tutelage.samples import TornSamples
from tutelage.view.shelf import Gone, Shelf, last_with_text, pieces


def test_a_file_tells_its_steps_sources_and_axes(run: Path):
    contents, torn = Shelf(run / "samples").look()
    assert [held.steps for held in contents] == [{1: 12, 2: 12, 3: 12}, {4: 12, 5: 12, 6: 12}]
    assert contents[0].sources == ("rewrite", "rollout", "suffix") and contents[0].axes == ("quality", "safety")
    assert torn == []


def test_no_folder_is_no_samples(tmp_path: Path):
    assert Shelf(tmp_path / "none").look() == ([], [])


def test_a_file_that_is_not_finished_is_no_file_yet(run: Path):
    (run / "samples" / "step-00000007-00000009.rank-0000.part").write_bytes(b"PAR1 half")
    assert len(Shelf(run / "samples").look()[0]) == 2


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet at all"])
def test_a_damaged_file_is_named_and_the_others_are_read(run: Path, damage: bytes):
    path = run / "samples" / "step-00000001-00000003.rank-0000.parquet"
    path.write_bytes(damage)
    contents, torn = Shelf(run / "samples").look()
    assert [held.file.first for held in contents] == [4]
    assert len(torn) == 1 and path.name in torn[0] and "torn or altered" in torn[0]


def test_a_file_of_another_form_says_what_it_lacks(run: Path):
    pq.write_table(pa.table({"step": [7]}), run / "samples" / "step-00000007-00000007.rank-0000.parquet")
    _, torn = Shelf(run / "samples").look()
    assert "it has no column corpus" in torn[0]


def test_a_file_that_was_replaced_is_read_anew(run: Path):
    shelf = Shelf(run / "samples")
    before = shelf.marks()
    shelf.look()
    write_samples(run, rows([4, 5, 6], documents=1))
    assert shelf.look()[0][1].steps == {4: 4, 5: 4, 6: 4}
    assert shelf.marks() != before


def test_a_file_that_did_not_change_is_not_read_again(run: Path, monkeypatch: pytest.MonkeyPatch):
    shelf = Shelf(run / "samples")
    first = shelf.look()
    monkeypatch.setattr(pq, "ParquetFile", None)
    assert shelf.look() == first


def test_a_file_that_is_gone_is_told_apart_from_a_torn_one(run: Path):
    contents, _ = Shelf(run / "samples").look()
    contents[0].file.path.unlink()
    with pytest.raises(Gone, match="the run went back"):
        pieces(contents[0].file, None)
    os.truncate(contents[1].file.path, 100)
    with pytest.raises(TornSamples, match="torn or altered"):
        pieces(contents[1].file, None)


def test_the_last_step_with_text_is_found_from_the_end(run: Path):
    write_samples(run, rows([7, 8], prefix=None, text=None))
    contents, _ = Shelf(run / "samples").look()
    assert last_with_text(contents) == 6
    assert last_with_text(contents[2:]) is None
