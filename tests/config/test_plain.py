import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.config.samples import (
    MODULE,
    Corpus,
    Course,
    Gradient,
    LengthSpec,
    Objective,
    Optimiser,
    PathSpec,
    Phase,
    Preference,
    TeacherSpec,
    course,
)

from tutelage.config import ConfigError, dump_yaml, from_plain, parse_yaml, to_plain

IMPORTS = (MODULE,)


def read(plain: object, annotation: object = Course) -> Any:
    return from_plain(annotation, plain, imports=IMPORTS, file="run.yaml")


def changed(path: str, value: object) -> Any:
    """The plain tree of the sample with one entry replaced, or removed for ``...``."""
    plain: Any = to_plain(course())
    node, names = plain, path.split(".")
    for name in names[:-1]:
        node = node[int(name)] if isinstance(node, list) else node[name]
    last: Any = int(names[-1]) if isinstance(node, list) else names[-1]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return plain


def test_one_possible_class_carries_no_name_and_a_choice_does():
    plain: Any = to_plain(course())
    assert "class" not in plain and "class" not in plain["corpus"] and "class" not in plain["checks"]
    assert plain["phases"][1]["objective"]["class"] == f"{MODULE}.Gradient"
    assert plain["phases"][1]["teachers"][1] == {"class": f"{MODULE}.PathSpec", "path": "x"}
    assert plain["corpus"]["path"] == "data/text" and plain["final"] is None


def test_a_tree_survives_yaml():
    assert read(parse_yaml(dump_yaml(to_plain(course())))) == course()


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40)
texts = st.text(st.characters(exclude_categories=["Cs"]))
objectives = st.builds(Preference, numbers, st.none() | numbers) | st.builds(
    Gradient, numbers, st.sampled_from(["group", "none"]), st.integers()
)
teachers = st.builds(LengthSpec, numbers) | st.builds(PathSpec, st.builds(Path, st.just("a/b")))
phases = st.builds(Phase, st.integers(), objectives, st.lists(teachers, max_size=3).map(tuple), numbers)
corpora = st.builds(
    Corpus,
    st.just(Path("a b/c#d: e")),
    st.floats(min_value=1e-300, allow_infinity=False),
    st.lists(texts, max_size=4).map(tuple),
    st.none() | st.integers(),
)
courses = st.builds(
    Course,
    texts,
    corpora,
    st.lists(phases, max_size=3).map(tuple),
    st.builds(Optimiser, st.tuples(numbers, numbers), st.booleans()),
    st.dictionaries(texts, numbers, max_size=3),
    st.none() | objectives,
    st.lists(st.builds(Preference, numbers), max_size=2).map(tuple),
)


@settings(max_examples=100, deadline=None)
@given(courses)
def test_any_tree_survives_yaml_to_the_last_bit(value: Course):
    plain = to_plain(value)
    back = parse_yaml(dump_yaml(plain))
    assert repr(back) == repr(plain)
    assert read(back) == value
    assert repr(to_plain(read(back))) == repr(plain)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "phases.0.objective.bta",
            0.1,
            "run.yaml: phases.0.objective.bta: Preference has no field 'bta'; did you mean 'beta'?",
        ),
        ("phases.0.until", ..., "run.yaml: phases.0.until: missing; Phase needs int here"),
        ("corpus", ..., "run.yaml: corpus: missing; Course needs Corpus here"),
        ("seed", "3", "run.yaml: seed: expected int, got '3' (str)"),
        ("seed", 3.0, "run.yaml: seed: expected int, got 3.0 (float)"),
        ("seed", True, "run.yaml: seed: expected int, got True (bool)"),
        ("seed", None, "run.yaml: seed: expected int, got None"),
        ("name", 7, "run.yaml: name: expected str, got 7 (int)"),
        ("optimiser.fused", 1, "run.yaml: optimiser.fused: expected bool, got 1 (int)"),
        ("phases.0.rate", "5e-6", "run.yaml: phases.0.rate: expected float, got '5e-6' (str)"),
        ("phases.0.rate", True, "run.yaml: phases.0.rate: expected float, got True (bool)"),
        ("phases.0.rate", 2**53 + 1, "too large to be exact"),
        ("phases.0.rate", math.nan, "run.yaml: phases.0.rate: expected a finite number, got nan"),
        ("optimiser.betas.0", math.inf, "run.yaml: optimiser.betas.0: expected a finite number, got inf"),
        ("limits.nll", -math.inf, "run.yaml: limits.nll: expected a finite number, got -inf"),
        ("phases.0.rate", 10**400, "run.yaml: phases.0.rate: expected float"),
        ("phases.1.objective.norm", "grp", "phases.1.objective.norm: expected 'group' | 'none', got 'grp'"),
        ("phases", {"until": 3}, "run.yaml: phases: expected tuple[Phase, ...], got {'until': 3} (dict)"),
        ("phases.1", 3, "run.yaml: phases.1: expected Phase, got 3 (int)"),
        ("optimiser.betas", [0.9], "expected tuple[float, float], got 1 elements"),
        ("optimiser.betas.1", "x", "run.yaml: optimiser.betas.1: expected float, got 'x'"),
        ("corpus.limit", "many", "run.yaml: corpus.limit: expected int | None, got 'many'"),
        ("corpus.path", 3, "run.yaml: corpus.path: expected Path, got 3"),
        ("corpus.path", "", "run.yaml: corpus.path: expected Path, got ''"),
        ("corpus.weight", 0.0, "run.yaml: corpus: a weight is above 0, not 0.0"),
        ("limits.nll", "low", "run.yaml: limits.nll: expected float, got 'low'"),
        ("limits", {3: 1.0}, "run.yaml: limits: a key must be text, not 3"),
        (
            "final",
            {"beta": 0.1},
            f"run.yaml: final.class: needs 'class:' to say which is meant ({MODULE}.Pref",
        ),
        ("phases.0.teachers.0.class", ..., "needs 'class:' to say which is meant (any TeacherSpec)"),
    ],
)
def test_a_wrong_setting_is_refused_with_file_path_and_remedy(path: str, value: object, message: str):
    with pytest.raises(ConfigError) as caught:
        read(changed(path, value))
    assert message in str(caught.value)


def test_an_int_is_a_float_and_is_written_as_one():
    value = read(changed("phases.0.rate", 1))
    assert repr(value.phases[0].rate) == "1.0"
    assert repr(to_plain(Preference(beta=1))) == "{'beta': 1.0, 'anchor': None}"


def test_the_short_name_of_a_union_member_is_enough():
    assert read({"class": "Gradient", "clip": 0.3}, Objective) == Gradient(clip=0.3)


def test_a_short_name_reaches_an_open_choice_in_the_allowed_modules():
    assert read({"class": "LengthSpec"}, TeacherSpec) == LengthSpec()
    with pytest.raises(ConfigError, match="no class 'LengthSpec' here"):
        from_plain(TeacherSpec, {"class": "LengthSpec"})
    with pytest.raises(ConfigError, match="no class 'LengthSpek' here; did you mean 'LengthSpec'"):
        read({"class": "LengthSpek"}, TeacherSpec)
    with pytest.raises(ConfigError, match="NumberSpec does not fit here: its 'build' gives int"):
        read({"class": "NumberSpec"}, TeacherSpec)
    with pytest.raises(ConfigError, match="MutableSpec is not a frozen dataclass"):
        read({"class": "MutableSpec"}, TeacherSpec)


def test_the_root_may_be_an_open_choice():
    plain = to_plain(PathSpec(Path("p")), TeacherSpec)
    assert read(plain, TeacherSpec) == PathSpec(Path("p"))


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {3: 4}, print, math.nan, math.inf])
def test_a_value_that_no_file_can_hold_is_refused_with_its_path(value: object):
    with pytest.raises(ConfigError, match=r"^name: "):
        to_plain(_named(value))


def _named(value: Any) -> Any:
    @dataclass(frozen=True)
    class Anything:
        name: Any

    return Anything(value)


def test_a_class_inside_a_function_cannot_be_named():
    with pytest.raises(ConfigError, match="not at the top of its module"):
        to_plain(_named(3), TeacherSpec)
