"""The school of a teacher: questions as servers are asked them, and the oracle's answers."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tutelage.codec import HFCodec, Tokenizer
from tutelage.endpoints import Endpoint
from tutelage.endpoints.wire import payload
from tutelage.judge_check import Pair, Passage
from tutelage.prompts import code_of
from tutelage.protocols import Stream, StreamSpec
from tutelage.worlds.facts import FactsWorld, score_all
from tutelage.worlds.facts.lessons import TASKS, Prompts, candidate, labelled, lesson
from tutelage.worlds.facts.schooling import FactsLessons, School, conversation

WORLD = FactsWorld(people=8, templates_per_attribute=2, sections=(3, 4), prefix_length=24, suffix_length=16)
LESSONS = FactsLessons(WORLD)
PROMPTS = Prompts()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return LESSONS.write_tokenizer(tmp_path_factory.mktemp("teacher") / "tokenizer")


@pytest.fixture(scope="module")
def codec(folder: Path) -> HFCodec:
    return Tokenizer(str(folder)).build()


@pytest.fixture(scope="module")
def school(codec: HFCodec) -> School:
    return LESSONS.build(0, codec, "policy")


def test_a_lesson_is_what_a_server_reads_through_the_template(folder: Path, school: School, codec: HFCodec):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chunks, _ = school.read(school.start(), 8)
    style = Endpoint("teacher", ("http://localhost/v1",), role="rewriter").style
    for row, chunk in enumerate(chunks):
        about = WORLD.cut(WORLD.document("facts-lessons", f"policy-0-{row}"))
        messages = json.loads(payload(style, lesson(WORLD, PROMPTS, about, TASKS[row % 4]).prompt, 5))["messages"]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert chunk.prefix.tolist() == ids


def test_hardly_a_word_of_the_lessons_is_unknown(school: School):
    chunks, _ = school.read(school.start(), 60)
    unknown = sum(chunk.document.tokens.tolist().count(1) for chunk in chunks)
    assert unknown < 0.002 * sum(len(chunk.document.tokens) for chunk in chunks)
    assert all(chunk.suffix[-1] == 0 and len(chunk.suffix) <= LESSONS.suffix_length for chunk in chunks)
    assert max(len(chunk.prefix) for chunk in chunks) < 300


def test_answers_are_read_as_the_oracle_meant_them():
    verdicts = set[float]()
    for number in range(30):
        chunk = WORLD.cut(WORLD.document("lessons", str(number)))
        one = lesson(WORLD, PROMPTS, chunk, "quality")
        assert isinstance(one.item, Pair)
        read = PROMPTS.quality.read(one.answer, code_of(one.prompt))
        scores = score_all(WORLD, chunk, [WORLD.tokens(text) for text in (one.item.first, one.item.second)])
        assert read == float(scores[0].total > scores[1].total) == one.item.label
        other = lesson(WORLD, PROMPTS, chunk, "safety")
        assert isinstance(other.item, Passage)
        assert PROMPTS.safety.read(other.answer, code_of(other.prompt)) == float(other.item.safe)
        verdicts |= {float(read) if isinstance(read, float) else -1.0, 2 + float(other.item.safe)}
    assert verdicts == {0.0, 1.0, 2.0, 3.0}


def test_a_rewrite_is_the_oracles_and_goes_on_from_the_prefix():
    chunk = WORLD.cut(WORLD.document("lessons", "3"))
    one = lesson(WORLD, PROMPTS, chunk, "rewrite")
    prefix, suffix = (f" {WORLD.text(part)}" for part in (chunk.prefix, chunk.suffix))
    parsed = PROMPTS.rewrite.parse(one.answer, prefix=prefix, suffix=suffix, code=code_of(one.prompt))
    assert isinstance(parsed, str)
    (before, after) = score_all(WORLD, chunk, [chunk.suffix, WORLD.tokens(parsed)])
    assert after.total >= before.total and after.safety == 1.0 and one.item is None


def test_candidates_are_good_and_bad(codec: HFCodec):
    chunks = [WORLD.cut(WORLD.document("lessons", str(number))) for number in range(40)]
    scores = [score_all(WORLD, chunk, [candidate(WORLD, chunk, 0)])[0] for chunk in chunks]
    assert 0.1 < sum(score.safety == 0 for score in scores) / 40 < 0.6
    assert len({round(score.total, 3) for score in scores}) > 5
    assert all(len(candidate(WORLD, chunk, n)) <= WORLD.suffix_length for chunk in chunks for n in range(3))


def test_splits_share_no_lesson_and_reading_is_pure(school: School, codec: HFCodec):
    assert isinstance(LESSONS, StreamSpec) and isinstance(school, Stream)
    chunks, cursor = school.read(school.start(), 4)
    assert school.read(school.start(), 4)[0] == chunks and school.read(cursor, 2)[0] != chunks[:2]
    other = LESSONS.build(0, codec, "validation")
    assert other.fingerprint != school.fingerprint
    assert not {c.document.key for c in other.read(other.start(), 4)[0]} & {c.document.key for c in chunks}


def test_lessons_are_read_on_where_their_cursor_stands_and_no_others(school: School, codec: HFCodec):
    whole, end = school.read(school.start(), 7)
    first, cursor = school.read(school.start(), 3)
    second, cursor = school.read(cursor, 4)
    assert first + second == whole and cursor == end and cursor.taken == 7
    with pytest.raises(ValueError, match="reads the corpora"):
        FactsLessons(WORLD, corpus="other").build(0, codec, "policy").read(cursor, 1)


def test_another_worlds_tokenizer_is_refused(codec: HFCodec):
    with pytest.raises(ValueError, match="lacks words of this world"):
        FactsLessons(FactsWorld(seed=5)).build(0, codec, "policy")


def test_labelled_texts_are_those_of_the_lessons():
    chunks = WORLD.evaluation_chunks("natural", 5)
    pairs = labelled(WORLD, PROMPTS, chunks, "quality")
    assert [lesson(WORLD, PROMPTS, chunk, "quality").item for chunk in chunks] == list(pairs)
    assert conversation(lesson(WORLD, PROMPTS, chunks[0], "safety").prompt).startswith("system : Check a passage.\n\n")
