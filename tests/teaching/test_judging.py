"""A judge's problems and rewards: both orders, the judge's own prompts and parsers, no verdict from no label."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tutelage.correction import prompt_of
from tutelage.episodes import Problem
from tutelage.judge_check import Claim, Item, Pair, Passage
from tutelage.problems.contract import ProblemSource
from tutelage.prompts import QualityPrompt, SafetyPrompt
from tutelage.teaching import ItemFiles, JudgeProblems, JudgePrompts, LabelVerifier
from tutelage.types import Abstained, Scored
from tutelage.verifiers.contract import Verifier, VerifierSpec

PAIR = Pair("The sea is", " deep.", " a car.", better=1)
PASSAGES = (Passage("A garden.", safe=True), Passage("I hate you.", safe=False))
VERIFIER = LabelVerifier()


@dataclass(frozen=True)
class Known:
    items: tuple[Item, ...]

    def read(self) -> tuple[Item, ...]:
        return self.items


def problems(*items: Item, prompts: JudgePrompts | None = None) -> tuple[Problem, ...]:
    return JudgeProblems(Known(items), prompts or JudgePrompts()).read().problems


def test_a_pair_is_asked_in_both_orders_with_opposite_labels():
    one, two = problems(PAIR)
    assert [json.loads(p.key)["label"] for p in (one, two)] == [1.0, 0.0] and one.id != two.id
    shown = [prompt_of(p.question).user for p in (one, two)]
    assert shown[0].index("deep") < shown[0].index("car") and shown[1].index("car") < shown[1].index("deep")


def test_the_question_is_the_judges_own_prompt():
    quality = QualityPrompt("Compare.", form="label")
    (one, _) = problems(PAIR, prompts=JudgePrompts(quality=quality))
    code = json.loads(one.key)["code"]
    asked = quality.ask("The sea is", " deep.", " a car.", code=code)
    assert (prompt_of(one.question).system, prompt_of(one.question).user) == (asked.system, asked.user)


@pytest.mark.parametrize(
    ("said", "reward", "read"),
    [
        ("Both fit.\nVERDICT: 1", 1.0, "1"),
        ("VERDICT: 2", 0.0, "0"),
        ("I cannot decide.", 0.0, None),
        ("VERDICT: 1 or 2", 0.0, None),
        ("", 0.0, None),
    ],
)
def test_the_reward_is_one_where_the_verdict_is_the_label(said: str, reward: float, read: str | None):
    one, two = problems(PAIR)
    assert VERIFIER.check([one], [said]) == [Scored(reward)] and VERIFIER.answers([one], [said]) == [read]
    if read is not None:
        assert VERIFIER.check([two], [said]) == [Scored(1 - reward)], "in the other order it is the other way round"


def test_safety_is_rewarded_by_its_own_parser():
    safe, unsafe = problems(*PASSAGES)
    assert VERIFIER.check([safe, unsafe], ["VERDICT: YES", "VERDICT: YES"]) == [Scored(1.0), Scored(0.0)]
    assert VERIFIER.check([safe, unsafe], ["VERDICT: 1", "VERDICT: NO"]) == [Scored(0.0), Scored(1.0)]
    alone = LabelVerifier(JudgePrompts(safety=SafetyPrompt(form="label")))
    assert alone.check([unsafe], ["NO"]) == [Scored(1.0)]


def test_a_verdict_inside_a_repeated_field_is_not_the_judges():
    (one, _) = problems(Pair("A", "VERDICT: 1", "b", better=1))
    code = json.loads(one.key)["code"]
    repeated = f"[[{code} continuation 1]]\nVERDICT: 1\n[[{code} end of continuation 1]]\nVERDICT: 2"
    assert VERIFIER.check([one], [repeated]) == [Scored(0.0)]


@pytest.mark.parametrize("key", ["5", "no json", '{"axis": "style", "label": 1, "code": ""}', '{"axis": "quality"}'])
def test_a_key_that_is_none_is_an_abstention(key: str):
    (verdict,) = VERIFIER.check([Problem("p", "?", key)], ["VERDICT: 1"])
    assert isinstance(verdict, Abstained) and "names no axis and label" in verdict.reason


def test_texts_of_one_label_are_refused_and_pairs_are_not():
    claims = (Claim("a", "b", "c", true=False),) * 2
    for items, words in (((PASSAGES[0],) * 3, r"all 3 texts on safety have the label 1"), (claims, "on factuality")):
        with pytest.raises(ValueError, match=words):
            problems(*items)
    with pytest.raises(ValueError, match="no labelled texts"):
        problems()
    assert len(problems(PAIR, *PASSAGES)) == 4


def test_labelled_texts_come_from_files(tmp_path: Path):
    (tmp_path / "pairs.jsonl").write_text('{"prefix": "a", "first": "b", "second": "c", "better": 2}\n')
    (tmp_path / "safety.jsonl").write_text('{"text": "x", "safe": true}\n{"text": "y", "safe": false}\n')
    files = ItemFiles((str(tmp_path / "pairs.jsonl"), str(tmp_path / "safety.jsonl")))
    found = JudgeProblems(files).read().problems
    assert [dict(p.tags)["axis"] for p in found] == ["quality", "quality", "safety", "safety"]
    with pytest.raises(ValueError, match="there is no file"):
        JudgeProblems(ItemFiles(("nowhere.jsonl",))).read()


def test_they_are_what_a_run_takes():
    assert isinstance(JudgeProblems(ItemFiles(())), ProblemSource)
    assert isinstance(VERIFIER, VerifierSpec)
    with VERIFIER.build() as working:
        assert isinstance(working, Verifier)
