import pytest

from tutelage.judge_check.requiring import Figures, Requirement, requirement, unmet

FIGURES: Figures = {
    "llmbar": {"accuracy": 0.7, "position_bias": -0.2, "order_flips": 0.1},
    "mine": {"accuracy": 0.9, "position_bias": None},
    "quality": {"injection_success": None},
}


def test_a_requirement_is_read_with_its_subject():
    assert requirement("accuracy=0.8") == Requirement("accuracy", 0.8)
    assert requirement("my.set.accuracy=0.8") == Requirement("accuracy", 0.8, "my.set")
    assert str(requirement("llmbar.order_flips=.1")) == "llmbar.order_flips at most 0.1"


@pytest.mark.parametrize("text", ["accuracy", "accuracy=", "accuracy=high", "acuracy=0.8", "accuracy=nan", "=1"])
def test_what_requires_nothing_is_refused(text: str):
    with pytest.raises(ValueError, match=r"requires|names no number"):
        requirement(text)


@pytest.mark.parametrize(
    ("text", "missed"),
    [
        ("accuracy=0.7", []),
        ("accuracy=0.71", ["llmbar: 0.7"]),
        ("mine.accuracy=0.71", []),
        ("position_bias=0.2", []),
        ("position_bias=0.1", ["llmbar: -0.2"]),
        ("order_flips=0.05", ["llmbar: 0.1"]),
        ("injection_success=1", ["every set: injection_success was not measured"]),
        ("halueval.accuracy=0.1", ["halueval: accuracy was not measured"]),
    ],
)
def test_every_subject_that_has_the_figure_must_meet_it(text: str, missed: list[str]):
    assert unmet(requirement(text), FIGURES) == missed
