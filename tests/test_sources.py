from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tutelage import rng
from tutelage.codec import HFCodec, train_tokenizer
from tutelage.protocols import Prompt, Resources, Rewriter, RewriterSpec, Sampled, SampleRequest, Source, SourceSpec
from tutelage.scripted import ScriptedModel
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource
from tutelage.types import Absent, Chunk, Document, Floats, Rewrite, Rollout, Suffix, Tokens


class Noise:
    """A sampler whose tokens are a function of the seed; every second continuation ends itself."""

    version = 4

    def __init__(self, eos: int) -> None:
        self._eos = eos
        self.requests: list[SampleRequest] = []

    def sample(self, requests: Sequence[SampleRequest]) -> list[tuple[Sampled, ...]]:
        self.requests.extend(requests)
        return [tuple(self._one(request, seed) for seed in request.seeds) for request in requests]

    def _one(self, request: SampleRequest, seed: int) -> Sampled:
        stops = seed % 2 == 0
        ids = rng.generator(seed).integers(1, 250, request.max_new_tokens - stops).tolist()
        tokens = [*ids, self._eos] if stops else ids
        return Sampled(Tokens(tokens), Floats([-1.0] * len(tokens)), "stop" if stops else "length")


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> HFCodec:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(["the man went home and the night ended"] * 2, 280, folder)
    return HFCodec(AutoTokenizer.from_pretrained(folder))


@pytest.fixture
def resources(codec: HFCodec, tmp_path: Path) -> Resources:
    return Resources(seed=7, codec=codec, sampler=Noise(codec.eos), suffix_length=12, directory=tmp_path)


def chunk(codec: HFCodec, prefix: str, suffix: str, *, id: str = "d", epoch: int = 0, ends: bool = False) -> Chunk:
    before, after = codec.encode(prefix), codec.encode(suffix)
    after = Tokens.join([after, Tokens([codec.eos])]) if ends else after
    return Chunk(Document(id, "c", epoch, Tokens.join([before, after])), before, after, len(before))


def test_the_protocols_are_met(resources: Resources) -> None:
    rewriter = PromptRewriter(ScriptedModel([]))
    assert isinstance(rewriter, RewriterSpec)
    assert isinstance(rewriter.build(resources), Rewriter)
    for spec in (SuffixSource(), RolloutSource(), RewriteSource(rewriter)):
        assert isinstance(spec, SourceSpec)
        assert isinstance(spec.build(resources), Source)


def test_the_suffix_is_a_candidate_as_it_stands_and_an_empty_one_is_absent(resources: Resources) -> None:
    codec = resources.codec
    assert isinstance(codec, HFCodec)
    mine = chunk(codec, "the man", " went home")
    empty = chunk(codec, "the man", "")
    written = SuffixSource().build(resources).propose([mine, empty])
    assert written == [(Suffix(mine.suffix),), (Absent("suffix", "the suffix is empty"),)]


def test_rollouts_carry_all_that_is_needed_to_train_on_them(resources: Resources, codec: HFCodec) -> None:
    spec = RolloutSource(num_rollouts=6, temperature=0.7, top_p=0.9)
    chunks = [chunk(codec, "the man", " went home"), chunk(codec, "the night", " ended", id="e")]
    written = spec.build(resources).propose(chunks)
    assert [len(mine) for mine in written] == [6, 6]
    for mine in written:
        for k, rollout in enumerate(mine):
            assert isinstance(rollout, Rollout)
            assert (rollout.policy_version, rollout.draw) == (4, k)
            assert (rollout.temperature, rollout.top_p) == (0.7, 0.9)
            assert len(rollout.tokens) == len(rollout.logprobs) <= 12
            assert (rollout.finish == "stop") == (rollout.tokens[-1] == codec.eos)
    assert {r.finish for mine in written for r in mine if isinstance(r, Rollout)} == {"stop", "length"}


def test_a_rollout_s_seed_is_keyed_by_chunk_and_epoch_and_by_nothing_else(resources: Resources, codec: HFCodec) -> None:
    source = RolloutSource(num_rollouts=2).build(resources)
    mine, other = chunk(codec, "the man", " went home"), chunk(codec, "the man", " went home", epoch=1)
    first = source.propose([mine, other])
    assert source.propose([other, mine]) == first[::-1]
    assert first[0] != first[1]
    assert first[0][0] != first[0][1]
    sampler = resources.sampler
    assert isinstance(sampler, Noise)
    assert sampler.requests[0].seeds == tuple(rng.seed(7, "rollout", *mine.key, k) for k in range(2))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("num_rollouts", 0, "at least 1, not 0"),
        ("temperature", -0.1, "at least 0, not -0.1"),
        ("temperature", float("inf"), "at least 0, not inf"),
        ("temperature", float("nan"), "at least 0, not nan"),
        ("top_p", 0.0, "above 0 and at most 1, not 0.0"),
        ("top_p", 1.1, "above 0 and at most 1, not 1.1"),
        ("top_p", float("nan"), "above 0 and at most 1, not nan"),
    ],
)
def test_rollout_settings_that_make_no_sense_are_refused(field: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be {words}$"):
        RolloutSource(**{field: value})


def rewrites(resources: Resources, chunks: Sequence[Chunk], model: ScriptedModel) -> list[Rewrite | Absent]:
    source = RewriteSource(PromptRewriter(model)).build(resources)
    return [written[0] for written in source.propose(chunks)]  # type: ignore[misc]


def test_a_rewrite_reads_on_from_its_prefix_exactly(resources: Resources, codec: HFCodec) -> None:
    model = ScriptedModel([" walked home", "the man walked home", "walked"], name="writer")
    chunks = [chunk(codec, "the man", " went home", id=str(i)) for i in range(3)]
    written = rewrites(resources, chunks, model)
    for rewrite, text in zip(written, (" walked home", " walked home", " walked"), strict=True):
        assert isinstance(rewrite, Rewrite)
        assert rewrite.author == "writer"
        assert codec.decode(Tokens.join([chunks[0].prefix, rewrite.tokens])) == "the man" + text
    assert model.batches == [3]
    assert model.asked[0].answer_start == "the man"
    assert model.asked[0].max_new_tokens == 24


def test_a_rewrite_is_clipped_to_the_suffix_length(resources: Resources, codec: HFCodec) -> None:
    written = rewrites(resources, [chunk(codec, "the man", " went", ends=True)], ScriptedModel([" zzz" * 20]))[0]
    assert isinstance(written, Rewrite)
    assert len(written.tokens) == 12
    assert written.tokens[-1] != codec.eos


def test_a_rewrite_ends_where_the_document_ends(resources: Resources, codec: HFCodec) -> None:
    chunks = [chunk(codec, "the man", " went", ends=ends, id=str(ends)) for ends in (True, False)]
    ended, open_ = rewrites(resources, chunks, ScriptedModel([" ran", " ran"]))
    assert isinstance(ended, Rewrite)
    assert isinstance(open_, Rewrite)
    assert ended.tokens.tolist() == [*open_.tokens.tolist(), codec.eos]


def test_a_copy_keeps_the_suffix_s_own_tokens(resources: Resources, codec: HFCodec) -> None:
    plain = codec.encode(" went home")
    letters = Tokens.join([codec.encode(letter) for letter in " went home"])
    assert plain != letters
    odd = replace(chunk(codec, "the man", " went home"), suffix=letters)
    written = rewrites(resources, [odd], ScriptedModel([" went home"]))[0]
    assert isinstance(written, Rewrite)
    assert written.tokens == letters


def test_a_rewriter_s_failure_is_an_absent_candidate_with_its_reason(resources: Resources, codec: HFCodec) -> None:
    answers = ["", "I can't help with that.", Absent("writer", "time-out"), " \ud800"]
    chunks = [chunk(codec, "the man", " went home", id=str(i)) for i in range(4)]
    written = rewrites(resources, chunks, ScriptedModel(answers))
    assert all(isinstance(one, Absent) and one.source == "rewrite" for one in written)
    reasons = [one.reason for one in written if isinstance(one, Absent)]
    assert reasons[0].startswith("empty rewrite")
    assert reasons[1].startswith("refused: ")
    assert reasons[2] == "time-out"
    assert "cannot be put into tokens" in reasons[3]


def test_a_user_s_rewriter_is_clipped_and_its_silence_is_absent(resources: Resources, codec: HFCodec) -> None:
    class Mine:
        name = "mine"

        def build(self, resources: Resources) -> Rewriter:
            return self

        def rewrite(self, chunks: Sequence[Chunk]) -> list[Tokens | Absent]:
            return [Tokens(list(range(1, 40))), Tokens([])]

    chunks = [chunk(codec, "the man", " went home", id=str(i)) for i in range(2)]
    written = RewriteSource(Mine()).build(resources).propose(chunks)
    assert written == [(Rewrite(Tokens(list(range(1, 13))), "mine"),), (Absent("rewrite", "empty rewrite"),)]


def test_a_rewriter_is_asked_with_a_seed_of_its_chunk(resources: Resources, codec: HFCodec) -> None:
    seeds: list[int] = []

    def note(prompt: Prompt, seed: int) -> str:
        seeds.append(seed)
        return " ran"

    mine = chunk(codec, "the man", " went home")
    rewrites(resources, [mine], ScriptedModel(note))
    assert seeds == [rng.seed(7, "rewrite", *mine.key)]
