"""Decoding otherwise, for evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.report.conftest import TINY

from tutelage.codec import HFCodec, Tokenizer
from tutelage.maths.statistics import repeated_ngrams
from tutelage.policy import Policy
from tutelage.protocols import Resources
from tutelage.report import decoding as module
from tutelage.report.answers import Prefixes, answers
from tutelage.report.decoding import Decoding, best, decode, penalised, scorer_of
from tutelage.sampler import InProcessSampler
from tutelage.scripted import NoPolicy
from tutelage.types import Chunk, Tokens
from tutelage.weights import FromConfig, Pretrained, load_model
from tutelage.worlds.facts import FactsJudge, FactsWorld, honest, score_all


@pytest.fixture(scope="module")
def model(codec: HFCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with opinions of its own, far from uniform; its folder asks for a length that is not ours."""
    folder = tmp_path_factory.mktemp("model")
    network = load_model(FromConfig("llama", TINY), codec, seed=5, device=torch.device("cpu"))
    with torch.no_grad():
        network.get_input_embeddings().weight.mul_(12)
    network.generation_config.update(min_new_tokens=20, no_repeat_ngram_size=2)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def chunks(world: FactsWorld) -> tuple[Chunk, ...]:
    return world.evaluation_chunks("natural", 8)


def written(
    model: Path, tokenizer: Path, chunks: Sequence[Chunk], how: Decoding, **changes: object
) -> tuple[Tokens, ...]:
    settings: dict[str, object] = {"seed": 0, "suffix_length": 32} | changes
    return decode(model, str(tokenizer), chunks, how, **settings)  # pyright: ignore[reportArgumentType]


def test_by_default_the_continuations_are_those_of_a_report(
    model: Path, tokenizer: Path, world: FactsWorld, chunks: tuple[Chunk, ...]
):
    found = answers(model, str(tokenizer), world, Prefixes(chunks, chunks[:2], chunks[:2]), seed=3)
    assert written(model, tokenizer, chunks, Decoding(), seed=3) == found.natural
    assert written(model, tokenizer, chunks, Decoding(), seed=4) != found.natural


@pytest.mark.parametrize("how", [Decoding(), Decoding(0.7, 0.8), Decoding(0.0)], ids=["free", "nucleus", "greedy"])
def test_generation_without_a_penalty_draws_what_the_sampler_draws(
    model: Path, tokenizer: Path, chunks: tuple[Chunk, ...], how: Decoding, monkeypatch: pytest.MonkeyPatch
):
    assert len({len(chunk.prefix) for chunk in chunks}) > 3
    codec = Tokenizer(str(tokenizer)).build()
    network = load_model(Pretrained(str(model)), codec, seed=0, device=torch.device("cpu"))
    requests = [replace(module._request(chunk, how, 0, 32), seeds=(7, 8, 9)) for chunk in chunks]
    monkeypatch.setattr(module, "ROWS", 4)
    ours = penalised(network, codec.eos, requests, 1.0)
    fresh = load_model(Pretrained(str(model)), codec, seed=0, device=torch.device("cpu"))
    theirs = InProcessSampler(Policy(fresh), eos=codec.eos).sample(requests)
    assert ours == [tuple(one.tokens for one in sampled) for sampled in theirs]


def test_a_penalty_makes_text_repeat_itself_less_and_is_the_same_again(
    model: Path, tokenizer: Path, chunks: tuple[Chunk, ...]
):
    free, held = (written(model, tokenizer, chunks, Decoding(0.3, repetition_penalty=p)) for p in (1.0, 1.8))

    def repetition(texts: Sequence[Tokens]) -> float:
        return float(np.mean([repeated_ngrams(text.tolist(), 1) for text in texts]))

    assert repetition(held) < repetition(free) - 0.1
    assert written(model, tokenizer, chunks, Decoding(0.3, repetition_penalty=1.8)) == held
    assert written(model, tokenizer, chunks[::-1], Decoding(0.3, repetition_penalty=1.8)) == held[::-1]


def test_the_penalty_is_the_one_of_its_paper(model: Path, tokenizer: Path, chunks: tuple[Chunk, ...]):
    (text,) = written(model, tokenizer, chunks[:1], Decoding(temperature=0, repetition_penalty=1.5), suffix_length=6)
    codec = Tokenizer(str(tokenizer)).build()
    network = load_model(Pretrained(str(model)), codec, seed=0, device=torch.device("cpu"))
    ids = chunks[0].prefix.tolist()
    for token in text.tolist():
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([ids])).logits[0, -1]
        seen = list(set(ids))
        logits[seen] = torch.where(logits[seen] > 0, logits[seen] / 1.5, logits[seen] * 1.5)
        assert token == int(logits.argmax())
        ids.append(token)


def test_a_text_that_ends_keeps_its_end_and_nothing_behind_it(model: Path, tokenizer: Path, chunks: tuple[Chunk, ...]):
    codec = Tokenizer(str(tokenizer)).build()
    network = load_model(Pretrained(str(model)), codec, seed=0, device=torch.device("cpu"))
    requests = [replace(module._request(chunk, Decoding(), 0, 32), seeds=(1, 2)) for chunk in chunks]
    free = [text for mine in penalised(network, codec.eos, requests, 1.0) for text in mine]
    common = int(np.bincount(np.concatenate([text.array[1:9] for text in free])).argmax())  # so taken for the end
    texts = [text for mine in penalised(network, common, requests, 1.0) for text in mine]
    stopped = [text for text in texts if common in text.tolist()]
    assert len(stopped) > 2 and all(text.tolist().index(common) == len(text) - 1 for text in stopped)
    assert all(len(text) == 32 for text in texts if common not in text.tolist())
    for text, other in zip(texts, free, strict=True):
        both = min(len(text), len(other))
        assert text[:both] == other[:both]


def test_the_best_of_several_is_chosen_by_the_scorer(model: Path, tokenizer: Path, chunks: tuple[Chunk, ...]):
    asked: list[int] = []

    def smallest(whose: Sequence[Chunk], texts: Sequence[Tokens]) -> list[float]:
        asked.append(len(texts))
        assert list(whose) == [chunk for chunk in chunks for _ in range(4)]
        return [-float(text[0]) for text in texts]

    for penalty in (1.0, 1.2):
        how = Decoding(repetition_penalty=penalty, best_of=4)
        chosen = written(model, tokenizer, chunks, how, scorer=smallest)
        single = written(model, tokenizer, chunks, replace(how, best_of=1), scorer=smallest)
        assert all(a[0] <= b[0] for a, b in zip(chosen, single, strict=True)) and chosen != single
    assert asked == [32, 32], "one continuation needs no scorer"


def test_ties_go_to_the_first_and_what_has_no_score_is_not_chosen(chunks: tuple[Chunk, ...]):
    one, two = [Tokens([1]), Tokens([2]), Tokens([3])], [Tokens([4]), Tokens([5])]
    nan = float("nan")
    assert best(chunks[:2], [one, two], lambda c, t: [0.0, 1.0, 1.0, nan, -3.0]) == (Tokens([2]), Tokens([5]))
    with pytest.raises(ValueError, match=f"no continuation of document '{chunks[1].document.id}'"):
        best(chunks[:2], [one, two], lambda c, t: [0.0, 1.0, 1.0, nan, nan])
    with pytest.raises(ValueError, match="4 scores for 5 continuations"):
        best(chunks[:2], [one, two], lambda c, t: [0.0] * 4)


def test_a_judge_scores_the_continuations_of_a_chunk_as_a_pool(
    world: FactsWorld, codec: HFCodec, chunks: tuple[Chunk, ...], tmp_path: Path
):
    nobody = NoPolicy(AssertionError("a judge sampled"))
    resources = Resources(0, codec, nobody, world.suffix_length, tmp_path)
    pools = [[chunk.suffix, honest(world, chunk), Tokens([])] for chunk in chunks]
    whose, texts = [chunk for chunk in chunks for _ in range(3)], [text for pool in pools for text in pool]
    exact = [score_all(world, chunk, [text])[0].total for chunk, text in zip(whose, texts, strict=True)]
    pointwise = scorer_of(FactsJudge(world, quality="pointwise").build(resources))
    assert list(pointwise(whose, texts)) == pytest.approx(exact)
    pairwise = scorer_of(FactsJudge(world).build(resources))
    assert max(pairwise(whose, texts)) == 3.0
    assert np.isnan(pairwise(whose[:1], texts[:1])).all(), "nobody to compare with"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"best_of": 0}, "best_of"),
        ({"best_of": 2, "temperature": 0.0}, "one text each time"),
    ],
)
def test_settings_that_decode_nothing_are_refused(settings: dict[str, float], told: str):
    with pytest.raises(ValueError, match=told):
        Decoding(**settings)  # pyright: ignore[reportArgumentType]


def test_best_of_needs_a_scorer(model: Path, tokenizer: Path, chunks: tuple[Chunk, ...]):
    with pytest.raises(ValueError, match="no scorer"):
        written(model, tokenizer, chunks, Decoding(best_of=2))
