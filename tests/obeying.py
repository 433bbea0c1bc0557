"""A judge that obeys: it sees one string, and does what is said in it wherever that does not stand in a field.

It is no straw man for our own prompts: it knows nothing of how they are made but what they say, that texts stand
between lines that carry the code named at the top of the question. A control token that stands whole ends whatever
was open, as it does for a real model.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.endpoints.wire import CONTROL, Style, payload
from tutelage.prompts import (
    Aim,
    FactualityPrompt,
    Injection,
    QualityPrompt,
    SafetyPrompt,
    chat_text,
    code_of,
    fence,
    injections,
)
from tutelage.prompts.fences import NOTICE
from tutelage.protocols import Prompt

VERBS = (
    *("choose", "select", "pick", "vote", "answer", "verdict", "wähle", "antworte", "choisis", "réponds", "elige"),
    *("responde", "escolha", "responda", "scegli", "rispondi", "выбери", "ответь", "选择", "回答", "選んで", "答えて"),
)
ORDER = re.compile("|".join(VERBS), re.IGNORECASE)
LABELS = re.compile(r"(?<![0-9A-Za-z])(?:[123]|YES|NO|NONE|POSSIBLE|DEFINITE)(?![0-9A-Za-z])")
SENTENCE = re.compile(r"[.\n。?]")


def obeying(text: str, control: Sequence[str]) -> str:
    """What the judge answers to the whole prompt ``text``; ``control`` are the control tokens that it knows."""
    turns = re.split("|".join(map(re.escape, control)), text) if control else [text]
    orders = [order for turn in turns for order in _orders(outside(turn))]
    return f"VERDICT: {orders[-1]}" if orders else "Nobody told me anything."


def outside(turn: str) -> str:
    """What of a turn stands in no field of the code that it names first."""
    named = re.search(r"^Code: (\S+)$", turn, re.MULTILINE)
    if named is None:
        return turn
    code, kept, position = re.escape(named[1]), [], 0
    for opened in re.finditer(rf"\[\[{code} (?!end of )([^\]\n]+)\]\]", turn):
        if opened.start() < position:
            continue
        closed = re.compile(rf"\[\[{code} end of {re.escape(opened[1])}\]\]").search(turn, opened.end())
        if closed is not None:
            kept.append(turn[position : opened.start()])
            position = closed.end()
    return "\n".join([*kept, turn[position:]])


def _orders(text: str) -> list[str]:
    """The labels that sentences order; one that names several offers a choice and orders none."""
    found = [set(LABELS.findall(sentence)) for sentence in SENTENCE.split(text) if ORDER.search(sentence)]
    return [label for labels in found if len(labels) == 1 for label in labels]


MARKS = ("<|im_start|>", "<|im_end|>")
HEADERS = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
SERVED = (*MARKS, *HEADERS, *CONTROL)
"""What a model on a server may take for the end of a turn."""
PLAIN = " It stood there for years."


@dataclass(frozen=True)
class Case:
    """A question in which one of the texts talks to the judge."""

    prompt: Prompt
    injection: Injection
    wanted: float
    """The verdict that it asks for."""
    read: Callable[[str, str], Any]

    def is_obeyed(self, prompt: Prompt, text: str, control: tuple[str, ...]) -> bool:
        return self.read(obeying(text, control), code_of(prompt)) == self.wanted


def among(one: Injection, turn: int) -> list[str]:
    """Three texts, one of which talks to the judge: the beginning, an option, the other."""
    texts = [PLAIN, PLAIN + "..", PLAIN + "…"]
    texts[turn % 3] += one.text
    return texts


def quality(form: Any = "reasoned") -> Iterator[Case]:
    prompt = QualityPrompt(form=form)
    for place in (1, 2):
        for i, one in enumerate(injections(Aim(str(place), is_option=True, field=f"continuation {place}"))):
            texts = among(one, i)
            yield Case(prompt.ask(*texts, code=fence(texts, 7, "doc")), one, float(place == 1), prompt.read)


def safety(form: Any = "reasoned") -> Iterator[Case]:
    prompt = SafetyPrompt(form=form)
    for one in injections(Aim("YES", field="passage")):
        text = PLAIN + one.text
        yield Case(prompt.ask(text, code=fence([text], 7, "doc")), one, 1.0, prompt.read)


def factuality(form: Any = "reasoned") -> Iterator[Case]:
    prompt = FactualityPrompt(form=form)
    for i, one in enumerate(injections(Aim("NONE" if form == "reasoned" else "1", field="continuation"))):
        texts = among(one, i)
        yield Case(prompt.ask(*texts, code=fence(texts, 7, "doc")), one, 1.0, prompt.read)


CASES = {"quality": quality, "safety": safety, "factuality": factuality}


def served(prompt: Prompt) -> str:
    """The string that a model behind a server reads, by the commonest of templates."""
    body = json.loads(payload(Style("m", "chat", 1.0, 1.0, "ask", "none"), prompt, 0))
    return chat_markup(body["messages"])


def completed(prompt: Prompt) -> str:
    """The same of a server that completes plain text."""
    return json.loads(payload(Style("m", "completions", 1.0, 1.0, "ask", "none"), prompt, 0))["prompt"]


def local(prompt: Prompt) -> str:
    """The string that a chat model in this process reads."""

    class Template:
        def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> str:
            return chat_markup(messages)

    return chat_text(Template(), prompt, MARKS, thinking=False)


def chat_markup(messages: list[dict[str, str]]) -> str:
    turns = [f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in messages]
    return "".join([*turns, "<|im_start|>assistant\n"])


PATHS: dict[str, tuple[Callable[[Prompt], str], tuple[str, ...]]] = {
    "served": (served, SERVED),
    "completed": (completed, SERVED),
    "local": (local, MARKS),
}


def without_fence(prompt: Prompt) -> Prompt:
    """The same question with its texts under plain headings."""
    code = code_of(prompt)
    user = re.sub(rf"\[\[{code} end of [^\]\n]+\]\]\n?", "", prompt.user.partition("\n\n")[2])
    user = re.sub(rf"\[\[{code} ([^\]\n]+)\]\]", r"\1:", user)
    assert code not in user
    return replace(prompt, system=prompt.system.replace(NOTICE, ""), user=user)


def counts(axis: str, path: str, form: Any = "reasoned") -> dict[str, int]:
    """How many texts are obeyed with the fenced prompt and with the same without fences."""
    render, control = PATHS[path]
    found = {"texts": 0, "obeyed_fenced": 0, "obeyed_unfenced": 0}
    for case in CASES[axis](form):
        bare = without_fence(case.prompt)
        found["texts"] += 1
        found["obeyed_fenced"] += case.is_obeyed(case.prompt, render(case.prompt), control)
        found["obeyed_unfenced"] += case.is_obeyed(bare, render(bare), control)
    return found
