"""A YAML file names classes; these tests try to make it name anything else."""

import sys
from typing import Any

import pytest
from tests.config.samples import MODULE, LengthSpec, Objective, TeacherSpec

from tutelage.config import ConfigError, from_plain
from tutelage.protocols import JudgeSpec, SourceSpec


def read(name: object, annotation: object = TeacherSpec, imports: tuple[str, ...] = (MODULE,)) -> Any:
    return from_plain(annotation, {"class": name}, path="judge", imports=imports)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "builtins.exec",
        "pathlib.Path",
        "pathlib.PosixPath",
        "tutelagex.config.Anything",
        "tutelage..config",
        ".tutelage.config.Node",
        "tutelage.config.__builtins__",
        "tutelage.__main__.main",
        "tutelage/../os.system",
        "os:system",
        "yaml.Loader",
        "collections.abc.Sequence",
    ],
)
@pytest.mark.parametrize("annotation", [TeacherSpec, Objective])
def test_nothing_outside_is_named(name: str, annotation: object):
    with pytest.raises(ConfigError, match=r"^judge\.class: "):
        read(name, annotation)


@pytest.mark.parametrize("name", ["os", "eval", "Popen", "", "built", 3, None, ["os", "system"], {"a": 1}])
def test_a_bare_or_strange_name_is_refused(name: object):
    with pytest.raises(ConfigError, match=r"^judge\.class: "):
        read(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("field", "is not a frozen dataclass"),
        ("Path", "is not a frozen dataclass"),
        ("built", "is not a frozen dataclass"),
        ("MutableSpec", "is not a frozen dataclass"),
        ("TeacherSpec", "is not a frozen dataclass"),
        ("MODULE", "is not a frozen dataclass"),
        ("Preference", "it has no 'build', which TeacherSpec needs"),
        ("NumberSpec", "its 'build' gives int, which is no Teacher (no 'teach')"),
        ("LengthSpek", "has no class 'LengthSpek'; did you mean 'LengthSpec'?"),
    ],
)
def test_inside_an_allowed_module_only_fitting_frozen_dataclasses_are_named(name: str, message: str):
    with pytest.raises(ConfigError) as caught:
        read(f"{MODULE}.{name}")
    assert message in str(caught.value)


def test_what_an_allowed_module_imported_from_outside_is_refused():
    with pytest.raises(ConfigError, match="outside tutelage"):
        read("tests.config.reexports.LengthSpec", imports=("tests.config.reexports",))


def test_a_module_outside_is_not_even_imported():
    with pytest.raises(ConfigError, match="--import this"):
        read("this.Zen")
    assert "this" not in sys.modules


def test_a_module_is_allowed_by_the_caller_alone():
    name = f"{MODULE}.LengthSpec"
    assert read(name) == LengthSpec()
    with pytest.raises(ConfigError, match=f"outside tutelage; allow its module with --import {MODULE}"):
        read(name, imports=())


def test_a_module_that_cannot_be_imported_is_named():
    with pytest.raises(ConfigError, match=r"tutelage\.nowhere"):
        read("tutelage.nowhere.Judge")


def test_a_union_takes_its_members_only():
    with pytest.raises(ConfigError, match="it is not Preference; it is not Gradient"):
        read(f"{MODULE}.LengthSpec", Objective)
    with pytest.raises(ConfigError, match="no class 'Gradeint' here; did you mean 'Gradient'"):
        read("Gradeint", Objective)


def test_a_teacher_is_neither_a_judge_nor_a_source():
    for annotation in (JudgeSpec, SourceSpec):
        with pytest.raises(ConfigError, match="its 'build' gives LengthTeacher"):
            read(f"{MODULE}.LengthSpec", annotation)
