from pathlib import Path

import pytest
from tests.report.conftest import metrics, write_metrics

from tutelage.report.history import curves, histories, spending, wins_by_source


def test_seconds_are_counted_by_role_and_averaged_over_seeds():
    spent = spending([metrics(4, judged=True), metrics(8, judged=True)])
    assert spent.seconds_by_role == {"policy": 3.0, "rollout": 6.0, "judge": 0.75, "rewriter": 3.0, "stream": 1.5}
    assert spent.seconds == pytest.approx(14.25)
    assert (spent.steps, spent.trained_tokens, spent.sampled_tokens) == (6, 600, 180)


def test_waiting_for_judges_is_not_counted_beside_their_own_seconds():
    row = {"seconds/judge.facts": 2.0, "seconds/wait_for_judges": 1.5}
    assert spending([[row]]).seconds == spending([[row]]).seconds_by_role["judge"] == 2.0


def test_curves_are_means_over_bins_of_trained_tokens():
    rows = [{"tokens/trained": 10.0, "loss/nll": float(i)} for i in range(4)]
    found = curves([rows], ("loss/nll", "loss/none"), points=2)
    assert found == {"tokens": [10.0, 30.0], "step": [1.0, 3.0], "loss/nll": [0.5, 2.5]}
    gap = [{"tokens/trained": 10.0}, {"tokens/trained": 10.0, "loss/nll": 1.0}]
    assert curves([gap], ("loss/nll",), points=2)["loss/nll"] == [None, 1.0]


def test_wins_are_named_by_source_and_absent_where_nothing_is_chosen():
    assert set(wins_by_source([metrics(5, judged=True)])) == {"tokens", "step", "suffix", "rewrite", "rollout"}
    assert wins_by_source([metrics(5, judged=False)]) == {}


def test_a_directory_without_metrics_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"holds no metrics\.jsonl"):
        histories([tmp_path])
    write_metrics(tmp_path, metrics(2, judged=False))
    assert len(histories([tmp_path])[0]) == 2
