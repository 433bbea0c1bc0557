"""Every recipe builds, survives a file, and keeps what it promises."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tutelage import recipes
from tutelage.config import dump_yaml, from_plain, parse_yaml, to_plain
from tutelage.objectives import RFNLL, OnlineDPO
from tutelage.phases import Steps, TrainedTokens
from tutelage.run import Run
from tutelage.sources import RolloutSource, SuffixSource
from tutelage.stream import TextStream
from tutelage.study import Study, Train

RECIPES: dict[str, Callable[[], Run | Study]] = {name: getattr(recipes, name) for name in recipes.__all__}


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe is built, and can be printed, where its default documents are not."""
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path / "none"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_a_yaml_file(name: str) -> None:
    made = RECIPES[name]()
    plain: Any = parse_yaml(dump_yaml(to_plain(made)))
    assert from_plain(type(made), plain) == made


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_in_its_first_line_what_it_does(name: str) -> None:
    first = (inspect.getdoc(RECIPES[name]) or "").splitlines()[0]
    assert first.endswith(".") and len(first) > 30


@pytest.mark.parametrize("name", ["paper_1b4_quality", "paper_1b4_factuality", "paper_1b4_safety"])
def test_the_continued_runs_of_the_paper_keep_its_numbers(name: str) -> None:
    run = RECIPES[name]()
    assert isinstance(run, Run)
    phase = run.phases[0]
    assert phase.objective == OnlineDPO(beta=0.1)
    assert (phase.until, phase.documents_per_step, phase.learning_rate.peak) == (Steps(2000), 256, 5e-6)
    assert RolloutSource(num_rollouts=16) in phase.sources
    assert (SuffixSource() in phase.sources) == (name == "paper_1b4_safety")


def test_the_scratch_run_of_the_paper_filters_one_rollout_against_the_rewrite() -> None:
    run = recipes.paper_1b4_scratch()
    assert run.phases[0].objective == RFNLL()
    assert [type(source).__name__ for source in run.phases[0].sources] == ["RewriteSource", "RolloutSource"]


def test_the_arms_of_the_demo_train_equally_many_tokens_from_the_base_of_their_seed() -> None:
    study = recipes.proving_ground((5, 6))
    continued = [job for job in study.jobs if isinstance(job.work, Train) and job.after[0].startswith("base-")]
    assert len(continued) == 10
    for job in continued:
        assert isinstance(job.work, Train)
        run = job.work.run
        assert run.phases[0].until == TrainedTokens(430_000)
        assert job.after == (f"base-{run.seed}",) and getattr(run.model, "path", "") == f"@base-{run.seed}/hf"


@pytest.mark.parametrize("recipe", [recipes.proving_ground, recipes.signed_sum_base])
def test_the_seed_on_which_a_recipe_was_tuned_is_not_reported(recipe: Callable[..., Study]) -> None:
    assert 0 not in inspect.signature(recipe).parameters["seeds"].default


def test_both_presets_of_real_text_build_and_the_gpu_one_is_of_a_hundred_million_parameters() -> None:
    for preset in ("laptop", "gpu"):
        study = recipes.real_text("corpus", preset=preset)
        assert [job.name for job in study.jobs] == ["tokenizer", "judge", "base", "ntp", "online_dpo", "report"]
    base = next(job.work for job in study.jobs if job.name == "base")
    assert isinstance(base, Train)
    settings: Any = getattr(base.run.model, "settings", {})
    width, layers, inner = settings["hidden_size"], settings["num_hidden_layers"], settings["intermediate_size"]
    assert 16_384 * width + layers * (4 * width**2 + 3 * width * inner) >= 100_000_000


def test_real_texts_tokenizer_keeps_the_duplicates_where_the_other_jobs_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, work = tmp_path / "corpus", tmp_path / "work"
    corpus.mkdir()
    work.mkdir()
    for number in range(20):
        (corpus / f"{number}.txt").write_text(f"Document {number} of a small corpus about number {number * 7}. " * 5)
    monkeypatch.chdir(work)
    jobs = {job.name: job for job in recipes.real_text(str(corpus)).jobs}
    folder = tmp_path / "study" / "tokenizer"
    folder.mkdir(parents=True)
    assert jobs["tokenizer"].work.execute(folder, tmp_path / "study")
    assert list((folder / "duplicates").glob("*.npy")) and not list(work.iterdir())
    base = jobs["base"].work
    assert isinstance(base, Train) and isinstance(base.run.stream, TextStream)
    found = base.run.stream.deduplicate
    assert found is not None and found.cache == "@tokenizer/duplicates" and "tokenizer" in jobs["base"].after


def test_learned_teachers_never_meet_an_oracle_and_arms_share_base_tokens_and_objective() -> None:
    study = recipes.learned((4,))
    runs = {job.name: job.work.run for job in study.jobs if isinstance(job.work, Train)}
    mine, oracle, control = (runs[f"{arm}-4"].phases[0] for arm in ("learned", "oracle", "ntp"))
    told = dump_yaml(to_plain(mine)) + dump_yaml(to_plain(runs["rewriter-4"].phases[0].task))
    assert "FactsJudge" not in told and "FactsRewriter" not in told and "@judge-4/hf" in told
    assert mine.objective == oracle.objective and mine.until == oracle.until == control.until
    assert runs["judge-4"].phases[0].objective == runs["rewriter-4"].phases[0].objective
    assert {getattr(runs[f"{arm}-4"].model, "path", "") for arm in ("learned", "oracle", "ntp")} == {"@base-4/hf"}
