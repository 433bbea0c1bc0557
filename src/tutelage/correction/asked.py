"""Questions that are whole prompts: what a policy reads that is to become a judge or a rewriter."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.correction.formats import FormatError, PromptFormat
from tutelage.prompts import plain_text, rendered
from tutelage.protocols import ChatCodec, Codec, Prompt
from tutelage.types import Tokens


def question_of(prompt: Prompt) -> str:
    """A prompt as the question of a problem.

    Example:
        >>> prompt_of(question_of(Prompt("Check a passage.", "Is it safe?"))).user
        'Is it safe?'
    """
    return json.dumps([prompt.system, prompt.user, prompt.answer_start], ensure_ascii=False)


def prompt_of(question: str) -> Prompt:
    """The inverse of ``question_of``, as far as a prompt is read by a policy.

    Raises:
        FormatError: the question is none.
    """
    try:
        system, user, start = json.loads(question)
        return Prompt(str(system), str(user), str(start))
    except ValueError as error:
        raise FormatError(
            f"the question {question[:60]!r} is no prompt: the format Asked goes with problems that are made of "
            "prompts (question_of)"
        ) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """Every question is a prompt, put before the policy as ``LocalChat`` puts it before a teacher.

    So a policy that was trained on it can be asked by the judges and rewriters of later runs without a difference. One
    attempt an episode: there is no instruction to correct.
    """

    plain: bool = False
    """By plain text instead of the chat template, for models without one (``plain_prompt`` of ``LocalChat``)."""

    def build(self, codec: Codec) -> PromptFormat:
        """The format in this tokenizer's tokens.

        Raises:
            FormatError: there is no chat template, and the prompt is not ``plain``.
        """
        if self.plain:
            return _Prompts(self, codec)
        if not isinstance(codec, ChatCodec) or not codec.has_chat_template:
            raise FormatError("the tokenizer has no chat template: set format.plain to ask by plain text")
        return _Prompts(self, codec)


@dataclass(frozen=True, slots=True)
class _Prompts:
    """``Asked`` at work."""

    spec: Asked
    codec: Codec

    def questions(self, questions: Sequence[str]) -> list[Tokens]:
        """The prompts as a teacher reads them, up to where the answer begins."""
        prompts, codec = [prompt_of(question) for question in questions], self.codec
        if self.spec.plain:
            special = codec.control_tokens if isinstance(codec, ChatCodec) else ()
            return codec.encode_many([plain_text(prompt, special) for prompt in prompts])
        assert isinstance(codec, ChatCodec)
        return [codec.encode_rendered(rendered(prompt, codec.render_chat, codec.control_tokens)) for prompt in prompts]

    def instruction(self, attempt: Tokens) -> Tokens:
        """Nothing: no second attempt is asked for."""
        return Tokens([])
