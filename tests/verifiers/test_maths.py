"""Answers compared as maths, in processes that may hang or die."""

import importlib.util
import random
import threading
import time
from pathlib import Path

import pytest

from tutelage.episodes import Problem
from tutelage.problems import Gsm8k, Math, ProblemSet
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers import Maths, MathsVerifier, Verifier, VerifierSpec
from tutelage.verifiers.spans import boxed

RIGHT, WRONG = Scored(1.0), Scored(0.0)
HANGS = "$9^{9^{9^{9^{9}}}} \\cdot x$"


def compare(verifier: MathsVerifier, *pairs: tuple[str, str]) -> list[Verdict]:
    problems = [Problem(f"p{i}", "", key) for i, (key, _) in enumerate(pairs)]
    return verifier.check(problems, [f"So.\nFinal Answer: {said}" for _, said in pairs])


def test_the_parts_satisfy_their_protocols(maths: MathsVerifier):
    assert isinstance(Maths(), VerifierSpec)
    assert isinstance(maths, Verifier)


EQUAL = [
    ("\\frac{1}{2}", "0.5"),
    ("\\frac{1}{2}", "$\\dfrac12$"),
    ("0.5", "1/2"),
    ("72", "72 clips"),
    ("1080", "$1,080"),
    ("1,080", "1080"),
    ("2\\sqrt{3}", "$\\sqrt{12}$"),
    ("x^2+2x+1", "$(x+1)^2$"),
    ("(3, \\frac{\\pi}{2})", "$\\left(3, \\pi/2\\right)$"),
    ("\\{1, 2\\}", "$2, 1$"),
    ("\\text{Evelyn}", "$\\text{Evelyn}$"),
    ("\\text{Evelyn}", "Evelyn"),
    ("5", "$x = 5$"),
    ("-3", "$-3$."),
    ("10\\%", "10%"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "$\\begin{pmatrix}1\\\\2\\end{pmatrix}$"),
    ("[1, 2)", "$[1,2)$"),
]
UNEQUAL = [
    ("2", "$1$ or $2$"),
    ("2", "1, 2, 3"),
    ("2", "$1$, $2$"),
    ("12", "123"),
    ("12", "1 2"),
    ("72", "72.5"),
    ("0.5", "0.6"),
    ("x+1", "x+2"),
    ("(1, 2)", "(2, 1)"),
    ("\\text{Evelyn}", "Robert"),
    ("5", "I do not know"),
    ("5", "any number"),
    ("5", "$x$"),
    ("5", "$5 = 5 = 6$"),
    ("5", "$x = 5, y = 6$"),
    ("5", ""),
    ("5", "$$"),
    ("5", "$\\infty$"),
    ("5", "$\\text{nan}$"),
    ("\\frac{1}{3}", "0.33"),
    ("[1, 2)", "$(1,2]$"),
]


def test_equal_answers_in_other_words_are_right(maths: MathsVerifier):
    verdicts = compare(maths, *EQUAL)
    assert [pair for pair, verdict in zip(EQUAL, verdicts, strict=True) if verdict != RIGHT] == []


def test_other_answers_are_wrong_however_many_are_given(maths: MathsVerifier):
    verdicts = compare(maths, *UNEQUAL)
    assert [(pair, v) for pair, v in zip(UNEQUAL, verdicts, strict=True) if v != WRONG] == []


def test_equal_letters_are_no_proof_where_the_key_is_no_maths(maths: MathsVerifier):
    (verdict,) = compare(maths, ("\\frac{", "$\\frac{$"))
    assert isinstance(verdict, Abstained)
    assert "cannot be read" in verdict.reason


def test_a_comparison_that_hangs_is_an_abstention_and_the_others_go_on():
    with Maths(timeout_s=2.0, workers=2).build() as verifier:
        compare(verifier, ("1", "1"))
        begun = time.monotonic()
        verdicts = compare(verifier, ("1", "1"), ("2 x", HANGS), ("3", "3"), ("4", "5"))
        assert time.monotonic() - begun < 30
        assert [verdicts[i] for i in (0, 2, 3)] == [RIGHT, RIGHT, WRONG]
        assert verdicts[1] in (Abstained("the comparison ran into the time limit"), WRONG)
        assert compare(verifier, ("1", "1")) == [RIGHT]


def test_time_runs_out_on_a_thread_too():
    found: list[Verdict] = []

    def work() -> None:
        with Maths(timeout_s=0.001, workers=1).build() as verifier:
            found.extend(compare(verifier, ("x^2+2x+1", "$(x+1)^2$")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [Abstained("the comparison ran into the time limit")]


def test_a_worker_that_dies_is_an_abstention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from tutelage.verifiers import maths as module

    source = module.WORKER.read_text("utf-8").replace(
        "def compare(key: str, answer: str)",
        "def compare(key, answer):\n    if '666' in answer: os._exit(1)\n    return _compare(key, answer)\n\n\n"
        "def _compare(key: str, answer: str)",
    )
    worker = tmp_path / "worker.py"
    worker.write_text(source, "utf-8")
    monkeypatch.setattr(module, "WORKER", worker)
    with Maths(workers=1).build() as verifier:
        assert compare(verifier, ("1", "666"), ("1", "1")) == [Abstained("the comparison died"), RIGHT]


def test_without_math_verify_it_refuses_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "math_verify" else find(name))
    with pytest.raises(RuntimeError, match=r"pip install 'tutelage\[math\]'"):
        Maths().build()


def test_answers_have_a_form_by_which_they_are_counted(maths: MathsVerifier):
    said = ["0.5", "$\\frac12$", "1/2", "$x+1$", "$1+x$", "7 apples", "7"]
    half, frac, slash, one, other, apples, seven = maths.answers(
        [Problem("p", "", "1")] * 7, [f"Final Answer: {s}" for s in said]
    )
    assert half == frac == slash
    assert one == other
    assert apples == seven
    assert len({half, one, seven}) == 3


def test_an_answer_that_cannot_be_read_has_its_own_letters_for_a_form(maths: MathsVerifier):
    assert maths.answers([Problem("p", "", "1")] * 2, ["no answer", "Final Answer: $\\frac{$"]) == [None, "$\\frac{$"]


def test_settings_that_make_no_sense_are_refused():
    for bad in ({"workers": 0}, {"timeout_s": 0.0}, {"memory_mib": 1}, {"markers": ("",)}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Maths(**bad)  # pyright: ignore[reportArgumentType]


def share_right(verifier: MathsVerifier, found: ProblemSet, every: int = 1) -> float:
    """Of the data's own solutions."""
    chosen = range(0, len(found.problems), every)
    solutions = [found.solutions[i] or "" for i in chosen]
    verdicts = verifier.check([found.problems[i] for i in chosen], solutions)
    wrong = [
        (found.problems[i].id, found.problems[i].key, v) for i, v in zip(chosen, verdicts, strict=True) if v != RIGHT
    ]
    print(f"{len(wrong)} of {len(verdicts)} are not right: {wrong[:20]}")  # noqa: T201 - shown where a test fails
    assert len(verdicts) > 20
    return 1 - len(wrong) / len(verdicts)


def normal(key: str) -> str:
    """An answer without spaces and LaTeX's dress: those that differ by more are taken for different."""
    for word in ("\\left", "\\right", "\\!", "\\,", "\\;", "\\ ", "\\$", "\\%", "%", "^\\circ", "^{\\circ}", ",\\!"):
        key = key.replace(word, "")
    return "".join(key.replace("dfrac", "frac").replace("tfrac", "frac").split()).rstrip(".")


def share_of_others_right(verifier: MathsVerifier, found: ProblemSet, pairs: int) -> float:
    """Of pairs of problems whose answers differ: how often the one's solution is right for the other."""
    draw = random.Random(5)
    chosen: list[tuple[int, int]] = []
    while len(chosen) < pairs:
        i, j = draw.randrange(len(found.problems)), draw.randrange(len(found.problems))
        if normal(found.problems[i].key) != normal(found.problems[j].key):
            chosen.append((i, j))
    verdicts = verifier.check([found.problems[i] for i, _ in chosen], [found.solutions[j] or "" for _, j in chosen])
    right = [
        (found.problems[i].key, found.problems[j].key) for (i, j), v in zip(chosen, verdicts, strict=True) if v == RIGHT
    ]
    print(f"{len(right)} of {len(verdicts)} others are right: {right[:20]}")  # noqa: T201 - shown where a test fails
    return len(right) / len(verdicts)


def test_some_solutions_of_math_500_and_gsm8k_are_right_and_others_are_not(maths: MathsVerifier, data: Path):
    for found, every in ((Math("test", str(data)).read(), 10), (Gsm8k("test", str(data)).read(), 40)):
        assert share_right(maths, found, every) >= 0.96
        assert share_of_others_right(maths, found, 100) <= 0.01


@pytest.mark.slow
def test_all_solutions_of_math_500_are_right_and_those_of_others_are_not(maths: MathsVerifier, data: Path):
    found = Math("test", str(data)).read()
    assert share_right(maths, found) >= 0.99
    assert share_of_others_right(maths, found, 20_000) <= 0.005


@pytest.mark.slow
def test_all_solutions_of_gsm8k_are_right_and_those_of_others_are_not(maths: MathsVerifier, data: Path):
    for split in ("test", "train", "validation"):
        found = Gsm8k(split, str(data)).read()  # pyright: ignore[reportArgumentType]
        assert share_right(maths, found) >= 0.99
        assert share_of_others_right(maths, found, 5_000) <= 0.005


@pytest.mark.slow
def test_all_solutions_of_the_training_problems_are_right(maths: MathsVerifier, data: Path):
    found = Math("train", str(data), validation=0.0).read()
    kept = [i for i, solution in enumerate(found.solutions) if solution and boxed(solution)]
    solved = ProblemSet(tuple(found.problems[i] for i in kept), tuple(found.solutions[i] for i in kept))
    assert share_right(maths, solved) >= 0.98
