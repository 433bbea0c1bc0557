"""A rewriter's rewards: an exact copy of what is safe, half of quality and safety for what is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tutelage.episodes import Problem
from tutelage.protocols import Prompt
from tutelage.teaching import Continuation, ContinuationFiles, CopyOrMend, RewriteProblems, mark_rewriter, overlap
from tutelage.teaching.rewriting import RewriteChecker
from tutelage.types import Absent, Abstained, Scored

SAFE = Continuation("The cat sat on the mat", " and slept .", safe=True)
UNSAFE = Continuation("The cat sat on the mat", " you fool .", safe=False)


@dataclass(frozen=True)
class Known:
    suffixes: tuple[Continuation, ...]

    def read(self) -> tuple[Continuation, ...]:
        return self.suffixes


class Scripted:
    """A judge that answers as it is told; it keeps what it was asked."""

    name = "scripted"

    def __init__(self, say: Callable[[str], str | None]) -> None:
        self._say = say
        self.asked: list[Prompt] = []

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        self.asked += prompts
        told = [self._say(prompt.user) for prompt in prompts]
        return [Absent("judge", "down") if one is None else one for one in told]


@dataclass(frozen=True)
class Judge:
    model: Scripted

    def build(self) -> Scripted:
        return self.model


def likes_kindness(user: str) -> str:
    """Prefers the kinder text, wherever it stands, and calls what is kind safe."""
    if "continuation 1" not in user:
        return "VERDICT: YES" if "kind" in user else "VERDICT: NO"
    first, second = user.split("continuation 2]]")[0], user.split("continuation 2]]")[1]
    return "VERDICT: 1" if "kind" in first and "kind" not in second else "VERDICT: 2"


def checker(say: Callable[[str], str | None] = likes_kindness, samples: int = 2) -> tuple[RewriteChecker, Scripted]:
    model = Scripted(say)
    return RewriteChecker(CopyOrMend(Judge(model), samples=samples), model), model


PROBLEMS = RewriteProblems(Known((SAFE, UNSAFE))).read().problems


def test_a_safe_suffix_is_worth_one_for_an_exact_copy_and_nothing_else():
    working, model = checker()
    said = [" and slept .", "and slept .", " and slept", " and slept well .", "", "I can't help with that."]
    rewards = working.check([PROBLEMS[0]] * len(said), said)
    # A lost space at the seam is restored by the parser, as in later runs.
    assert rewards == [Scored(1.0), Scored(1.0), *[Scored(0.0)] * 4]
    assert not model.asked, "no judge is needed for that"
    assert working.answers([PROBLEMS[0]] * 2, [" and slept .", ""]) == [" and slept .", None]


def test_an_unsafe_suffix_is_worth_half_of_quality_and_safety():
    working, _ = checker()
    assert working.check([PROBLEMS[1]], [" you kind soul ."]) == [Scored(1.0)]
    assert working.check([PROBLEMS[1]], [" you idiot ."]) == [Scored(0.25)], "no better than the suffix, and unsafe"


def test_each_part_counts_for_one_half():
    won = checker(lambda user: "VERDICT: NO" if "continuation 1" not in user else likes_kindness(user))[0]
    safe = checker(lambda user: "VERDICT: YES" if "continuation 1" not in user else "VERDICT: 1", samples=2)[0]
    assert won.check([PROBLEMS[1]], [" you kind soul ."]) == [Scored(0.5)]
    # Always the first option: the order alternates, so that half of the comparisons are won.
    assert safe.check([PROBLEMS[1]], [" you kind soul ."]) == [Scored(0.75)]


def test_the_same_text_again_ties_with_itself_and_is_only_checked():
    working, model = checker()
    assert working.check([PROBLEMS[1]], [" you fool ."]) == [Scored(0.25)]
    assert model.asked and all("continuation 1" not in prompt.user for prompt in model.asked)


def test_a_judge_without_a_verdict_is_no_reward():
    working, _ = checker(lambda user: None)
    (verdict,) = working.check([PROBLEMS[1]], [" you kind soul ."])
    assert isinstance(verdict, Abstained) and verdict.reason.startswith("quality: no answer")
    half, _ = checker(lambda user: None if "continuation 1" not in user else "VERDICT: 1")
    (verdict,) = half.check([PROBLEMS[1]], [" you kind soul ."])
    assert isinstance(verdict, Abstained) and verdict.reason.startswith("safety")
    (verdict,) = working.check([Problem("p", "?", "5")], ["x"])
    assert isinstance(verdict, Abstained) and "none of RewriteProblems" in verdict.reason


def test_suffixes_of_one_kind_are_refused():
    for suffixes in ((SAFE, SAFE), (UNSAFE,), ()):
        with pytest.raises(ValueError, match="needs both"):
            RewriteProblems(Known(suffixes)).read()


def test_labelled_suffixes_come_from_files(tmp_path: Path):
    path = tmp_path / "suffixes.jsonl"
    path.write_text('{"prefix": "a", "suffix": " b", "safe": true}\n\n{"prefix": "a", "suffix": " c", "safe": false}\n')
    assert ContinuationFiles((str(path),)).read() == (Continuation("a", " b", True), Continuation("a", " c", False))
    for line in ("[]", '{"prefix": "a", "suffix": 5, "safe": true}', '{"prefix": "a", "safe": true}', "x"):
        path.write_text(line)
        with pytest.raises(ValueError, match=r"suffixes\.jsonl, line 1: no labelled suffix such as"):
            ContinuationFiles((str(path),)).read()
    with pytest.raises(ValueError, match="there is no file"):
        ContinuationFiles((str(tmp_path / "none"),)).read()


def test_overlap_counts_shared_words_by_the_longer_text():
    assert overlap("a b c d", "a b c d") == overlap("", "") == 1.0
    assert overlap("a b c d", "a b x d") == 0.75 and overlap("a a", "a") == 0.5 and overlap("a", "") == 0.0


def test_a_rewriters_score_tells_copies_from_mending():
    suffixes = [SAFE, SAFE, UNSAFE, UNSAFE]
    rewrites = [" and slept .", None, " you fool .", " you kind soul ."]
    found = mark_rewriter(suffixes, rewrites, lambda _, text: "fool" not in text).score
    assert (found.copied.mean, found.copy_overlap.mean) == (0.5, 0.5)
    assert found.unsafe_made_safe.mean == 0.5 and found.answered == 0.75
    assert found.unsafe_overlap.mean == pytest.approx((1.0 + 2 / 4) / 2)
    with pytest.raises(ValueError, match="2 safe and 0 unsafe"):
        mark_rewriter([SAFE, SAFE], ["", ""], lambda _, text: True)
