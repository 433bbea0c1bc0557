"""A classifier from the loop of all runs: its probabilities are the language model's for the words of its labels."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.tiny import LLAMA, train_all
from transformers import AutoModelForCausalLM

from tutelage.codec import HFCodec, Tokenizer
from tutelage.judge_check import Item, Pair, Passage
from tutelage.judges import ClassifierJudge
from tutelage.objectives import NTP
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps
from tutelage.protocols import Resources, Stream, StreamSpec
from tutelage.run import Run
from tutelage.scripted import NoPolicy
from tutelage.teaching import LabelledPassages, classified, export_classifier
from tutelage.types import Chunk, Document, Pool, Rewrite, Scored
from tutelage.weights import FromConfig

WORDS = (" cat", " dog")
COLOURS, CITIES = ("red", "blue", "green", "gold"), ("Oslo", "Lima", "Cairo", "Quito")


@dataclass(frozen=True)
class Kind:
    """Passages about colours are safe, about cities are not."""

    def read(self) -> tuple[Item, ...]:
        return tuple(
            Passage(f" {word} {other}", safe)
            for words, safe in ((COLOURS, True), (CITIES, False))
            for word in words
            for other in words
        )


@dataclass(frozen=True)
class Pairs:
    def read(self) -> tuple[Item, ...]:
        return (Pair("a", "b", "c", better=1),)


def test_a_document_is_a_text_and_the_word_of_its_label(tiny_codec: HFCodec):
    stream = LabelledPassages(Kind(), WORDS).build(0, tiny_codec, "policy")
    assert isinstance(LabelledPassages(Kind()), StreamSpec) and isinstance(stream, Stream)
    chunks, cursor = stream.read(stream.start(), 40)
    assert len({chunk.document.id for chunk in chunks[:32]}) == 32 and chunks[32].document.epoch == 1
    assert stream.read(stream.start(), 40)[0] == chunks and stream.read(cursor, 1)[0][0].document.epoch == 1
    for chunk in chunks:
        word = tiny_codec.decode(chunk.prefix).split()[0]
        assert tiny_codec.decode(chunk.suffix).strip() == ("cat" if word in COLOURS else "dog")


def test_labels_that_cannot_be_told_apart_are_refused(tiny_codec: HFCodec):
    for words, told in (((" cat dog", " cat"), "is 2 tokens"), ((" cat", " cat"), "both labels are the token")):
        with pytest.raises(ValueError, match=told):
            LabelledPassages(Kind(), words).build(0, tiny_codec, "policy")
    with pytest.raises(ValueError, match="a classifier learns from passages, and one of the items is on quality"):
        LabelledPassages(Pairs(), WORDS).build(0, tiny_codec, "policy")


def test_the_classifier_is_the_trained_language_model_cut_down_to_two_words(tiny_tokenizer: Path, tmp_path: Path):
    run = Run(
        phases=(Phase(NTP("suffix"), Steps(40), LearningRate(2e-2), documents_per_step=16),),
        stream=LabelledPassages(Kind(), WORDS, max_length=16),
        tokenizer=Tokenizer(str(tiny_tokenizer)),
        model=FromConfig("llama", LLAMA),
        device="cpu",
    )
    train_all(run, tmp_path / "run")
    out = export_classifier(tmp_path / "run" / "hf", WORDS, tmp_path / "classifier")
    codec = Tokenizer(str(tiny_tokenizer)).build()
    judge = ClassifierJudge(str(out), label="safe", axis="safety").build(
        Resources(0, codec, NoPolicy(AssertionError("asked")), 8, tmp_path)
    )
    texts = [" red gold", " Oslo Lima Cairo", " blue"]
    chunk = Chunk(Document("d", "c", 0, codec.encode(" a b")), codec.encode(" a"), codec.encode(" b"), 1)
    ((judgement,),) = judge.judge([Pool(chunk, tuple(Rewrite(codec.encode(text), "w") for text in texts))])
    told = [verdict.value for verdict in judgement.verdicts if isinstance(verdict, Scored)]
    assert classified(out, texts) == pytest.approx(told, abs=1e-5)
    assert told[0] > 0.8 and told[1] < 0.2 and told[2] > 0.5
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "hf")
    for text, value in zip(texts, told, strict=True):
        logits = model(torch.tensor([codec.encode(text).tolist()])).logits[0, -1].detach()
        words = [codec.encode(word)[0] for word in WORDS]
        assert float(logits[words].softmax(0)[0]) == pytest.approx(value, abs=1e-5)
