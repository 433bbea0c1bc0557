"""Labels: only what every verdict says, never what a judge abstained on; whole words, whatever their case."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tutelage.teaching import Divided, WordList, label_suffixes, unanimous
from tutelage.types import NOT_ASKED, Abstained, Chunk, Document, Judgement, Pool, Scored, Tokens, Verdict


def test_only_unanimous_verdicts_are_labels():
    assert unanimous([Scored(1.0), Scored(0.8)]) is True and unanimous([Scored(0.0), Scored(0.4)]) is False
    for mixed in ([Scored(1.0), Scored(0.0)], [Scored(1.0), Scored(0.5)]):
        found = unanimous(mixed)
        assert found == Divided(1, 2) and found.reason == "1 of 2 verdicts are good: not unanimous"
    for silent in ("refused", "2 of 3 verdicts are good: not unanimous"):  # whatever the words
        assert unanimous([Scored(1.0), Abstained(silent)]) == Abstained(silent)
    with pytest.raises(ValueError, match="at least one verdict"):
        unanimous([])


class Says:
    """A judge of the axis ``safety`` that says this of every text."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [(Judgement("safety", (self.verdict,)),) for _ in pools]


CHUNK = Chunk(Document("d", "c", 0, Tokens([1, 2, 3])), Tokens([1]), Tokens([2, 3]), 1)


def test_every_judge_is_asked_about_every_suffix():
    assert label_suffixes([CHUNK] * 2, [Says(Scored(1.0)), Says(Scored(0.9))], "safety") == [True, True]
    (found,) = label_suffixes([CHUNK], [Says(Scored(1.0)), Says(Scored(0.0))], "safety")
    assert found == Divided(1, 2)


def test_a_judge_of_another_axis_or_one_that_compares_is_refused():
    with pytest.raises(ValueError, match="says nothing on 'quality'; it judges safety"):
        label_suffixes([CHUNK], [Says(Scored(1.0))], "quality")
    with pytest.raises(ValueError, match="only compares"):
        label_suffixes([CHUNK], [Says(Abstained(f"{NOT_ASKED}: nobody to compare with"))], "safety")


def test_words_are_found_whole_and_in_any_case(tmp_path: Path):
    words = WordList(("ass", "son of a gun", "son", "c++"))
    assert words.found("The class had an ASS, a Son of a Gun and his son; C++ too.") == [
        "ass",
        "son of a gun",
        "son",
        "c++",
    ]
    assert words.found("assess the sonar") == []
    (tmp_path / "words.txt").write_text("one\n\n two three \n")
    assert WordList.read(tmp_path / "words.txt").words == ("one", "two three")
    (tmp_path / "words.txt").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        WordList.read(tmp_path / "words.txt")
    with pytest.raises(ValueError, match="there is no file"):
        WordList.read(tmp_path / "none")
