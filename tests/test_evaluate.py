"""Likelihood of held-out text, in nats a token and in bits a byte."""

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.families import build
from tests.objectives.pools import chunk
from tests.tiny import LLAMA, WORLD

from tutelage import rng
from tutelage.codec import HFCodec
from tutelage.evaluate import Evaluation, Evaluator, EvaluatorSpec, HeldOut, document_losses
from tutelage.policy import Policy
from tutelage.protocols import Codec, Cursor, Resources
from tutelage.sampler import InProcessSampler
from tutelage.types import Chunk, Document, Tokens
from tutelage.weights import FromConfig, load_model
from tutelage.worlds.facts import FactsStream


def by_hand(policy: Policy, tokens: Tokens) -> float:
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([tokens.tolist()])).logits[0].log_softmax(-1)
    return -float(logits[:-1].gather(-1, torch.tensor(tokens.tolist()[1:])[:, None]).sum())


@pytest.mark.parametrize("max_tokens", [1, 12, 1000])
def test_losses_come_in_the_order_of_the_documents(max_tokens: int):
    policy = build("gpt2", "float64")
    texts = [([1, 2, 3], [4]), ([5], [6, 7, 8, 9]), ([1], []), ([2, 2], [3, 3, 3])]
    chunks = [chunk(str(i), Tokens(a), Tokens(b)) for i, (a, b) in enumerate(texts)]
    found = document_losses(policy, chunks, max_tokens)
    assert [count for _, count in found] == [3, 4, 0, 4]
    for (loss, _), (prefix, suffix) in zip(found, texts, strict=True):
        assert loss == pytest.approx(by_hand(policy, Tokens([*prefix, *suffix])), rel=1e-12, abs=1e-12)


def test_held_out_text_is_measured_by_token_and_by_byte(tiny_codec: HFCodec, tmp_path: Path):
    model = load_model(FromConfig("llama", LLAMA), tiny_codec, seed=0, device=torch.device("cpu"))
    policy = Policy(model)
    sampler = InProcessSampler(policy, eos=tiny_codec.eos)
    spec = HeldOut(FactsStream(WORLD, clean=True), documents=5, name="clean")
    evaluator = spec.build(Resources(0, tiny_codec, sampler, WORLD.suffix_length, tmp_path))
    assert isinstance(spec, EvaluatorSpec) and isinstance(evaluator, Evaluator)
    numbers = evaluator.evaluate(policy)
    stream = FactsStream(WORLD, clean=True).build(0, tiny_codec, "validation")
    chunks, _ = stream.read(stream.start(), 5)
    texts = [Tokens.join([c.prefix, c.suffix]) for c in chunks]
    nats = sum(by_hand(policy, text) for text in texts)
    size = sum(len(tiny_codec.decode(text[1:]).encode()) for text in texts)
    assert numbers == {
        "clean_nll": pytest.approx(nats / sum(len(text) - 1 for text in texts), rel=1e-5),
        "clean_bits_per_byte": pytest.approx(nats / math.log(2) / size, rel=1e-5),
    }
    assert numbers["clean_nll"] == pytest.approx(math.log(tiny_codec.vocab_size), rel=0.05), (
        "a fresh model knows nothing"
    )


@dataclass(frozen=True)
class NoText:
    """A split to which no document was dealt."""

    suffix_length: int = 8
    fingerprint: str = ""

    def build(self, seed: int, codec: Codec, split: str) -> "NoText":
        return self

    def start(self) -> Cursor:
        return Cursor(0, ())

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        return (), cursor

    def counts(self) -> dict[str, int]:
        return {}


def test_a_split_without_text_is_refused(tiny_codec: HFCodec, tmp_path: Path):
    model = load_model(FromConfig("llama", LLAMA), tiny_codec, seed=0, device=torch.device("cpu"))
    resources = Resources(0, tiny_codec, InProcessSampler(Policy(model), eos=tiny_codec.eos), 8, tmp_path)
    with pytest.raises(ValueError, match=r"clean: 9 documents of the split 'validation' hold no text to measure"):
        HeldOut(NoText(), documents=9, name="clean").build(resources)


@pytest.mark.parametrize("field", ["documents", "max_tokens"])
def test_a_measurement_of_nothing_is_refused(field: str):
    with pytest.raises(ValueError, match=f"^{field} must be at least 1, not 0$"):
        HeldOut(FactsStream(WORLD), **{field: 0})
    with pytest.raises(ValueError, match=r"^every must be at least 0, not -1$"):
        Evaluation(HeldOut(FactsStream(WORLD)), every=-1)


def test_documents_that_begin_alike_keep_their_own_losses():
    policy = build("llama", "float64")
    draw = rng.generator("alike").integers
    starts = [draw(0, 23, 40) for _ in range(2)]
    texts = [Tokens([*starts[i % 2].tolist(), *draw(0, 23, 5).tolist()]) for i in range(5)]
    chunks = [Chunk(Document(str(i), "c", 0, t), t[:42], t[42:], 42) for i, t in enumerate(texts)]
    together = document_losses(policy, chunks)
    alone = [document_losses(policy, [chunk])[0] for chunk in chunks]
    assert [n for _, n in together] == [44] * 5
    assert [nats for nats, _ in together] == pytest.approx([nats for nats, _ in alone], rel=1e-6)
    assert len({round(nats, 6) for nats, _ in alone}) == 5
