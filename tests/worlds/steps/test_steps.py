"""The world of steps: what its texts say is true, what they leave out is what the teacher thinks."""

from pathlib import Path

import pytest

from tutelage.codec import HFCodec, Tokenizer
from tutelage.protocols import Sampled, SampleRequest
from tutelage.types import Floats, Tokens
from tutelage.worlds.dice import Dice
from tutelage.worlds.steps import (
    TAGS,
    Chain,
    Results,
    StepsProblems,
    StepsStream,
    StepsTeacher,
    StepsWorld,
    answer,
)
from tutelage.worlds.steps.evaluation import thought_tokens
from tutelage.worlds.steps.language import result_of

WORLD = StepsWorld()
CHAIN = Chain(("a", "b", "c", "d"), 3, ("+4", "*2", "+1"), 5)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> HFCodec:
    return Tokenizer(str(WORLD.write_tokenizer(tmp_path_factory.mktemp("steps")))).build()


def test_every_step_is_taken_from_the_value_before():
    assert CHAIN.values == (3, 2, 4, 0)
    assert CHAIN.text == " a 3 b +4 c *2 d +1 so d 0 ."


def test_thoughts_name_the_values_and_paraphrases_as_many_definitions():
    for key in range(20):
        thought = StepsTeacher(skipped=0.5).thought(CHAIN, Dice("t", key)).split()
        words = StepsTeacher("paraphrase", skipped=0.5).thought(CHAIN, Dice("t", key)).split()
        assert thought[::2] == words[::2] and thought[-2:] == ["d", "0"] and words[-2:] == ["d", "+1"]
        told = zip(thought[::2], map(int, thought[1::2]), strict=True)
        assert all(value == CHAIN.values["abcd".index(name)] for name, value in told)
    assert StepsTeacher(skipped=0.0).thought(CHAIN, Dice("t")) == " b 2 c 4 d 0"
    assert StepsTeacher(skipped=1.0).thought(CHAIN, Dice("t")) == " d 0"


def test_a_thoughtful_text_without_its_thought_is_the_text(codec: HFCodec):
    stream, plain = (StepsStream(WORLD, teacher).build(1, codec, "policy") for teacher in (StepsTeacher(), None))
    for chunk, raw in zip(stream.read(stream.start(), 5)[0], plain.read(plain.start(), 5)[0], strict=True):
        assert TAGS.without(codec.decode(chunk.document.tokens)) == codec.decode(raw.document.tokens)
        assert chunk.prefix == raw.prefix and raw.suffix[-1] == codec.eos
        assert len(chunk.prefix) + len(chunk.suffix) <= WORLD.text_length


def test_documents_come_again_where_there_are_so_many(codec: HFCodec):
    stream = StepsStream(WORLD, documents=3).build(1, codec, "policy")
    chunks, cursor = stream.read(stream.start(), 5)
    assert [chunk.document.epoch for chunk in chunks] == [0, 0, 0, 1, 1]
    assert chunks[0].document.tokens == chunks[3].document.tokens != chunks[1].document.tokens
    assert stream.read(cursor, 1)[0][0].document.key == (1, "steps", chunks[2].document.id)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" so d 0 .", ("d", 0)),
        (" <think> b 2 so d 3 . </think> so d 0 .", ("d", 0)),
        (" <think> so d 0 .", None),
        (" </think> <think> x </think> so d 1 . so d 2 .", ("d", 1)),
        (" so d", None),
    ],
)
def test_a_result_is_read_behind_the_thoughts(text: str, said: tuple[str, int] | None):
    assert result_of(text) == said


def test_the_verifier_asks_for_name_and_value():
    problem = WORLD.problems("train", 1)[0]
    name, value = problem.key.split()
    attempts = [f" so {name} {value} .", f" so {name} {(int(value) + 1) % 5} .", f" so z {value} .", " so"]
    with Results().build() as verifier:
        found = verifier.check([problem] * 4, attempts)
        assert [verdict.value for verdict in found] == [1, 0, 0, 0]  # pyright: ignore
        assert verifier.answers([problem] * 4, attempts)[3] is None


def test_problems_differ_and_their_solutions_are_right():
    found = StepsProblems(WORLD, "test", 50).read()
    assert len({problem.id for problem in found.problems}) == 50
    assert not {p.id for p in found.problems} & {p.id for p in WORLD.problems("train", 50)}
    with Results().build() as verifier:
        solutions = [solution or "" for solution in found.solutions]
        assert all(verdict.value == 1 for verdict in verifier.check(found.problems, solutions))  # pyright: ignore


def test_no_text_is_about_a_chain_that_is_asked_in_a_test(codec: HFCodec):
    world = StepsWorld(fewest=3, most=3, test=0.4)
    texts = StepsStream(world)
    stream, held = (texts.build(0, codec, split) for split in ("policy", "test"))
    asked = {problem.question for problem in world.problems("test", 200)}
    told = {codec.decode(chunk.prefix) for chunk in stream.read(stream.start(), 500)[0]}
    assert not asked & told
    assert asked & {codec.decode(chunk.prefix) for chunk in held.read(held.start(), 500)[0]}
    assert world.split_of(CHAIN) in ("train", "test", "validation")
    assert world.split_of(Chain(("a", "b"), 1, ("+1",), 5)) is None


def test_more_questions_than_there_are_chains_are_refused():
    with pytest.raises(ValueError, match=r"'test' has some 172 chains, too few to ask 100"):
        StepsWorld(fewest=3, most=3).problems("test", 100)


class Thinks:
    """Answers every other draw rightly, with a thought."""

    version = 0

    def __init__(self, codec: HFCodec) -> None:
        self._codec = codec
        self.asked: list[SampleRequest] = []

    def sample(self, requests: list[SampleRequest]) -> list[tuple[Sampled, ...]]:
        self.asked += requests
        keys = {problem.question: problem.key for problem in WORLD.problems("test", 3)}
        said = [self._codec.encode(f" <think> a </think> so {keys[self._codec.decode(r.prefix)]} .") for r in requests]
        wrong = Tokens(self._codec.encode(" so a").tolist())
        return [
            tuple(Sampled(t if i % 2 else wrong, Floats([0.0] * 4), "stop") for i in range(len(r.seeds)))
            for r, t in zip(requests, said, strict=True)
        ]


def test_mean_at_16_is_sampled_as_the_paper_does(codec: HFCodec):
    sampler = Thinks(codec)
    found = answer(WORLD, codec, sampler, WORLD.problems("test", 3), seed=0)
    assert found.right.shape == (3, 16)
    assert found.figures() == {"accuracy": 0.5, "any_right": 1.0, "thinks": 0.5, "thought_tokens": 1.5}
    assert {(r.temperature, r.top_p, len(set(r.seeds))) for r in sampler.asked} == {(0.6, 0.95, 16)}


def test_tokens_of_a_thought_are_those_between_the_outermost_tags():
    assert thought_tokens(" so a 1 .") == 0
    assert thought_tokens(" <think> a 1 </think> so") == 4
    assert thought_tokens(" <think> a 1") == 3


def test_another_worlds_tokenizer_is_refused(tmp_path: Path):
    other = StepsWorld(modulus=7)
    with pytest.raises(ValueError, match="modulus 7 and 12 names"):
        other.require(Tokenizer(str(WORLD.write_tokenizer(tmp_path))).build())
