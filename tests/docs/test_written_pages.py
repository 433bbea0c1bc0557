"""Pages that are written by scripts agree with what they are written from, and name what the code names."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from docs import fill_results, write_settings
from tutelage.run import FREE_TO_CHANGE

ROOT = Path(__file__).resolve().parent.parent.parent
CELL = {"mean": 0.9, "low": 0.85, "high": 0.95}
OBJECTIVES = {"nll": ("ntp", "sft", "rf-nll"), "dpo": ("online-dpo", "judge-free-dpo"), "grpo": ("grpo",)}


def made_up() -> dict[str, object]:
    arm = dict.fromkeys(fill_results.MEASURES, CELL)
    arm |= {"trained_tokens": 400_000.0, "sampled_tokens": 0.0, "seconds": 12.3}
    axes = {"factuality": CELL, "safety": {"mean": None, "low": None, "high": None}}
    bar = {"name": "gain_safety", "text": "Safe", "target": 0.185, "sense": "at least", "passed": False, "note": ""}
    return {
        "seeds": [1, 2],
        "arms": dict.fromkeys(fill_results.ARMS, arm),
        "gain": {"online_dpo": {"vs_base": axes, "vs_ntp": axes, "ceiling_share": axes}},
        "bars": [{**bar, "value": 0.1, "low": -0.05, "high": 0.2}],
    }


def test_the_pages_hold_the_committed_results():
    demo = fill_results.results()
    for page in fill_results.PAGES:
        text = page.read_text("utf-8")
        assert fill_results.filled(text, demo) == text, f"{page.name}: run docs/fill_results.py"
    picture = ROOT / "docs" / "images" / "demo.png"
    assert picture.exists() or demo is None, "docs/images/demo.png, which the README shows, is missing"
    if demo is None:
        pytest.skip("docs/results/demo.json is not there yet: the pages say that nothing was measured")


def test_every_block_that_can_be_filled_stands_in_a_page():
    found = [m["name"] for page in fill_results.PAGES for m in fill_results.BLOCK.finditer(page.read_text("utf-8"))]
    assert sorted(found) == sorted(fill_results.BLOCKS)


@pytest.mark.parametrize("name", fill_results.BLOCKS)
def test_results_replace_what_stood_between_the_marks(name: str):
    page = f"Before\n<!-- results:{name} -->\nold\n<!-- /results -->\nafter\n"
    full = fill_results.filled(page, json.loads(json.dumps(made_up())))
    assert "old" not in full
    assert full.startswith("Before\n") and full.endswith("<!-- /results -->\nafter\n")
    rows = [line for line in full.splitlines() if line.startswith("|")]
    assert len(rows) >= 3
    assert fill_results.filled(full, None) == page.replace("old\n", fill_results.NOT_YET)


def test_numbers_are_written_with_their_interval_and_a_missed_bar_is_named():
    assert fill_results.estimate(CELL, fill_results.share) == ".900 [.850, .950]"
    assert fill_results.estimate({"mean": None, "low": None, "high": None}, fill_results.share) == "undefined"
    assert fill_results.share(-0.05) == "-.050" and fill_results.share(1.02) == "1.020"
    assert "| Safe | ≥ +18.5 % | +10.0 % [-5.0 %, +20.0 %] | **missed** |" in fill_results.bars(made_up())


def test_an_unknown_block_is_an_error():
    with pytest.raises(KeyError):
        fill_results.filled("<!-- results:nothing -->\n<!-- /results -->", None)


def test_the_settings_page_is_up_to_date():
    assert write_settings.PAGE.read_text("utf-8") == write_settings.page(), "run docs/write_settings.py"


@pytest.mark.parametrize("module", OBJECTIVES)
def test_the_pages_explain_every_metric_that_an_objective_logs(module: str):
    folder = ROOT / "src" / "tutelage" / "objectives"
    source = (folder / f"{module}.py").read_text() + (folder / "lesson.py").read_text()
    names = set(re.findall(r'"((?:loss|pool|dpo|policy)/\w+)"', source))
    common = (ROOT / "docs" / "objectives" / "README.md").read_text()
    pages = [(ROOT / "docs" / "objectives" / f"{page}.md").read_text() for page in OBJECTIVES[module]]
    assert len(names) > 5
    assert [name for name in sorted(names) if f"`{name}`" not in common + "".join(pages)] == []


@pytest.mark.parametrize("page", [page for pages in OBJECTIVES.values() for page in pages])
def test_a_page_of_an_objective_has_the_same_parts_as_the_others(page: str):
    text = (ROOT / "docs" / "objectives" / f"{page}.md").read_text()
    parts = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert parts == ["Metrics", "Deviations", "Command", "Result beside the target"]


def test_every_setting_of_an_objective_stands_on_its_page_with_its_default():
    for cls, page in zip(write_settings.OPEN["Objectives"], (p for ps in OBJECTIVES.values() for p in ps), strict=True):
        text = (ROOT / "docs" / "objectives" / f"{page}.md").read_text()
        for setting in write_settings.reference(cls):
            rows = [line for line in text.splitlines() if re.match(rf"\| [^|]*`{setting.path}`[^|]* \|", line)]
            default = rf"\| `?{re.escape(setting.default.removesuffix('.0'))}`? \|"
            assert any(re.search(default, row) for row in rows), f"{page}: {setting.path} = {setting.default}"


def test_the_architecture_page_names_what_may_change_on_resume():
    text = (ROOT / "docs" / "architecture.md").read_text()
    (told,) = re.findall(r"Free to change: (.*?)\.\n", text, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) == FREE_TO_CHANGE


def test_the_architecture_page_places_every_module():
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = re.findall(r"\w+", " ".join(layers))
    assert [name for name in modules if f"`{name}`" not in text] == []


def test_the_objective_pages_say_what_the_demo_uses() -> None:
    from tutelage.objectives import GRPO, RFNLL, SFT, OnlineDPO
    from tutelage.recipes.proving_ground import arms
    from tutelage.worlds.facts import FactsWorld

    told = {path.stem: path.read_text() for path in (ROOT / "docs/objectives").glob("*.md")}
    for arm in arms(FactsWorld(), 0.3, 0.0, 8):
        match arm.objective:
            case SFT(ntp_weight=anchor):
                assert f"{anchor} in the demo" in told["sft"]
            case RFNLL(ntp_weight=anchor):
                assert f"{anchor} in the demo" in told["rf-nll"]
            case OnlineDPO(ntp_weight=anchor, nll_weight=nll):
                assert f"{anchor} in the demo" in told["online-dpo"] and f"{nll:g} in the demo" in told["online-dpo"]
            case GRPO(ntp_weight=anchor, kl_weight=kl):
                assert f"{anchor} in the demo" in told["grpo"] and f"{kl} in the demo" in told["grpo"]
            case _:
                assert arm.name == "ntp"


def test_the_published_demo_is_of_todays_recipe() -> None:
    from tutelage.recipes.proving_ground import arms
    from tutelage.worlds.facts import FactsWorld

    told = json.loads((ROOT / "docs/results/demo.json").read_text())
    (dpo,) = (arm for arm in arms(FactsWorld(), 0.3, 0.0, 8) if arm.name == "online_dpo")
    assert told["setting"]["num_rollouts"] in [getattr(source, "num_rollouts", None) for source in dpo.sources]
    assert set(told["arms"]) >= {arm.name for arm in arms(FactsWorld(), 0.3, 0.0, 8)}
