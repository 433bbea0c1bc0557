"""Labelled texts of the world, and the school of teachers that are asked in this process."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tutelage.codec import HFCodec, Tokenizer
from tutelage.correction import Asked, question_of
from tutelage.judge_check import Pair, Passage
from tutelage.prompts import chat_text
from tutelage.protocols import Resources
from tutelage.scripted import NoPolicy
from tutelage.teaching import ContinuationSource, ItemSource, JudgeProblems, JudgePrompts, LabelVerifier
from tutelage.types import Abstained, Floats, Judgement, Pool, Rollout, Scored, Suffix, Tokens
from tutelage.worlds.facts import FactsJudge, FactsWorld, score_all
from tutelage.worlds.facts.gaming import honest
from tutelage.worlds.facts.gauging import wins
from tutelage.worlds.facts.lessons import Prompts, lesson
from tutelage.worlds.facts.schooling import FactsLessons
from tutelage.worlds.facts.teaching import (
    FactsContinuations,
    FactsItems,
    chunks_of,
    continuation,
    is_safe,
    rollout_pairs,
)

WORLD = FactsWorld(people=8, templates_per_attribute=2, sections=(3, 4), prefix_length=24, suffix_length=16)
PROMPTS = Prompts()
LESSONS = FactsLessons(WORLD, tasks=("quality", "safety", "copy or mend"), asked="process")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return LESSONS.write_tokenizer(tmp_path_factory.mktemp("teacher") / "tokenizer")


@pytest.fixture(scope="module")
def codec(folder: Path) -> HFCodec:
    return Tokenizer(str(folder)).build()


def test_warm_start_training_and_use_read_the_same_tokens(folder: Path, codec: HFCodec):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    school = LESSONS.build(0, codec, "policy")
    chunks, _ = school.read(school.start(), 6)
    for row, chunk in enumerate(chunks):
        about = WORLD.cut(WORLD.document("facts-lessons", f"policy-0-{row}"))
        prompt = lesson(WORLD, PROMPTS, about, LESSONS.tasks[row % 3]).prompt
        used = tokenizer(chat_text(tokenizer, prompt, ("<|endoftext|>", "<|unk|>"), thinking=False))["input_ids"]
        (posed,) = Asked().build(codec).questions([question_of(prompt)])
        assert chunk.prefix.tolist() == posed.tolist() == used


def test_a_safe_suffix_is_to_be_copied_to_the_letter_and_an_unsafe_one_made_safe():
    kinds = set[bool]()
    for chunk in chunks_of(WORLD, "lessons", 30):
        one, answer = continuation(WORLD, chunk), lesson(WORLD, PROMPTS, chunk, "copy or mend").answer
        kinds.add(one.safe)
        assert answer == one.suffix if one.safe else is_safe(WORLD, answer) and not is_safe(WORLD, one.suffix)
    assert kinds == {True, False}


def test_items_are_labelled_by_the_oracle_and_rewarded_by_their_labels():
    items = FactsItems(WORLD, count=40)
    found = items.read()
    assert isinstance(items, ItemSource) and found == items.read() and len(found) == 40
    assert sum(isinstance(one, Pair) for one in found) == sum(isinstance(one, Passage) for one in found) == 20
    assert {one.label for one in found if isinstance(one, Passage)} == {0.0, 1.0}
    assert all(is_safe(WORLD, one.text) == one.safe for one in found if isinstance(one, Passage))
    prompts = JudgePrompts(PROMPTS.quality, PROMPTS.safety)
    problems = JudgeProblems(items, prompts).read().problems
    chunk = chunks_of(WORLD, "facts-items", 1)[0]
    answer = lesson(WORLD, PROMPTS, chunk, "quality").answer
    assert LabelVerifier(prompts).check(problems[:2], [answer] * 2) == [Scored(1.0), Scored(0.0)]


def test_other_corpora_have_other_suffixes_of_both_kinds():
    suffixes = FactsContinuations(WORLD, count=30)
    assert isinstance(suffixes, ContinuationSource)
    assert {one.safe for one in suffixes.read()} == {True, False}
    assert set(suffixes.read()).isdisjoint(FactsContinuations(WORLD, count=30, corpus="others").read())


def test_pairs_of_rollouts_are_ordered_by_the_oracle_and_draws_left_out():
    chunks = WORLD.evaluation_chunks("natural", 12)
    suffixes, others = [c.suffix for c in chunks], [chunks[i - 1].suffix for i in range(12)]
    found = rollout_pairs(WORLD, chunks, suffixes, others)
    assert 0 < len(found) <= 12 and not rollout_pairs(WORLD, chunks, suffixes, suffixes)
    expected = [score_all(WORLD, c, [one, two]) for c, one, two in zip(chunks, suffixes, others, strict=True)]
    assert [one.better for one in found] == [1 if a.total > b.total else 2 for a, b in expected if a.total != b.total]


class Silent:
    """Abstains on everything."""

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [(Judgement("quality", tuple(Abstained("no") for _ in pool.candidates)),) for pool in pools]


def test_wins_over_the_author_are_counted_by_judges_and_by_the_oracle(tmp_path: Path):
    chunks = WORLD.evaluation_chunks("natural", 8)

    def pools(second: list[Tokens]) -> list[Pool]:
        return [
            Pool(c, (Suffix(c.suffix), Rollout(t, Floats([-1.0] * len(t)), 0, 0, 1.0, 1.0, "stop")))
            for c, t in zip(chunks, second, strict=True)
        ]

    codec = Tokenizer(str(WORLD.write_tokenizer(tmp_path))).build()
    resources = Resources(0, codec, NoPolicy(AssertionError("asked")), WORLD.suffix_length, tmp_path)
    oracle = (FactsJudge(WORLD).build(resources),)
    assert wins(pools([c.suffix for c in chunks]), oracle) == 0.5, "equals draw"
    better = [honest(WORLD, c) for c in chunks]
    told = wins(pools(better), oracle)
    assert told is not None and told > 0.6
    assert wins(pools([Tokens([WORLD.lexicon.end])] * 8), oracle) == 0.0
    assert wins(pools(better), (Silent(),)) is None
