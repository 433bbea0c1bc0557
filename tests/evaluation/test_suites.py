import numpy as np
import pytest

from tutelage.evaluation import SUITES
from tutelage.evaluation.figures import missing_parts
from tutelage.evaluation.suites import FACTUALITY, SAFETY, Suite
from tutelage.maths.strata import weighted_mean

COLUMNS = ("held_out", "factscore", *(f"halueval_{name}" for name in ("dialogue", "qa", "summarization")))
FACTUALITY_ROWS = {
    "base": ([36.6, 50.0, 50.0, 50.1, 50.0, 22.4, 35.9], 42.3),
    "ntp": ([35.4, 48.9, 50.8, 51.4, 61.5, 21.5, 35.5], 44.0),
    "K=2": ([37.8, 53.9, 52.3, 53.6, 64.2, 22.9, 36.3], 46.2),
    "K=4": ([43.6, 54.3, 53.6, 53.2, 72.0, 23.9, 37.3], 48.8),
    "K=8": ([60.0, 68.4, 57.2, 59.0, 87.6, 24.7, 38.0], 56.9),
    "K=16": ([63.5, 69.3, 54.6, 58.5, 84.7, 27.7, 42.5], 57.6),
    "pivot": ([61.1, 67.9, 56.1, 59.9, 77.9, 25.3, 38.9], 55.7),
    "8B": ([32.4, 70.5, 11.7, 8.3, 14.9, 28.2, 44.2], 26.3),
}
SAFETY_ROWS = {"base": ([88.1, 68.0, 85.2, 39.5, 80.1], 76.87), "sip": ([96.0, 93.4, 88.4, 49.0, 93.1], 91.10)}
STANDARD_ROWS = {
    "base": ([64.6, 74.8, 47.9, 66.6, 32.3, 27.2, 41.0, 26.4], 47.6),
    "quality": ([69.1, 75.8, 51.7, 69.4, 35.7, 30.0, 46.1, 28.3], 50.8),
}


def average(suite: Suite, shares: dict[str, float]) -> float:
    parts = [part for part in suite.parts if part.name in shares]
    values = [np.array([shares[part.name]]) for part in parts]
    return weighted_mean(values, [part.weight for part in parts], seed=0, resamples=2).mean


@pytest.mark.parametrize("row", FACTUALITY_ROWS)
def test_the_weights_of_factuality_give_the_published_averages_back(row: str):
    cells, told = FACTUALITY_ROWS[row]
    shares = dict(zip((*COLUMNS, "truthfulqa_mc1", "truthfulqa_mc2"), cells, strict=True))
    assert average(FACTUALITY, shares) == pytest.approx(told, abs=0.07)


@pytest.mark.parametrize("row", SAFETY_ROWS)
def test_the_weights_of_safety_give_two_published_averages_back(row: str):
    cells, told = SAFETY_ROWS[row]
    assert average(SAFETY, dict(zip((p.name for p in SAFETY.parts), cells, strict=True))) == pytest.approx(
        told, abs=0.01
    )


@pytest.mark.parametrize("row", STANDARD_ROWS)
def test_the_standard_tasks_are_averaged_plainly(row: str):
    cells, told = STANDARD_ROWS[row]
    suite = SUITES["standard"]
    assert average(suite, dict(zip((p.name for p in suite.parts), cells, strict=True))) == pytest.approx(told, abs=0.06)


def test_a_stand_in_is_missed_by_nobody_and_neither_is_what_it_stands_for():
    names = [part.name for part in missing_parts(FACTUALITY, ["held_out", "halueval_general"])]
    assert names == ["factscore", "truthfulqa_mc1", "truthfulqa_mc2"]
    assert "halueval_qa" in [part.name for part in missing_parts(FACTUALITY, ["halueval_dialogue"])]
