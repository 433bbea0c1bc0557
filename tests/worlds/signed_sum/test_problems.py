"""Which problems there are, and who may see them."""

from collections.abc import Callable
from itertools import product

import pytest
from tests.worlds.signed_sum.scripted import all_signs

from tutelage.codec import HFCodec
from tutelage.config import from_plain, to_plain
from tutelage.problems.contract import ProblemSource
from tutelage.protocols import StreamSpec
from tutelage.types import Scored
from tutelage.worlds.signed_sum import Habits, SignedSumProblems, SignedSumStream, SignedSumWorld, Split
from tutelage.worlds.signed_sum.language import Key
from tutelage.worlds.signed_sum.problems import solution
from tutelage.worlds.signed_sum.verifier import SumChecker

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def solutions(numbers: tuple[int, ...], target: int, modulus: int) -> int:
    return sum(
        sum(sign * number for sign, number in zip(signs, numbers, strict=True)) % modulus == target
        for signs in all_signs(len(numbers))
    )


def test_every_problem_that_has_a_solution_is_in_exactly_one_split():
    world = SignedSumWorld(numbers=3, modulus=5)
    keys = [problem.key for split in SPLITS for problem in world.problems(split)]
    wanted = {
        str(Key(numbers, target, 5))
        for numbers in product(range(1, 5), repeat=3)
        for target in range(5)
        if solutions(numbers, target, 5)
    }
    assert len(keys) == len(set(keys)) and set(keys) == wanted
    assert len(wanted) < 4**3 * 5, "some targets cannot be reached"


def test_fifteen_in_a_hundred_problems_are_held_out(sums: SignedSumWorld):
    counts = {split: len(sums.problems(split)) for split in SPLITS}
    total = sum(counts.values())
    assert 8000 < total < 6**4 * 7
    assert counts["validation"] / total == pytest.approx(0.05, abs=0.01)
    assert counts["test"] / total == pytest.approx(0.10, abs=0.01)


def test_a_seed_decides_which_problems_are_held_out_and_in_which_order_they_come():
    here, again, other = (SignedSumWorld(seed=seed).problems("test") for seed in (0, 0, 1))
    assert here == again
    shared = {problem.id for problem in here} & {problem.id for problem in other}
    assert 0 < len(shared) < 0.2 * len(here)
    assert [problem.id for problem in here] != sorted(problem.id for problem in here)


def test_a_problem_says_how_many_solutions_it_has(sums: SignedSumWorld):
    for problem in sums.problems("test")[:50]:
        key = Key.read(problem.key)
        assert key is not None and problem.question == key.question and problem.id == problem.key
        assert dict(problem.tags) == {"solutions": str(solutions(key.numbers, key.target, key.modulus))}


def test_a_question_is_the_tokens_of_its_prompt_and_reads_as_it_is_written(sums: SignedSumWorld, sums_codec: HFCodec):
    for problem in sums.problems("test")[:20]:
        prompt = sums.tokens(problem.question)
        assert len(prompt) == sums.prompt_length and sums_codec.encode(problem.question) == prompt
        assert sums_codec.decode(prompt).strip() == sums.text(prompt) == problem.question


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: SignedSumWorld(modulus=8), "modulus must be odd, not 8"),
        (lambda: SignedSumWorld(modulus=1), "modulus must be at least 3"),
        (lambda: SignedSumWorld(numbers=1), "numbers must be at least 2"),
        (lambda: SignedSumWorld(numbers=10), "make numbers or modulus smaller"),
        (lambda: SignedSumWorld(test=0.5), "test must be at least 0 and at most 0.4"),
        (lambda: Habits(right=1.2), "right must be at least 0 and at most 1"),
        (lambda: Habits(copied=0.8, revised=0.3), "must not sum to more than 1"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: Callable[[], object], words: str):
    with pytest.raises(ValueError, match=words):
        settings()


def test_a_split_without_problems_is_refused_by_name():
    world = SignedSumWorld(numbers=2, modulus=3, validation=0.0)
    with pytest.raises(ValueError, match=r"'validation' of this world holds no problem: raise its share"):
        world.problems("validation")


def test_a_world_survives_run_yaml():
    spec = SignedSumStream(SignedSumWorld(seed=3, modulus=5, habits=Habits(copied=0.5)))
    assert from_plain(StreamSpec, to_plain(spec, StreamSpec)) == spec


def test_a_task_reads_every_problem_of_a_split_with_a_solution_that_is_right(sums: SignedSumWorld):
    spec = SignedSumProblems(sums, "validation")
    assert isinstance(spec, ProblemSource) and from_plain(ProblemSource, to_plain(spec, ProblemSource)) == spec
    found = spec.read()
    assert found.problems == sums.problems("validation") and spec.read().solutions == found.solutions
    texts = [text for text in found.solutions if text is not None]
    assert SumChecker().check(found.problems, texts) == [Scored(1.0)] * len(found.problems)
    signs = {"".join(word[0] for word in text.split()) for text in texts}
    assert len(signs) == 16, "no choice of signs is left out"


def test_a_problem_of_another_world_has_no_solution_here(sums: SignedSumWorld):
    (other,) = SignedSumWorld(modulus=5).problems("test")[:1]
    with pytest.raises(ValueError, match="none of this world's"):
        solution(sums, other)
