from dataclasses import replace

from tests.config.samples import MODULE, Course, Gradient, Objective, Phase, Preference, course

from tutelage.config import (
    NOT_SET,
    difference,
    dump_yaml,
    fingerprint,
    from_plain,
    parse_yaml,
    reference,
    to_plain,
)


def test_a_fingerprint_survives_yaml_and_sees_every_change():
    back = from_plain(Course, parse_yaml(dump_yaml(to_plain(course()))), imports=(MODULE,))
    assert fingerprint(back) == fingerprint(course()) == fingerprint(to_plain(course()))
    others = [
        replace(course(), seed=1),
        replace(course(), phases=course().phases[:1]),
        replace(course(), final=Preference()),
        replace(course(), final=Gradient()),
    ]
    assert len({fingerprint(value) for value in (course(), *others)}) == 5


def test_an_int_where_a_float_is_meant_has_the_same_fingerprint():
    assert fingerprint(Preference(1)) == fingerprint(Preference(1.0))


def test_a_difference_names_the_field():
    other = replace(course(), seed=7, phases=(Phase(10, Gradient()), replace(course().phases[1], rate=1e-5)))
    assert [(d.path, d.before, d.after) for d in difference(course(), other)] == [
        ("phases.0.objective.class", f"{MODULE}.Preference", f"{MODULE}.Gradient"),
        ("phases.1.rate", 5e-06, 1e-05),
        ("seed", 0, 7),
    ]
    assert str(difference(course(), other)[-1]) == "seed: 0 → 7"


def test_what_one_side_lacks_is_said_to_be_not_set():
    shorter = replace(course(), phases=course().phases[:1], limits={})
    found = {d.path: d for d in difference(course(), shorter)}
    assert set(found) == {"phases.1", "limits.nll"}
    assert found["limits.nll"].after is NOT_SET and repr(NOT_SET) == "not set"
    assert [d.path for d in difference(shorter, course())] == ["phases.1", "limits.nll"]


def test_equal_runs_do_not_differ():
    assert difference(course(), course()) == []
    assert difference(to_plain(course()), course()) == []


def test_the_reference_lists_every_setting_with_its_docstring():
    found = {setting.path: setting for setting in reference(Course)}
    assert found["phases.*.until"] == ("phases.*.until", "int", "required", "Last step.")
    beta = found["phases.*.objective[Preference].beta"]
    assert (beta.type, beta.default) == ("float", "0.1")
    assert beta.docstring == "How hard the reference holds; 0.1 in the paper."
    assert found["phases.*.objective"].default == "Preference"
    assert found["phases.*.objective[Gradient].norm"].type == "'group' | 'none'"
    assert found["phases.*.teachers"].default == "[LengthSpec]"
    assert found["corpus.columns"].default == "[text]"
    assert found["optimiser.betas"].default == "[0.9, 0.95]"
    assert found["final"].default == "null"
    assert found["limits"].type == "Mapping[str, float]"


def test_a_union_can_be_the_root_of_a_reference():
    assert reference(Objective)[0].path == "[Preference].beta"
