import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.config import ConfigError, dump_yaml, load_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-06", 5e-06),
        ("1e5", 1e5),
        ("1E+3", 1e3),
        ("-.5", -0.5),
        ("3.", 3.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("12", 12),
        ("-3", -3),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("no", "no"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
    ],
)
def test_a_scalar_is_read_by_the_rules_of_today(text: str, value: object):
    found = parse_yaml(f"a: {text}")
    assert repr(found) == repr({"a": value})


def test_not_a_number_is_read():
    found = parse_yaml(".nan")
    assert isinstance(found, float) and math.isnan(found)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "yes",
        "no",
        "null",
        "5e-06",
        "010",
        "2026-01-01",
        "<<",
        "=",
        "1:30",
        "- a",
        "a: b",
        "# c",
        "'",
        "{",
        "&a",
        "*a",
    ]
)
plains = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(plains)
def test_what_is_written_reads_back_exactly(plain: Any):
    value = parse_yaml(dump_yaml(plain))
    assert repr(value) == repr(plain)


@settings(max_examples=100, deadline=None)
@given(plains)
def test_a_reader_of_yaml_1_1_understands_what_is_written(plain: Any):
    assert repr(yaml.safe_load(dump_yaml(plain))) == repr(plain)


def test_the_order_of_keys_is_kept_and_short_lists_of_numbers_stay_on_a_line():
    text = dump_yaml({"z": 1, "a": [0.9, 0.95], "phases": [{"until": 3}], "name": "yes"})
    assert text == "z: 1\na: [0.9, 0.95]\nphases:\n  - until: 3\nname: 'yes'\n"


def test_a_text_of_several_lines_stays_readable():
    assert dump_yaml({"prompt": "one\ntwo\n"}) == "prompt: |\n  one\n  two\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice"),
        ("a: &x 1\nb: *x\n", "line 1: anchors and aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: the tag"),
        ("a: !!set {x, y}\n", "line 1: the tag"),
        ("a: !Thing 3\n", "line 1: the tag !Thing is not allowed"),
        ("a: [1\nb: 2\n", "line 2: "),
        ("3: x\n", "line 1: a key must be text, not 3"),
        ("? [1, 2]\n: x\n", "a key must be text"),
        ("a: 1e999\n", "line 1: 1e999 is too large for a float"),
        ("--- 1\n--- 2\n", "but found another document"),
        ("[" * 3000, "is not YAML"),
        ("a: \x00", "is not YAML"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_file_a_folder_and_other_encodings_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read \(No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 9\)"):
        load_yaml(tmp_path / "latin.yaml")
