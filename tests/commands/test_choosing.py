from collections.abc import Callable
from pathlib import Path

import pytest
from tests.commands import parts

from tutelage.commands.choosing import choose, from_file
from tutelage.commands.failing import UsageError
from tutelage.config import ConfigError, dump_yaml, to_plain
from tutelage.objectives import OnlineDPO
from tutelage.run import Run
from tutelage.study import Study, Train

IMPORTS = (parts.NAME, "tests.tiny")


@pytest.fixture(autouse=True)
def own_recipes(recipes: Callable[..., None]) -> None:
    recipes(small=parts.small, several=parts.several, broken=parts.broken)


def test_a_recipe_takes_its_own_parameters_first_and_the_rest_are_settings():
    run = choose("small", ["--preset", "smaller", "--objective.beta", "0.25", "--seeds", "3", "4"])
    assert isinstance(run, Run)
    assert (run.name, run.seed) == ("small-smaller", 7)
    assert isinstance(run.phases[0].objective, OnlineDPO)
    assert run.phases[0].objective.beta == 0.25


def test_settings_may_be_written_with_an_equals_sign_and_dashes():
    run = choose("small", ["--max-tokens-per-batch=77", "--tokenizer", "else"])
    assert isinstance(run, Run)
    assert (run.max_tokens_per_batch, run.tokenizer.path) == (77, "else")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--objective.bta", "1"], "did you mean --objective.beta"),
        (["--objective.beta"], "has no value"),
        (["--objective.beta", "much"], "objective.beta"),
        (["stray"], "belongs to no setting"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_a_remedy(words: list[str], told: str):
    with pytest.raises(UsageError, match=told):
        choose("small", words)


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'small'"):
        choose("smal", [])


def test_what_is_no_recipe_is_refused():
    with pytest.raises(UsageError, match="returns a Run or a Study"):
        choose("broken", [])


def test_in_a_study_a_setting_applies_to_every_job_that_has_it():
    study = choose("several", ["--seed", "5", "--objective.beta", "0.3", "--text", "other", "--workers", "1"], IMPORTS)
    assert isinstance(study, Study)
    plain, taught, note = (job.work for job in study.jobs)
    assert isinstance(plain, Train) and isinstance(taught, Train)
    assert plain.run.seed == taught.run.seed == 5
    assert isinstance(taught.run.phases[0].objective, OnlineDPO)
    assert taught.run.phases[0].objective.beta == 0.3
    assert note == parts.Write("other")
    assert study.workers == 1
    assert [job.after for job in study.jobs] == [(), ("plain",), ("taught",)]


def test_in_a_study_a_setting_that_no_job_has_is_refused():
    with pytest.raises(UsageError, match=r"did you mean --objective\.beta"):
        choose("several", ["--objective.betta", "0.3"], IMPORTS)


def test_in_a_study_a_value_of_the_wrong_type_is_refused_even_where_other_jobs_lack_the_field():
    with pytest.raises(UsageError, match=r"objective\.beta"):
        choose("several", ["--objective.beta", "much"], IMPORTS)


def test_runs_and_studies_are_read_from_files(run_file: Path, tmp_path: Path):
    assert isinstance(from_file(run_file), Run)
    path = tmp_path / "study.yaml"
    path.write_text(dump_yaml(to_plain(parts.several())))
    assert from_file(path, IMPORTS) == parts.several()
    with pytest.raises(ConfigError, match="--import"):
        from_file(path)


def test_a_recipe_of_an_imported_module_is_named_with_its_module(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.path", ["."])
    assert choose(f"{parts.NAME}.small", ["--preset", "smaller"], IMPORTS).name == "small-smaller"
    with pytest.raises(UsageError, match="no recipe"):
        choose(f"{parts.NAME}.small", [])


def test_a_file_that_is_not_there_is_answered_with_the_one_that_is(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("name: mine")
    with pytest.raises(UsageError, match=r"there is no file .*mine\.yml; did you mean .*mine\.yaml\?"):
        choose(str(tmp_path / "mine.yml"), [])
    with pytest.raises(UsageError, match=r"there is no file .*/x\.yaml$"):
        choose(str(tmp_path / "none" / "x.yaml"), [])


def test_an_empty_file_is_called_empty(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match="the file is empty"):
        from_file(tmp_path / "run.yaml")


def test_what_may_be_written_in_a_missing_field_is_named(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("phases: []\ntokenizer: {path: x}\n")
    with pytest.raises(ConfigError, match=r"model: missing; Run needs .* here: class: FromConfig \| Pretrained"):
        from_file(tmp_path / "run.yaml")
    (tmp_path / "run.yaml").write_text("phases:\n  - until: {class: Steps, count: 1}\n")
    with pytest.raises(ConfigError, match=r"class: .*NTP \| OnlineDPO") as refused:
        from_file(tmp_path / "run.yaml")
    assert "AdamW" not in str(refused.value)
