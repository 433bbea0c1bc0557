"""Candidates by source, role, score and text, page by page."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.view.made import row, rows, write_samples

from tutelage.view.search import BadQuery, Place, Query, search
from tutelage.view.shelf import Piece, Shelf


def contents(run: Path):
    return Shelf(run / "samples").look()[0]


def every(run: Path, query: Query, **how: Any) -> list[dict[str, Any]]:
    """All hits, page by page."""
    hits: list[dict[str, Any]] = []
    place: Place | None = None
    for _ in range(200):
        page = search(contents(run), query, place, **how)
        hits += page["hits"]
        if not page["next"]:
            return hits
        place = Place.parse(page["next"])
    raise AssertionError("the pages have no end")


def test_all_candidates_are_found_where_nothing_is_asked(run: Path):
    assert len(every(run, Query())) == 72


def test_sources_roles_documents_and_steps_are_told_apart(run: Path):
    assert {hit["source"] for hit in every(run, Query(source="rewrite"))} == {"rewrite"}
    assert len(every(run, Query(source="rewrite", role="chosen"))) == 18
    assert every(run, Query(source="rewrite", role="rejected")) == []
    assert [hit["step"] for hit in every(run, Query(document="d5-2"))] == [5] * 4
    assert {hit["step"] for hit in every(run, Query(first=5))} == {5, 6}


def test_scores_are_asked_of_an_axis_or_of_the_total(run: Path):
    found = every(run, Query(axis="quality", low=0.355, high=0.365))
    assert [hit["step"] for hit in found] == [6] * 3 and found[0]["score"] == pytest.approx(0.36)
    assert every(run, Query(axis="quality", low=1.0)) == [] and len(every(run, Query(low=1.0))) == 72
    assert len(every(run, Query(axis="safety", low=1.0, high=1.0))) == 72
    assert every(run, Query(axis="none", low=0.0)) == []


def test_abstentions_are_found_by_axis(tmp_path: Path):
    silent = json.dumps({"quality": {"abstained": 'said "safety": {"abstained" and left'}, "safety": 0.5})
    write_samples(tmp_path, [row(1, "d", 0), row(1, "d", 1, verdicts=silent, total=None)])
    assert [hit["candidate"] for hit in every(tmp_path, Query(axis="quality", abstained=True))] == [1]
    assert every(tmp_path, Query(axis="safety", abstained=True)) == []
    assert [hit["candidate"] for hit in every(tmp_path, Query(abstained=True))] == [1]


def test_an_axis_that_a_reason_or_another_axis_spells_is_not_taken_for_it(tmp_path: Path):
    tricky = json.dumps({"a.b": 0.1, 'x": 0.9, "aXb': 0.2, "quality": {"abstained": '"aXb": 0.9'}})
    write_samples(tmp_path, [row(1, "d", 0, verdicts=tricky)])
    assert every(tmp_path, Query(axis="aXb", low=0.0)) == []
    assert len(every(tmp_path, Query(axis="a.b", low=0.05, high=0.15))) == 1
    assert len(every(tmp_path, Query(axis='x": 0.9, "aXb', low=0.15))) == 1


def test_text_is_found_in_candidates_words_and_prefixes_whatever_its_capitals(run: Path):
    hit = every(run, Query(text="ROLLOUT 3 of d4-1"))[0]
    assert (hit["where"], hit["found"], hit["before"]) == ("text", "rollout 3 of d4-1", " ")
    assert hit["after"] == " at step 4." and hit["step"] == 4
    assert len(every(run, Query(text="reads well"))) == 18
    assert [hit["where"] for hit in every(run, Query(text="beginning of d1-0"))] == ["prefix"]
    assert every(run, Query(text=".* [")) == []


@pytest.mark.parametrize("group", [5, 2_000])
def test_pages_give_every_hit_once_and_in_order(tmp_path: Path, group: int):
    write_samples(tmp_path, rows([1, 2, 3]), group=group)
    write_samples(tmp_path, rows([4, 5]), group=group)
    found = every(tmp_path, Query(source="rollout"), limit=4)
    assert [(hit["step"], hit["document"], hit["candidate"]) for hit in found] == [
        (step, f"d{step}-{i}", k) for step in range(1, 6) for i in range(3) for k in (2, 3)
    ]


def test_a_page_ends_when_its_time_is_over_and_the_next_goes_on(tmp_path: Path):
    write_samples(tmp_path, rows(range(1, 6)), group=12)
    first = search(contents(tmp_path), Query(text="no such text"), seconds=0.0)
    assert first["hits"] == [] and first["next"] and first["until"] == 1
    assert len(every(tmp_path, Query(role="chosen"), seconds=0.0)) == 15


def test_row_groups_that_cannot_hold_a_hit_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_samples(tmp_path, rows(range(1, 11)), group=12)
    read: list[int] = []
    batches = Piece.batches

    def counted(self: Piece, *asked: Any) -> Any:
        read.append(self.number)
        return batches(self, *asked)

    monkeypatch.setattr(Piece, "batches", counted)
    assert len(every(tmp_path, Query(document="d7-1"))) == 4 and read == [6]


def test_files_that_are_torn_are_named_and_passed_over(run: Path):
    held = contents(run)
    held[0].file.path.write_bytes(b"PAR1")
    page = search(held, Query(role="chosen"))
    assert {hit["step"] for hit in page["hits"]} == {4, 5, 6} and "torn or altered" in page["torn"][0]


def test_after_a_resume_a_search_goes_on_in_what_took_the_files_place(run: Path):
    page = search(contents(run), Query(), limit=40)
    for path in (run / "samples").iterdir():
        if "00000004" in path.name:
            path.unlink()
    write_samples(run, rows([4, 5], documents=1))
    rest = search(contents(run), Query(), Place.parse(page["next"]))
    assert {hit["step"] for hit in rest["hits"]} <= {4, 5} and rest["next"] == ""


@pytest.mark.parametrize("place", ["", "nowhere", "step-1:x:0", "../../etc/passwd:0:0", "step-00000001:0:0:0"])
def test_a_place_that_no_page_ended_at_is_refused(place: str):
    with pytest.raises(BadQuery, match="search again"):
        Place.parse(place)
