"""Which program an attempt holds, and what stands in a key."""

import json

import pytest

from tutelage.verifiers import CodeKey, names_taken
from tutelage.verifiers.programs import program_in


@pytest.mark.parametrize(
    ("attempt", "program"),
    [
        ("def f(): pass", "def f(): pass"),
        ("Here:\n```python\ndef f(): pass\n```\nDone.", "def f(): pass\n"),
        ("```\ndef f(): 1\n```\nBetter:\n```py\ndef f(): 2\n```", "def f(): 2\n"),
        ("```python\ndef f(): 1\n```\nUse it:\n```python\nprint(g())\n```", "def f(): 1\n"),
        ("```bash\npip install x\n```\n```python\ndef f(): 1\n```\n```text\nf\n```", "def f(): 1\n"),
        ("```python\ndef f(): 1", "def f(): 1"),
        ("  ```python\n  x = 1\n  ```", "  x = 1\n"),
        ("[BEGIN]\ndef f(): 1\n[DONE]\nYou are an expert\n[BEGIN]\ndef g(): 2\n[DONE]", "\ndef f(): 1\n"),
        ("def f(): 1\n[DONE]\nmore", "def f(): 1\n"),
        ("[BEGIN]\ndef f(): 1", "\ndef f(): 1"),
    ],
)
def test_an_attempt_holds_one_program(attempt: str, program: str):
    assert program_in(attempt, ("f",)) == program


def test_a_key_survives_its_text():
    key = CodeKey("assert f(1) == helper(2)", ("f",), "import math", "def helper(x): return x")
    assert CodeKey.read(key.text) == key


def test_plain_python_is_a_key():
    assert CodeKey.read("import math\nassert area(1) == math.pi\nassert len(area(2)) == 1").names == ("area",)


@pytest.mark.parametrize(
    ("tests", "given", "names"),
    [
        ("assert f(1) == [g(x) for x in range(3)]", "", ("f", "g")),
        ("root = Node(1)\nassert height(root) == 1", "", ("Node", "height")),
        ("assert f(poly(2)) == 1", "def poly(x): return x", ("f",)),
        ("def check(candidate):\n    for i in range(3):\n        assert candidate(i) == i\ncheck(f)", "", ("f",)),
        ("try:\n    f(1)\nexcept ValueError as error:\n    print(error)", "", ("f",)),
    ],
)
def test_names_are_what_the_tests_lack(tests: str, given: str, names: tuple[str, ...]):
    assert names_taken(tests, given) == names


def test_a_builtin_counts_where_a_right_program_defines_it_anew():
    assert names_taken("assert sum(1, 2) == max(3, 3)") == ()
    assert names_taken("assert sum(1, 2) == max(3, 3)", program="def sum(a, b):\n    len = 1\n    return a + b") == (
        "sum",
    )


@pytest.mark.parametrize(
    "text", ["{", "assert f(", json.dumps({"tests": "assert f()", "test": ""}), json.dumps(["assert f()"])]
)
def test_what_is_no_key_is_refused(text: str):
    with pytest.raises(ValueError, match=r"key|Python"):
        CodeKey.read(text)
