"""Pools of a step: told briefly, and whole."""

import json
from pathlib import Path

import pytest
from tests.view.made import EVIL, row, rows, write_samples

from tutelage.view.pools import NAME_LIMIT, NotThere, key_of, pool_list, whole_pool
from tutelage.view.shelf import Shelf


def contents(run: Path):
    return Shelf(run / "samples").look()[0]


def test_a_step_lists_its_pools_with_who_won(run: Path):
    told = pool_list(contents(run), 2)
    assert told["count"] == 3 and [pool["document"] for pool in told["pools"]] == ["d2-0", "d2-1", "d2-2"]
    first = told["pools"][0]
    assert (first["chosen"], first["rejected"], first["candidates"], first["told"]) == ("rewrite", "rollout", 4, True)
    assert first["spread"] == pytest.approx(0.3) and first["unscored"] == 0


def test_the_pools_of_all_ranks_stand_together(run: Path):
    write_samples(run, [row(2, "of-another-rank", k) for k in range(4)], rank=1)
    assert [pool["document"] for pool in pool_list(contents(run), 2)["pools"]][-1] == "of-another-rank"


def test_a_step_that_is_not_recorded_is_told_with_those_that_are(run: Path):
    with pytest.raises(NotThere, match="no samples of step 99: steps 1 to 6 are recorded"):
        pool_list(contents(run), 99)


def test_a_pool_is_told_whole(run: Path):
    key = pool_list(contents(run), 2)["pools"][1]["key"]
    pool = whole_pool(contents(run), 2, key)
    assert pool["prefix"] == {"text": "The beginning of d2-1,", "length": 22}
    assert [one["source"] for one in pool["candidates"]] == ["suffix", "rewrite", "rollout", "rollout"]
    rewrite = pool["candidates"][1]
    assert rewrite["role"] == "chosen" and rewrite["author"] == "writer" and rewrite["total"] == pytest.approx(1.12)
    assert rewrite["words"]["text"] == "It reads well." and pool["candidates"][0]["words"] is None
    assert [said["axis"] for said in rewrite["verdicts"]] == ["quality", "safety"]
    assert rewrite["text"]["text"] == " rewrite 1 of d2-1 at step 2."
    with pytest.raises(NotThere, match="no such pool"):
        whole_pool(contents(run), 3, key)


def test_an_abstention_is_no_score_and_says_why(tmp_path: Path):
    silent = json.dumps({"quality": {"abstained": "it refused"}, "safety": 0.5})
    write_samples(tmp_path, [row(1, "d", k, total=None, verdicts=silent) for k in range(4)])
    listed = pool_list(contents(tmp_path), 1)["pools"][0]
    assert listed["unscored"] == 4 and listed["spread"] is None
    said = whole_pool(contents(tmp_path), 1, listed["key"])["candidates"][0]["verdicts"]
    assert said == [
        {"axis": "quality", "value": None, "why": "it refused"},
        {"axis": "safety", "value": 0.5, "why": None},
    ]


def test_texts_that_were_not_kept_are_missing_and_not_empty(tmp_path: Path):
    write_samples(tmp_path, rows([1], prefix=None, text=None))
    listed = pool_list(contents(tmp_path), 1)["pools"][0]
    pool = whole_pool(contents(tmp_path), 1, listed["key"])
    assert listed["told"] is False and pool["prefix"] is None and pool["candidates"][0]["text"] is None


def test_a_huge_text_is_cut_unless_the_whole_is_asked_for(tmp_path: Path):
    write_samples(tmp_path, [row(1, "d" * 5_000, k, text="x" * 500_000, prefix="a" + "b" * 99_999) for k in range(2)])
    listed = pool_list(contents(tmp_path), 1)["pools"][0]
    assert len(listed["document"]) == NAME_LIMIT and len(listed["key"]) == 16
    pool = whole_pool(contents(tmp_path), 1, listed["key"], limit=100)
    assert pool["prefix"] == {"text": "b" * 100, "length": 100_000}
    assert pool["candidates"][0]["text"] == {"text": "x" * 100, "length": 500_000}
    whole = whole_pool(contents(tmp_path), 1, listed["key"], limit=None)
    assert len(whole["candidates"][1]["text"]["text"]) == 500_000


def test_pools_differ_by_corpus_document_epoch_and_cut():
    base = {"corpus": "c", "document": "d", "epoch": 0, "cut": 1}
    others = [base | {"corpus": "C"}, base | {"document": EVIL}, base | {"epoch": 1}, base | {"cut": 2}]
    assert len({key_of(one) for one in (base, *others)}) == 5


def test_verdicts_that_cannot_be_read_are_none(tmp_path: Path):
    write_samples(tmp_path, [row(1, "d", k, verdicts="{half", words=None, source=None, author=None) for k in range(2)])
    listed = pool_list(contents(tmp_path), 1)["pools"][0]
    assert whole_pool(contents(tmp_path), 1, listed["key"])["candidates"][0]["verdicts"] == []
