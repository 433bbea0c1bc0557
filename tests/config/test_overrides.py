from typing import Any

import pytest
from tests.config.samples import MODULE, Course, Gradient, LengthSpec, Phase, Preference, course
from tests.config.twins import Twins

from tutelage.config import ConfigError, apply, from_plain, parse_arguments, to_plain

IMPORTS = (MODULE,)


def overridden(*pairs: tuple[str, str], plain: Any = None) -> Course:
    tree = apply(to_plain(course()) if plain is None else plain, Course, pairs, imports=IMPORTS)
    return from_plain(Course, tree, imports=IMPORTS)


def refusal(*pairs: tuple[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        overridden(*pairs)
    return str(caught.value)


def test_a_full_path_sets_one_field():
    found = overridden(("phases.1.objective.clip", "0.3"), ("corpus.limit", "null"))
    assert found.phases[1].objective == Gradient(clip=0.3)
    assert found.phases[0] == course().phases[0]
    assert found.corpus.limit is None


def test_the_tree_that_was_given_is_left_alone():
    plain = to_plain(course())
    apply(plain, Course, [("seed", "4")], imports=IMPORTS)
    assert plain == to_plain(course())


def test_a_name_of_the_elements_applies_to_every_element():
    assert [p.rate for p in overridden(("rate", "1e-4")).phases] == [1e-4, 1e-4]


def test_it_applies_to_the_elements_that_have_it():
    found = overridden(("objective.beta", "0.05"))
    assert found.phases[0].objective == Preference(beta=0.05)
    assert found.phases[1].objective == Gradient(clip=0.1)


def test_elements_of_elements_are_searched_after_the_elements():
    found = overridden(("teachers.scale", "3"))
    assert found.phases[0].teachers == (LengthSpec(3.0),)
    assert overridden(("scale", "4")).phases[1].teachers[0] == LengthSpec(4.0)


def test_a_name_that_two_tuples_know_is_ambiguous():
    plain: Any = to_plain(course())
    plain["checks"] = [{"beta": 0.3}]
    plain["phases"][0]["objective"] = {"class": "Preference"}
    # `anchor` is a field of the checks alone at the first depth, for the phases hold it one level below.
    assert overridden(("anchor", "1"), plain=plain).checks == (Preference(0.3, 1.0),)


def test_ambiguity_at_the_same_depth_names_the_candidates():
    with pytest.raises(ConfigError) as caught:
        apply({"left": [{"beta": 1.0}], "right": [{"beta": 2.0}]}, Twins, [("beta", "3")])
    assert str(caught.value) == "--beta: is ambiguous: write --left.0.beta or --right.0.beta"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("objective.bta", "--objective.bta: no such setting; did you mean --objective.beta?"),
        ("phases.0.objective.bta", "did you mean --phases.0.objective.beta?"),
        ("sed", "did you mean --seed?"),
        ("corpus.pth", "did you mean --corpus.path?"),
        ("phases.7.rate", "did you mean --phases.1.rate?"),
        ("zzzzzz", "`--print-config` lists the settings"),
        ("seed.more", "no such setting"),
        ("phases.-1.rate", "no such setting"),
        ("corpus.__class__", "no such setting"),
        ("", "no such setting"),
    ],
)
def test_an_unknown_path_is_refused_with_the_nearest(path: str, message: str):
    assert message in refusal((path, "1"))


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("seed", "x", "--seed: expected int, got 'x' (str)"),
        ("seed", "3.5", "--seed: expected int, got 3.5 (float)"),
        ("objective.beta", "high", "--objective.beta: expected float, got 'high'"),
        ("optimiser.fused", "on", "--optimiser.fused: expected bool, got 'on'"),
        ("objective", "GRPPO", "--objective: no class 'GRPPO' here"),
        ("objective", "os.system", "--objective: class 'os.system' lies outside"),
        ("corpus.path", "3", "--corpus.path: expected Path, got 3"),
    ],
)
def test_a_value_of_another_type_is_refused(path: str, text: str, message: str):
    assert message in refusal((path, text))


def test_a_class_name_gives_that_class_with_its_defaults():
    found = overridden(("objective", "Gradient"))
    assert [p.objective for p in found.phases] == [Gradient(), Gradient()]


def test_overrides_apply_in_their_order():
    found = overridden(("final", "Gradient"), ("final.members", "4"), ("phases.0.teachers", f"[{MODULE}.LengthSpec]"))
    assert found.final == Gradient(members=4)
    assert found.phases[0].teachers == (LengthSpec(),)


def test_a_class_with_required_fields_takes_them_from_later_overrides():
    found = overridden(("phases.0.teachers.0", f"{MODULE}.PathSpec"), ("phases.0.teachers.0.path", "judge"))
    assert str(found.phases[0].teachers[0]) == "PathSpec(path=PosixPath('judge'))"
    with pytest.raises(ConfigError, match=r"phases\.0\.teachers\.0\.path: missing"):
        overridden(("phases.0.teachers.0", f"{MODULE}.PathSpec"))


def test_a_whole_tuple_and_a_whole_mapping_can_be_given():
    found = overridden(("optimiser.betas", "[0.8, 1]"), ("limits", "{kl: 2}"), ("limits.kl", "3"))
    assert found.optimiser.betas == (0.8, 1.0)
    assert found.limits == {"kl": 3.0}


@pytest.mark.parametrize("text", ["2026", "true", "a #b", "# c", "a: b", "[x", "it's", "12:30", "--x"])
def test_text_is_taken_as_it_was_typed(text: str):
    assert overridden(("name", text)).name == text
    assert overridden(("name", '"null"')).name == "null"


def test_a_hyphen_may_stand_for_an_underscore_and_null_is_no_text():
    tree = apply({}, Twins, [("more-than-one", "null")])
    assert tree == {"left": [], "right": [], "more_than_one": None}


def test_a_tree_with_holes_is_filled_by_overrides():
    plain = {"name": "a", "phases": [{"until": 3}]}
    found = overridden(("corpus.path", "data"), ("objective.beta", "0.2"), plain=plain)
    assert found.phases == (Phase(3, Preference(0.2)),)
    with pytest.raises(ConfigError, match="corpus: missing"):
        overridden(("seed", "1"), plain=plain)


def test_arguments_come_as_two_words_or_with_an_equals_sign():
    argv = ["--a.b", "v", "--c=d=e", "--n", "-3", "--empty="]
    assert parse_arguments(argv) == [("a.b", "v"), ("c", "d=e"), ("n", "-3"), ("empty", "")]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--a"], "--a: has no value; write --a VALUE or --a=VALUE"),
        (["--a", "--b", "1"], "--a: has no value"),
        (["a", "1"], "'a' belongs to no setting"),
        (["--a", "1", "2"], "'2' belongs to no setting"),
        (["-a", "1"], "'-a' belongs to no setting"),
        (["--", "1"], "'--' belongs to no setting"),
    ],
)
def test_a_word_without_its_partner_is_refused(argv: list[str], message: str):
    with pytest.raises(ConfigError) as caught:
        parse_arguments(argv)
    assert message in str(caught.value)
