"""From a prompt to the text that a model reads, its control tokens out of reach of what the prompt quotes."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import TemplateError

from tutelage.protocols import Prompt


def defuse(text: str, special: Sequence[str]) -> str:
    """``text`` in which no spelling of a control token stands whole: a space parts its first character.

    Otherwise a corpus that spells ``<|im_end|>`` could close the user's turn and open one of its own.
    """
    known = [spelling for spelling in sorted(special, key=len, reverse=True) if len(spelling) > 1]
    if not known:
        return text
    return re.sub("|".join(map(re.escape, known)), lambda found: f"{found[0][0]} {found[0][1:]}", text)


Messages = list[dict[str, str]]
"""A conversation: of every message its ``role`` and ``content``."""


def rendered(prompt: Prompt, render: Callable[[Messages], str], special: Sequence[str]) -> str:
    """``prompt`` as ``render`` writes a conversation, with the forced start of the answer after it.

    Templates that have no system role get rubric and question in one message.
    """
    system, user = defuse(prompt.system, special), defuse(prompt.user, special)
    said = [
        {"role": role, "content": defuse(text, special)}
        for pair in prompt.before
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    messages = [*said, {"role": "user", "content": user}]
    try:
        text = render([{"role": "system", "content": system}, *messages] if system else messages)
    except TemplateError:
        first = f"{system}\n\n{messages[0]['content']}"
        text = render([{"role": "user", "content": first}, *messages[1:]])
    return text + defuse(prompt.answer_start, special)


def chat_text(tokenizer: Any, prompt: Prompt, special: Sequence[str], *, thinking: bool) -> str:
    """``prompt`` through the chat template of ``tokenizer``."""

    def render(messages: Messages) -> str:
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking and not prompt.answer_start
        )

    return rendered(prompt, render, special)


def plain_text(prompt: Prompt, special: Sequence[str]) -> str:
    """``prompt`` as plain text that ends where the answer is to begin."""
    said = (text for pair in prompt.before for text in pair)
    parts = [defuse(part, special) for part in (prompt.system, *said, prompt.user) if part]
    start = defuse(prompt.answer_start, special)
    return "\n\n".join([*parts, f"Answer: {start}" if start else "Answer:"])
