from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import WORLD, plain_run, train_all
from transformers import AutoModelForCausalLM

from tutelage.evaluation import Beginning, Choice, Continuation, Kept, Subject
from tutelage.evaluation.choosing import best_is_right, chosen, probability_of_right


@pytest.fixture(scope="module")
def folder(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("model")
    train_all(plain_run(tiny_tokenizer, 20), root / "run")
    return str(root / "run" / "hf")


def subject(folder: str, file: Path, **changes: Any) -> Subject:
    settings: dict[str, Any] = {"tokenizer": None, "precision": "float32", "max_length": 2048}
    return Subject("model", folder, Kept(file), **(settings | changes))


def beginnings(count: int) -> list[Beginning]:
    chunks = WORLD.evaluation_chunks("natural", count)
    return [Beginning(f"held_out/{i}", WORLD.text(chunk.prefix)) for i, chunk in enumerate(chunks)]


def test_continuations_are_the_models_greedy_ones(folder: str, tmp_path: Path):
    one = subject(folder, tmp_path / "k")
    asked = beginnings(6)
    written = one.write(asked, 8)
    model = AutoModelForCausalLM.from_pretrained(folder)
    for beginning, found in zip(asked, written, strict=True):
        ids = one.codec.encode(beginning.text).tolist()
        out: list[int] = []
        with torch.no_grad():
            while len(out) < 8 and (not out or out[-1] != one.codec.eos):
                out.append(int(model(torch.tensor([ids + out])).logits[0, -1].argmax()))
        assert found.tokens == len(out) and found.ended == (out[-1] == one.codec.eos)
        assert found.text == "".join(f" {WORLD.lexicon.words[t]}" for t in out if t != one.codec.eos)


def test_what_is_kept_is_not_computed_again(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = beginnings(4)
    choice = Choice("c", asked[0].text, (" a", " b"), (True, False))
    first = subject(folder, tmp_path / "k")
    written, weighed = first.write(asked, 8), first.weigh([choice])

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded again")

    monkeypatch.setattr("tutelage.evaluation.subject.load_model", fail)
    again = subject(folder, tmp_path / "k")
    assert again.write(asked, 8) == written and again.weigh([choice]) == weighed
    with pytest.raises(AssertionError):
        again.write(asked, 7)


def test_equal_beginnings_are_written_once(folder: str, tmp_path: Path):
    one, two = beginnings(1) * 2
    found = subject(folder, tmp_path / "k").write([one, two], 4)
    assert found[0] == found[1] and len((tmp_path / "k").read_text().splitlines()) == 1


def test_answers_are_weighed_by_all_their_tokens(folder: str, tmp_path: Path):
    one = subject(folder, tmp_path / "k")
    words = WORLD.lexicon.words
    answers = (f" {words[5]} {words[9]}", f" {words[7]}")
    (found,) = one.weigh([Choice("c", beginnings(1)[0].text, answers, (True, False))])
    model = AutoModelForCausalLM.from_pretrained(folder)
    before = one.codec.encode(beginnings(1)[0].text).tolist()
    for answer, (nats, count) in zip(answers, found, strict=True):
        target = one.codec.encode(answer).tolist()
        with torch.no_grad():
            logprobs = model(torch.tensor([before + target])).logits[0].double().log_softmax(-1)
        told = sum(float(logprobs[len(before) - 1 + j, token]) for j, token in enumerate(target))
        assert nats == pytest.approx(told, abs=1e-4) and count == len(target)


def test_a_beginning_longer_than_the_context_loses_its_start(folder: str, tmp_path: Path):
    one = subject(folder, tmp_path / "k")
    (short,) = beginnings(1)
    words = short.text.split()
    many = words * 20 + words[:5]  # so that it ends otherwise than it begins
    long, tail = (Beginning("held_out/long", " ".join(shown)) for shown in (many, many[-56:]))
    assert one.write([long], 8) == one.write([tail], 8)

    def weighed(before: list[str]) -> object:
        answers = tuple(f" {word}" for word in WORLD.lexicon.words[5:7])
        return one.weigh([Choice("c", " ".join(before), answers, (True, False))])

    # What a context of 64 leaves before 1 token.
    assert weighed(many) == weighed(many[-63:]) != weighed(many[:63])
    with pytest.raises(ValueError, match="leaves no room before 64 new ones: lower --suffix-length"):
        one.write([short], 64)


def test_an_empty_beginning_is_continued_from_end_of_text(folder: str, tmp_path: Path):
    assert isinstance(subject(folder, tmp_path / "k").write([Beginning("e", "")], 4)[0], Continuation)


def test_other_weights_have_another_digest(folder: str, tmp_path: Path, tiny_tokenizer: Path):
    train_all(plain_run(tiny_tokenizer, 2), tmp_path / "run")
    one, other = subject(folder, tmp_path / "k"), subject(str(tmp_path / "run" / "hf"), tmp_path / "k")
    assert one.digest == subject(folder, tmp_path / "k").digest != other.digest


def test_the_rules_of_the_sets():
    choice = Choice("c", "q", ("a", "b", "c"), (False, True, True))
    assert best_is_right(choice, [1.0, 2.0, 0.0]) == 1.0
    assert best_is_right(choice, [2.0, 2.0, 0.0]) == 0.5
    assert probability_of_right(choice, [-1000.0, -1000.0, -1000.0]) == pytest.approx(2 / 3)
    # By their sum the long answer loses, by its mean it wins.
    weighed = [(-3.0, 1), (-4.0, 4), (-9.0, 1)]
    assert chosen("truthfulqa_mc1", choice, weighed) == 0.0 and chosen("factor", choice, weighed) == 1.0
    with pytest.raises(ValueError, match="no rule"):
        chosen("other", choice, weighed)
    with pytest.raises(ValueError, match="right answers and wrong ones"):
        Choice("c", "q", ("a", "b"), (True, True))
