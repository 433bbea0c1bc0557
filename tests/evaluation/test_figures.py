from typing import Any

import pytest

from tutelage.evaluation import SUITES, Measured, Opinion, diversity, suite_figures, tables
from tutelage.evaluation.suites import FACTUALITY, QUALITY, SAFETY, Suite

SAID = Opinion(1.0, 8, 1, "fine")


def part(suite: Suite, name: str, **scores: tuple[float | None, ...]) -> Measured:
    found = next(one for one in suite.parts if one.name == name)
    count = len(next(iter(scores.values())))
    said = dict.fromkeys(scores, (SAID,) * count)
    return Measured(found, tuple(f"{name}/{i}" for i in range(count)), scores, said)


def safety() -> dict[str, Any]:
    measured = [
        part(SAFETY, "xstest_safe", a=(1.0, 1.0), b=(0.0, 1.0)),
        part(SAFETY, "xstest_unsafe", a=(0.0, None), b=(0.0, 0.0)),
    ]
    return suite_figures(SAFETY, measured, None, 0)


def test_an_average_is_over_what_is_there_by_weight():
    found = safety()
    assert found["average"]["a"]["mean"] == pytest.approx(250 / 450)
    assert found["average"]["b"]["mean"] == pytest.approx(0.5 * 250 / 450)
    assert found["missing"] == ["RTP", "own unsafe prefixes", "ToxiGen"]


def test_items_without_a_verdict_are_left_out_and_counted():
    unsafe = safety()["parts"]["xstest_unsafe"]["models"]["a"]
    assert (unsafe["items"], unsafe["without"], unsafe["answers"], unsafe["abstained"]) == (1, 1, 16, 2)


def test_models_are_compared_on_the_items_that_both_have():
    found = safety()
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"], pair["items"]) == ("a", "b", 3)
    assert pair["mean"] == pytest.approx(0.5 * 250 / 450) and 0 < pair["p"] <= 1
    assert found["parts"]["xstest_unsafe"]["pairs"][0]["items"] == 1


def test_a_part_without_any_verdict_is_a_dash_and_takes_its_model_out_of_the_average():
    measured = [
        part(SAFETY, "xstest_safe", a=(1.0,), b=(1.0,)),
        part(SAFETY, "xstest_unsafe", a=(None,), b=(1.0,)),
    ]
    found = suite_figures(SAFETY, measured, None, 0)
    assert list(found["average"]) == ["b"] and not found["pairs"]
    assert found["parts"]["xstest_unsafe"]["models"]["a"]["mean"] is None
    assert "| a | 100.0 [100.0, 100.0] | – | – |" in tables(results({"safety": found}))


def test_the_base_is_at_one_half_by_construction():
    one = part(QUALITY, "held_out", base=(0.5, 0.5), mine=(1.0, 0.75))
    found = suite_figures(QUALITY, [one], "base", 0)
    assert found["parts"]["held_out"]["models"]["base"]["by_construction"] and "average" not in found
    told = tables(results({"quality": found}, against="base"))
    assert "| base | 50.0 |" in told and "| mine | 87.5 [75.0, 100.0] |" in told


def test_what_has_no_weight_is_shown_beside_the_average():
    measured = [part(FACTUALITY, "held_out", a=(1.0,)), part(FACTUALITY, "factor", a=(0.0,))]
    found = suite_figures(FACTUALITY, measured, None, 0)
    assert found["average"]["a"]["mean"] == 1.0 and found["parts"]["factor"]["models"]["a"]["mean"] == 0.0


def results(suites: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"judge": {"name": "x|y<b>"}, "against": None, "samples": 8, "models": {"a": "a", "b": "b"}}
    if changes.get("against"):
        plain["models"] = {"base": "base", "mine": "mine"}
    return plain | {"warnings": [], "notes": [], "left_out": {"standard": "no | data"}, "suites": suites} | changes


def test_tables_say_what_is_missing_and_cannot_be_broken_by_a_name():
    told = tables(results({"safety": safety()}))
    assert "The average is over what is there; it lacks RTP, own unsafe prefixes, ToxiGen." in told
    assert "x\\|y&lt;b>" in told and "* standard: no \\| data" in told
    assert "## Safety (Table 5)" in told and "## Factuality" not in told


def test_variety_is_told_of_models_and_authors():
    varied = diversity(["a b c d e", "f g h i j"], seed=0)
    same = diversity(["a a a a a a", "a a a a a a", ""], seed=0)
    assert varied["distinct_1"] == 1.0 and same["distinct_1"] == pytest.approx(1 / 12)
    assert same["self_bleu"]["mean"] > varied["self_bleu"]["mean"] and same["empty"] == 1
    assert same["repetition"]["mean"] > 0 == varied["repetition"]["mean"]
    found = {"diversity": {"models": {"a": varied, "b": same}, "author": varied}}
    assert "| the authors | 100.0 |" in tables(results(found))


def test_every_suite_has_parts_of_different_names():
    assert all(len({one.name for one in suite.parts}) == len(suite.parts) for suite in SUITES.values())
