"""Programs checked by their tests: what passes, what fails, and what cannot be said."""

import json
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tutelage.episodes import Problem
from tutelage.problems import HumanEval, Mbpp, ProblemSet
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers import Code, CodeKey, CodeVerifier, Limits, NoSandbox, Verifier, VerifierSpec, seccomp
from tutelage.verifiers import sandbox as sandbox_module

RIGHT, WRONG = Scored(1.0), Scored(0.0)
DOUBLE = Problem("double", "", CodeKey("assert double(2) == 4\nassert double('ab') == 'abab'", ("double",)).text)


def one(verifier: CodeVerifier, tests: str, program: str, **parts: str) -> Verdict:
    from tutelage.verifiers import names_taken

    key = CodeKey(tests, names_taken(tests, given=parts.get("helpers", "")), **parts)
    return verifier.check([Problem("one", "", key.text)], [program])[0]


def test_the_parts_satisfy_their_protocols(code: CodeVerifier):
    assert isinstance(Code(), VerifierSpec)
    assert isinstance(code, Verifier)


def test_a_right_program_is_right_and_a_wrong_one_wrong(code: CodeVerifier):
    programs = ["def double(x): return x + x", "def double(x): return 2 * x + 0", "def double(x): return x"]
    assert code.check([DOUBLE] * 3, programs) == [RIGHT, WRONG, WRONG]


def test_verdicts_come_in_order_and_equal_programs_are_run_once(code: CodeVerifier):
    right, wrong = "def double(x): return x + x", "def double(x): return 5"
    order = [random.Random(7).choice((right, wrong)) for _ in range(40)]
    begun = time.monotonic()
    assert code.check([DOUBLE] * 40, order) == [RIGHT if program is right else WRONG for program in order]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "value",
    [
        "None", "True", "-3", "2**80", "-(2**80)", "1.5", "float('inf')", "1e-320", "-0.0", "'text'", "'é\\ud800'",
        "b'\\x00'", "bytearray(b'x')", "[1, [2]]", "(1, (2,))", "{1, 2}", "frozenset({1})", "{1: 'a', (2, 3): [4]}",
        "1 + 2j", "range(3)",
        "__import__('collections').deque([1])", "__import__('fractions').Fraction(1, 3)",
        "__import__('decimal').Decimal('0.10')",
        "{1: 2}.keys()", "[int, str, type(None)]",
    ],
)  # fmt: skip
def test_a_value_crosses_to_the_program_and_back(value: str):
    from tutelage.verifiers.inside.values import decode, encode

    def refer(_: object) -> int:
        raise AssertionError("it is plain")

    sent = eval(value)
    back = decode(json.loads(json.dumps(encode(sent, refer))), lambda _: None)
    assert (repr(back), type(back)) == (repr(sent), type(sent))


def test_subclasses_arrive_as_what_they_are_made_of(code: CodeVerifier):
    program = """
        from collections import Counter, OrderedDict, defaultdict, namedtuple
        from enum import IntEnum
        Point = namedtuple("Point", "x y")
        class Three(IntEnum): THREE = 3
        def values(): return [Counter("aab"), OrderedDict(a=1), defaultdict(list, {"k": [1]}), Point(1, 2), Three.THREE]
    """
    tests = "assert values() == [{'a': 2, 'b': 1}, {'a': 1}, {'k': [1]}, (1, 2), 3]"
    assert one(code, tests, textwrap.dedent(program)) == RIGHT


def test_tests_use_classes_and_objects_of_the_program(code: CodeVerifier):
    program = """
class Node:
    def __init__(self, value): self.value, self.left, self.right = value, None, None
def height(node): return 0 if node is None else 1 + max(height(node.left), height(node.right))
"""
    tests = "root = Node(1)\nroot.left = Node(2)\nroot.left.right = Node(3)\n"
    tests += "assert height(root) == 3\nassert root.left.value == 2"
    assert one(code, tests, program) == RIGHT
    assert one(code, tests.replace("== 3", "== 2"), program) == WRONG


def test_an_iterator_can_be_read(code: CodeVerifier):
    assert (
        one(code, "assert list(squares(3)) == [0, 1, 4]", "def squares(n): return (i * i for i in range(n))") == RIGHT
    )


def test_an_object_of_the_program_equals_itself_only(code: CodeVerifier):
    program = "class A:\n    def __eq__(self, other): return True\na = A()\ndef get(): return a"
    assert one(code, "assert get() == get()\nassert get() != 1 and not get() == 1", program) == RIGHT


def test_tests_may_expect_an_exception(code: CodeVerifier):
    tests = "try:\n    root(-1)\n    raised = False\nexcept ValueError:\n    raised = True\nassert raised"
    assert one(code, tests, "import math\ndef root(x): return math.sqrt(x)") == RIGHT
    assert one(code, tests, "def root(x): raise TypeError('no')") == WRONG


def test_a_program_that_ends_in_a_call_does_not_pass_as_an_exception(code: CodeVerifier):
    tests = "try:\n    root(-1)\nexcept Exception:\n    pass"
    assert one(code, tests, "import os\ndef root(x): os._exit(0)") == WRONG
    assert one(code, tests, "def root(x): return 1") == RIGHT


def test_an_iteration_cannot_be_ended_from_the_program(code: CodeVerifier):
    assert one(code, "assert list(map(double, [1, 2])) == []", "def double(x): raise StopIteration") == WRONG


def test_tests_that_never_ask_the_program_say_nothing(code: CodeVerifier):
    verdict = one(code, "def check(candidate):\n    assert candidate(2) == 4\nassert double", "def double(x): return 5")
    assert verdict == Abstained("the tests never called the program")


def test_what_cannot_be_sent_is_an_abstention(code: CodeVerifier):
    verdict = one(code, "assert apply(lambda x: x) == 1", "def apply(f): return f(1)")
    assert isinstance(verdict, Abstained)
    assert "function" in verdict.reason


@pytest.mark.parametrize(
    "key", ["", "assert (", json.dumps({"tests": ""}), json.dumps({"tests": 3}), "assert 1 == 1", "[1]"]
)
def test_a_key_that_is_none_is_an_abstention(code: CodeVerifier, key: str):
    (verdict,) = code.check([Problem("bad", "", key)], ["def f(): pass"])
    assert isinstance(verdict, Abstained)
    assert "bad" in verdict.reason


@pytest.mark.parametrize(
    "attempt", ["", "```python\n```", "x" * 200_000, "I do not know.", "def double(x):\n  return (x + "]
)
def test_an_attempt_without_a_whole_program_is_wrong(code: CodeVerifier, attempt: str):
    assert code.check([DOUBLE], [attempt]) == [WRONG]


def test_a_program_relies_on_the_preamble_and_cannot_change_the_helpers(code: CodeVerifier):
    helper = "import math\n\ndef poly(x): return x * x - 2\n"
    parts = {"preamble": helper, "helpers": helper}
    tests = "assert abs(poly(zero())) < 1e-9"
    assert one(code, tests, "from __future__ import annotations\ndef zero(): return math.sqrt(2)", **parts) == RIGHT
    assert one(code, tests, "def poly(x): return 0\ndef zero(): return 7", **parts) == WRONG


def test_data_classes_and_pickles_of_a_program_know_their_module(code: CodeVerifier):
    program = """
from __future__ import annotations
import pickle
from dataclasses import dataclass
@dataclass
class P:
    x: int
def back(x): return pickle.loads(pickle.dumps(P(x))).x
"""
    assert one(code, "assert back(3) == 3", program) == RIGHT


def test_the_order_of_a_set_is_the_same_each_time(code: CodeVerifier):
    program = "def order(): return list({'alpha', 'beta', 'gamma', 'delta', 'epsilon'})"
    tests = "import random\nassert order() == EXPECTED and random.random() == 0.8444218515250481"
    command = [sys.executable, "-c", f"{program}\nprint(order())"]
    done = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True)
    expected = done.stdout.strip()
    assert one(code, tests.replace("EXPECTED", expected), program) == RIGHT
    assert one(code, tests.replace("EXPECTED", expected), program + "\n#") == RIGHT


def test_programs_have_a_form_by_which_they_are_counted(code: CodeVerifier):
    attempts = [
        "```python\ndef double(x):\n\n    return x   \n```",
        "def double(x):\n    return x",
        "def double(x): return 1",
        "",
    ]
    first, second, third, none = code.answers([DOUBLE] * 4, attempts)
    assert first == second != third
    assert none is None


def test_threads_may_share_a_verifier_and_end(code: CodeVerifier):
    found: dict[int, list[Verdict]] = {}

    def work(number: int) -> None:
        found[number] = code.check([DOUBLE] * 2, [f"def double(x): return x + x  # {number}", f"x = {number}"])

    for _ in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: [RIGHT, WRONG] for number in range(3)}


def refusal(change: Callable[[], None]) -> str:
    change()
    with pytest.raises(NoSandbox) as raised, Code().build():
        pass
    return str(raised.value)


def test_without_bubblewrap_it_refuses_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    said = refusal(lambda: monkeypatch.setenv("PATH", "/nowhere"))
    assert "bubblewrap is missing" in said
    assert "apt-get install bubblewrap" in said
    assert "Remote" in said


def test_without_libseccomp_it_refuses_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, code: CodeVerifier):
    monkeypatch.setattr(seccomp.ctypes.util, "find_library", lambda _: "libnowhere.so.9")
    assert "libseccomp is missing" in refusal(lambda: None)


def test_where_the_kernel_allows_no_namespaces_it_refuses_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: CodeVerifier
):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    said = refusal(lambda: monkeypatch.setenv("PATH", str(tmp_path)))
    assert "No permissions to create a new namespace" in said
    assert "user namespaces" in said


def test_a_sandbox_that_leaks_is_refused(monkeypatch: pytest.MonkeyPatch, code: CodeVerifier):
    monkeypatch.setattr(sandbox_module, "LIBRARIES", (*sandbox_module.LIBRARIES, "/etc"))
    said = refusal(lambda: None)
    assert "does not hold" in said
    assert "/etc/passwd" in said


@pytest.mark.parametrize("bad", [{"cpu_s": 0}, {"wall_s": 1.0, "cpu_s": 5}, {"memory_mib": 8}, {"scratch_mib": 0}])
def test_limits_that_make_no_sense_are_refused(bad: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Limits(**bad)  # pyright: ignore[reportArgumentType]


def right_share(verifier: CodeVerifier, found: ProblemSet, every: int) -> list[str]:
    """The problems whose own solution does not pass."""
    pairs = [(p, s) for p, s in zip(found.problems, found.solutions, strict=True) if s is not None][::every]
    outcomes = verifier.outcomes([p for p, _ in pairs], [s for _, s in pairs])
    assert len(outcomes) > 10
    return [f"{p.id}: {o.why}" for (p, _), o in zip(pairs, outcomes, strict=True) if o.verdict != RIGHT]


def test_some_solutions_of_humaneval_and_mbpp_pass(code: CodeVerifier, data: Path):
    assert right_share(code, HumanEval(str(data.resolve())).read(), 12) == []
    assert right_share(code, Mbpp("test", str(data.resolve())).read(), 40) == []


@pytest.mark.slow
def test_all_solutions_of_humaneval_pass(unhurried: CodeVerifier, data: Path):
    assert right_share(unhurried, HumanEval(str(data)).read(), 1) == []


@pytest.mark.slow
@pytest.mark.parametrize("split", ["prompt", "train", "validation", "test"])
def test_all_solutions_of_mbpp_pass(unhurried: CodeVerifier, data: Path, split: str):
    found = Mbpp(split, str(data)).read()  # pyright: ignore[reportArgumentType]
    if split == "prompt":
        found = ProblemSet(found.problems * 2, found.solutions * 2)
    assert right_share(unhurried, found, 1) == []


@pytest.mark.slow
def test_a_solution_of_another_problem_does_not_pass(code: CodeVerifier, data: Path):
    found = HumanEval(str(data)).read()
    names = [CodeKey.read(problem.key).names[0] for problem in found.problems]
    others = [f"{(found.solutions[i - 1] or '')}\n{names[i]} = {names[i - 1]}\n" for i in range(len(names))]
    passed = code.check(found.problems, others).count(RIGHT)
    assert passed <= 2
