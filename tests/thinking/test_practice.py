"""The policy's own thoughts: sampled, clipped, matched, learnt from, and exchanged."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import LLAMA

from tutelage.codec import HFCodec, Tokenizer
from tutelage.judges import ExactMatch, LikelihoodGain, SemanticMatch
from tutelage.judges.gain import GainJudge
from tutelage.judges.matching import Clipping
from tutelage.loop import train
from tutelage.metrics import Mean
from tutelage.optimizer import LearningRate
from tutelage.phases import Steps
from tutelage.policy import Policy
from tutelage.practice import dr_grpo, next_token, practise, semantic_prefix, variance_gate
from tutelage.protocols import Resources, Sampled, SampleRequest
from tutelage.ranks import OneRank
from tutelage.run import Run
from tutelage.scripted import NoPolicy, ScriptedModel
from tutelage.session import RunSession
from tutelage.stream import ThoughtStream
from tutelage.thinking import ThinkingSource
from tutelage.thinking.added_tags import add_tags
from tutelage.thinking.probing import KINDS, Probe, TooFewThoughts
from tutelage.thoughts import Tags, ThoughtError, end_of_thought
from tutelage.types import Chunk, Document, Floats, Judgement, Pool, Rewrite, Rollout, Scored, Tokens
from tutelage.update import RunStopped
from tutelage.weights import FromConfig, Pretrained, load_model
from tutelage.worlds.steps import TAGS, StepsStream, StepsTeacher, StepsWorld

WORLD = StepsWorld(fewest=2, most=3)


def resources(codec: HFCodec, sampler: Any = None) -> Resources:
    return Resources(0, codec, sampler or NoPolicy(ValueError("no policy")), 80, Path("nowhere"))


def chunk(codec: HFCodec, prefix: str, suffix: str, name: str = "d") -> Chunk:
    before, behind = codec.encode(prefix), codec.encode(suffix)
    return Chunk(Document(name, "c", 0, Tokens.join([before, behind])), before, behind, len(before))


def scores(judge: Any, codec: HFCodec, suffix: str, said: list[str]) -> list[float]:
    pool = Pool(chunk(codec, "Before.<think>", suffix), tuple(Rewrite(codec.encode(text), "a") for text in said))
    ((judgement,),) = judge.build(resources(codec)).judge([pool])
    return [verdict.value for verdict in judgement.verdicts]


class Says:
    """Continues every prefix as told."""

    version = 3

    def __init__(self, codec: HFCodec, say: Any) -> None:
        self._codec = codec
        self._say = say

    def sample(self, requests: list[SampleRequest]) -> list[tuple[Sampled, ...]]:
        found: list[tuple[Sampled, ...]] = []
        for request in requests:
            text = self._say(self._codec.decode(request.prefix))
            tokens = self._codec.encode(text)[: request.max_new_tokens]
            found.append(tuple(Sampled(tokens, Floats([-1.0] * len(tokens)), "length") for _ in request.seeds))
        return found


def test_what_stands_behind_the_one_closing_tag_is_compared_up_to_the_length_of_the_truth(codec: HFCodec):
    said = ["7</think> It is 9.", "7</think> It is 9. And more.", "7</think> It is 8.", " It is 9.", "</think>"]
    said += ["7</think> It</think> is 9.", "7</think> It is"]
    assert scores(ExactMatch(50), codec, " It is 9.", said) == [1, 1, 0, 0, 0, 0, 0]
    assert scores(ExactMatch(50, tags=None), codec, " It is 9.", [" It is 9.", "7</think> It is 9."]) == [1, 0]


def test_a_right_prediction_may_go_on_into_the_next_thought(codec: HFCodec):
    said = ["7</think> It is 9.<think>and so</think> on", "7</think> It is 9.</think>"]
    assert scores(ExactMatch(50), codec, " It is 9.", said) == [1, 1]
    model = ScriptedModel(lambda prompt, seed: "VERDICT: MATCH")
    assert scores(SemanticMatch(model), codec, " It is 9.", said) == [1, 1]
    assert all("so" not in prompt.user and "think>" not in prompt.user for prompt in model.asked)


def test_tokens_that_decode_alike_are_not_the_same(codec: HFCodec):
    one, other = (codec.encode(f" {letter}") for letter in "йї")
    same = max(n for n in range(len(one)) if codec.decode(one[:n]) == codec.decode(other[:n]))
    assert one[:same] != other[:same]  # parts of a character
    closed = codec.encode("</think>")
    pool = Pool(
        replace(chunk(codec, "a<think>", " й"), suffix=one[:same]),
        tuple(Rewrite(Tokens.join([closed, said]), "a") for said in (one[:same], other[:same])),
    )
    ((judgement,),) = ExactMatch(9).build(resources(codec)).judge([pool])
    assert judgement.verdicts == (Scored(1.0), Scored(0.0))


def test_a_token_that_ends_the_tag_and_begins_the_prediction_counts_for_both(codec: HFCodec):
    joined, rest = codec.encode("amber0")[:1], codec.encode(" xyz!")
    text = codec.decode(joined)
    assert len(text) > 1  # a tag of one letter ends inside of this token
    found = Clipping(codec, Tags("#", text[0]), 9).prediction(Tokens.join([rest, joined, rest]), 4)
    assert found == Tokens.join([codec.encode(text[1:]), rest])[:4]


def test_prediction_and_truth_are_clipped_alike(codec: HFCodec):
    truth, wrong = " It is 9 and it was 9.", "</think> It is 9 and it was 8."
    assert scores(ExactMatch(3), codec, truth, [wrong]) == [1.0]
    assert scores(ExactMatch(40), codec, truth, [wrong]) == [0.0]
    assert scores(ExactMatch(1), codec, truth, ["</think>" + codec.decode(codec.encode(truth)[:1])]) == [1.0]


def test_the_model_sees_the_two_clipped_texts_alone_and_its_answers_are_averaged(codec: HFCodec):
    model = ScriptedModel(lambda prompt, seed: f"VERDICT: {'MATCH' if seed % 2 else 'DIFFERENT'}")
    said = ["hm</think> Nine.", "no tag", "</think>a</think>"]
    found = scores(SemanticMatch(model, samples=16), codec, " It is 9.", said)
    assert found[1:] == [0.0, 0.0] and 0 < found[0] < 1 and len(model.asked) == 16
    asked = model.asked[0]
    assert "Nine." in asked.user and "It is 9." in asked.user
    assert "hm" not in asked.user and "Before" not in asked.user and "think>" not in asked.user


def test_the_share_of_thoughts_that_end_is_counted(codec: HFCodec):
    judge = ExactMatch(9).build(resources(codec))
    pool = Pool(chunk(codec, "a", " b"), tuple(Rewrite(codec.encode(text), "a") for text in ("x</think> b", "x")))
    judge.judge([pool])
    (metric,) = judge.take_metrics().values()  # pyright: ignore
    assert metric.total / metric.count == 0.5 and judge.take_metrics() == {}  # pyright: ignore


def test_rollouts_end_where_nothing_that_follows_is_compared(codec: HFCodec):
    text = "a thought</think> and all that follows it"
    source = ThinkingSource(2, after=3).build(resources(codec, Says(codec, lambda prefix: text)))
    (written,) = source.propose([chunk(codec, "Before.<think>", " and that is that")])
    thought, behind = codec.encode("a thought</think>"), codec.encode(" and all that follows it")[:3]
    for one in written:
        assert isinstance(one, Rollout) and codec.decode(one.tokens) == codec.decode(Tokens.join([thought, behind]))
        assert len(one.logprobs) == len(one.tokens) and one.finish == "length"
    wide = ThinkingSource(1, after=99).build(resources(codec, Says(codec, lambda prefix: text)))
    (written,) = wide.propose([chunk(codec, "Before.<think>", " and")])  # no further than the author's text is known
    assert isinstance(written[0], Rollout) and len(written[0].tokens) == len(thought) + len(codec.encode(" and"))
    longer = ThinkingSource(1, after=99).build(resources(codec, Says(codec, lambda prefix: text)))
    (untouched,) = longer.propose([chunk(codec, "B", " a" * 40)])
    assert isinstance(untouched[0], Rollout) and codec.decode(untouched[0].tokens) == text


@pytest.mark.parametrize("text", ["</think>", "x</think>y</think>z", "ab c</think>"])
def test_the_end_of_a_thought_is_found_in_tokens(codec: HFCodec, text: str):
    end = end_of_thought(codec, Tags(), codec.encode(text))
    assert end is not None and codec.decode(codec.encode(text)[:end]).endswith("</think>")
    assert codec.decode(codec.encode(text)[:end]).count("</think>") == 1
    assert end_of_thought(codec, Tags(), codec.encode("nothing")) is None


def run_of(folder: Path, *phases: Any, **changes: Any) -> Run:
    settings: dict[str, Any] = {"tokenizer": Tokenizer(str(folder)), "model": FromConfig("llama", LLAMA)}
    return Run(phases=phases, **(settings | changes))


def steps_phase(steps: int, **changes: Any) -> Any:
    thoughts = ThoughtStream(StepsStream(WORLD, StepsTeacher()), "rl", TAGS, after=4, thought_length=8, max_length=60)
    return practise(thoughts, until=Steps(steps), learning_rate=LearningRate(1e-3), group=3, documents=2, **changes)


def test_a_run_practises_thoughts_and_its_gate_stops_it_where_none_is_rewarded(steps_folder: Path, tmp_path: Path):
    run = run_of(steps_folder, steps_phase(6), limits=(variance_gate(window=3),))
    with pytest.raises(RunStopped, match=r"pool/tie is 1, above its limit of 0.5: .*imitate thoughts for longer"):
        list(train(RunSession(run, tmp_path / "run", OneRank())))


def test_a_phase_of_practice_is_dr_grpo_and_wants_the_other_half():
    phase = steps_phase(1)
    assert phase.objective == dr_grpo(12) and not phase.objective.needs_reference
    assert phase.objective.ratio == "truncated" and not phase.objective.std
    with pytest.raises(ValueError, match="set use to 'rl'"):
        practise(replace(phase.stream, use="sft"), until=Steps(1), learning_rate=LearningRate(1e-3))


def test_the_neighbours_are_other_judges():
    stream = steps_phase(1).stream
    assert next_token(stream) == ExactMatch(1, TAGS)
    judge = semantic_prefix(stream, ScriptedModel([]), samples=3)
    assert (judge.prompt.covers, judge.samples, judge.length) == ("beginning", 3, 4)


def knowing(prefix: str) -> str:
    """Continues by what its thought says."""
    thought, closed, _ = prefix.rpartition("<think>")[2].partition("</think>")
    if not closed:
        return f"{prefix.partition('.')[0]}!</think> rest"
    return f" {thought} is it."


def test_a_thought_that_helps_is_told_from_others(codec: HFCodec):
    chunks = [chunk(codec, f"Doc {i}.<think>", f" Doc {i}! is it.", str(i)) for i in range(4)]
    judge = ExactMatch(30).build(resources(codec))
    found = Probe(60, 30).match(Says(codec, knowing), codec, judge, chunks, 0)
    assert {kind: float(np.mean(found[kind])) for kind in KINDS} == {"own": 1, "blank": 0, "generic": 0, "swapped": 0}
    indifferent = Says(codec, lambda prefix: " Doc 1! is it." if "</think>" in prefix else "x</think>")
    found = Probe(60, 30).match(indifferent, codec, judge, chunks, 0)
    assert {kind: float(np.mean(found[kind])) for kind in KINDS} == dict.fromkeys(KINDS, 0.25)


def test_thoughts_that_do_not_end_cannot_be_exchanged(codec: HFCodec):
    chunks = [chunk(codec, f"Doc {i}.<think>", " x", str(i)) for i in range(3)]
    with pytest.raises(TooFewThoughts, match="of 3 thoughts 0 came to an end"):
        judge = ExactMatch(8).build(resources(codec))
        Probe(8, 8).match(Says(codec, lambda prefix: "on and on"), codec, judge, chunks, 0)


def test_added_tags_are_one_token_each_and_change_nothing_else(bytes_folder: Path, tmp_path: Path):
    plain = Tokenizer(str(bytes_folder)).build()
    model = load_model(FromConfig("llama", LLAMA), plain, seed=0, device=torch.device("cpu"))
    model.save_pretrained(tmp_path / "model")
    add_tags(str(tmp_path / "model"), tmp_path / "out", tokenizer=str(bytes_folder))
    codec = Tokenizer(str(tmp_path / "out")).build()
    tagged = load_model(Pretrained(str(tmp_path / "out")), codec, seed=0, device=torch.device("cpu"))
    tokens = codec.encode("Two.<think>hm</think>")
    assert codec.decode(tokens) == "Two.<think>hm</think>" and codec.vocab_size == plain.vocab_size + 2
    assert tokens.tolist().count(plain.vocab_size) == tokens.tolist().count(plain.vocab_size + 1) == 1
    text = torch.tensor([plain.encode("amber0 basil0").tolist()])
    before, after = (one(text).logits[..., : plain.vocab_size] for one in (model, tagged))
    torch.testing.assert_close(before, after)
    rows: Any = tagged.get_input_embeddings().weight
    torch.testing.assert_close(rows[-1], rows[:-2].mean(dim=0))
    Policy(tagged)
    with pytest.raises(ThoughtError, match="already"):
        add_tags(str(tmp_path / "out"), tmp_path / "again")


def test_scored_zero_is_no_abstention(codec: HFCodec):
    pool = Pool(chunk(codec, "a", " b"), (Rewrite(codec.encode("x"), "a"),))
    ((judgement,),) = ExactMatch(9).build(resources(codec)).judge([pool])
    assert judgement.verdicts == (Scored(0.0),) and "closing tag" in judgement.words[0]


def test_a_gain_is_what_the_thought_makes_of_the_authors_likelihood(bytes_folder: Path, codec: HFCodec, tmp_path: Path):
    model = load_model(FromConfig("llama", LLAMA), codec, seed=0, device=torch.device("cpu"))
    model.save_pretrained(tmp_path / "model")
    judge = LikelihoodGain(str(tmp_path / "model"), tokenizer=str(bytes_folder), length=4).build(resources(codec))
    said = ("hm</think>", "hm</think> more", "none", "x</think></think>")
    pool = Pool(chunk(codec, "Be.<think>", " It is nine."), tuple(Rewrite(codec.encode(text), "a") for text in said))
    ((found,),) = judge.judge([pool])
    first, second, unended, twice = (verdict.value for verdict in found.verdicts)  # pyright: ignore

    def mean(text: str) -> float:
        before, truth = codec.encode(text).tolist(), codec.encode(" It is nine.").tolist()[:4]
        with torch.no_grad():
            logits = model(torch.tensor([before + truth])).logits[0].log_softmax(-1)
        return float(np.mean([float(logits[len(before) + i - 1, token]) for i, token in enumerate(truth)]))

    assert first == pytest.approx(mean("Be.<think>hm</think>") - mean("Be."), abs=1e-4) and first != 0
    assert second == first > -1 and (unended, twice) == (-1.0, -1.0)
    assert judge.take_metrics() == {"thought/closed/gain": Mean(2, 4)} and judge.take_metrics() == {}  # pyright: ignore


@dataclass
class Halves:
    """Reads a text behind a thought at one half of what its prefix's length says."""

    def judge(self, pools: Any) -> list[tuple[Judgement, ...]]:
        return [(Judgement("", (Scored(-len(pool.chunk.prefix) / 2),)),) for pool in pools]


def test_no_thought_scores_less_than_one_that_does_not_end(codec: HFCodec):
    judge = GainJudge(LikelihoodGain("none", floor=-2.0), Halves(), codec)
    said = ("</think>", "and so on " * 9 + "</think>", "and so on")
    pool = Pool(chunk(codec, "Be.<think>", " It is."), tuple(Rewrite(codec.encode(text), "a") for text in said))
    ((found,),) = judge.judge([pool])
    one, long, unended = (verdict.value for verdict in found.verdicts)  # pyright: ignore
    assert one < 0 and long == unended == -2.0
    with pytest.raises(ValueError, match="floor must be below 0"):
        LikelihoodGain("none", floor=0.0)
