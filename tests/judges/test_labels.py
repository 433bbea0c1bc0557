from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tutelage.chat import HFChat, LocalChat
from tutelage.judges import PairwiseQuality
from tutelage.prompts import QualityPrompt
from tutelage.protocols import LabelModel, Prompt, Resources
from tutelage.types import Absent, Scored

PROMPTS = [
    Prompt("Be kind.", "Which is better, the boat or the house?"),
    Prompt("", "Who?"),
    Prompt("Be kind.", "Which is better?", answer_start="VERDICT:"),
]
LABELS = ("1", "the river", "NONE")


def by_hand(folder: Path, text: str, label: str) -> float:
    """Log-probability of ``label`` after ``text``, token by token."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    before = tokenizer(text, add_special_tokens=False)["input_ids"]
    after = tokenizer(label, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logprobs = model(torch.tensor([before + after])).logits[0].double().log_softmax(-1)
    return sum(float(logprobs[len(before) - 1 + i, token]) for i, token in enumerate(after))


def test_labels_have_the_probability_that_the_model_gives_them(chat_folder: Path):
    model = LocalChat(str(chat_folder), max_batch=2).build()
    assert isinstance(model, LabelModel)
    first, second, third = model.label_logprobs(PROMPTS, LABELS)
    opening = "<|start|>user\nWho?<|end|>\n<|start|>assistant\n"
    assert second == pytest.approx([by_hand(chat_folder, opening, label) for label in LABELS], abs=1e-4)
    question = "<|start|>system\nBe kind.<|end|>\n<|start|>user\nWhich is better?<|end|>\n<|start|>assistant\nVERDICT:"
    assert third == pytest.approx([by_hand(chat_folder, question, f" {label}") for label in LABELS], abs=1e-4)
    assert first != second


def test_labels_of_a_prompt_do_not_depend_on_its_batch(chat_folder: Path):
    model = LocalChat(str(chat_folder), max_batch=16).build()
    assert isinstance(model, HFChat)
    together = model.label_logprobs(PROMPTS, LABELS)
    for prompt, logprobs in zip(PROMPTS, together, strict=True):
        assert model.label_logprobs([prompt], LABELS)[0] == pytest.approx(logprobs, abs=1e-5)


def test_a_prompt_that_leaves_no_room_for_a_label_is_absent(chat_folder: Path):
    model = LocalChat(str(chat_folder)).build()
    assert isinstance(model, HFChat)
    absent, found = model.label_logprobs([Prompt("", "boat " * 700), PROMPTS[1]], LABELS)
    assert isinstance(absent, Absent) and "exceeds the context" in absent.reason and isinstance(found, tuple)
    assert model.label_logprobs([], LABELS) == []


def test_logits_that_are_not_finite_give_no_labels(chat_folder: Path):
    model = LocalChat(str(chat_folder)).build()
    assert isinstance(model, HFChat)
    head = model._weights.model.lm_head.weight
    kept = head.detach().clone()
    try:
        head.fill_(float("nan"))
        (found,) = model.label_logprobs(PROMPTS[:1], LABELS)
    finally:
        head.copy_(kept)
    assert found == Absent(model.name, "the model gave non-finite logits")


def test_tokens_read_and_written_are_counted(chat_folder: Path):
    model = LocalChat(str(chat_folder)).build()
    assert isinstance(model, HFChat)
    model.label_logprobs(PROMPTS[1:2], LABELS)
    read = model.tokens_read
    assert read > 5 and model.tokens_written == 0
    model.answer(PROMPTS[1:2], [0])
    assert model.tokens_read == 2 * read and 0 < model.tokens_written <= PROMPTS[1].max_new_tokens


def test_a_judge_in_this_process_weighs_its_options(chat_folder: Path, resources: Resources, pool):  # pyright: ignore
    spec = PairwiseQuality(LocalChat(str(chat_folder)), prompt=QualityPrompt(form="likelihood", rubric="Which?"))
    judged = spec.build(resources).judge([pool(" a", " b")])[0][0]
    (one, two) = (v.value for v in judged.verdicts if isinstance(v, Scored))
    assert one + two == pytest.approx(1.0) and 0.0 < one < 1.0 and judged.calls == 1
