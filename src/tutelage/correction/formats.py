"""How a problem and the instruction to correct are put before the policy, in tokens that are never made twice.

A format gives what stands *between* attempts. The attempts themselves stay as they were sampled: a chat template is
rendered on stand-ins once, when the run begins, and what it puts after an answer is appended behind the real ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, assert_never, runtime_checkable

from jinja2 import TemplateError

from tutelage.prompts import defuse
from tutelage.protocols import ChatCodec, Codec
from tutelage.types import Tokens

QUESTION = "{question}"
INSTRUCTION = (
    "The answer above may hold a mistake. Go through it step by step, mend what is wrong, and write the whole answer "
    "once more."
)
"""Our words; what they ask for is that of 2409.12917 App. C [P]. They must not say whether the attempt is right."""
_ATTEMPT = "<think>\nLet me see: 47 and 11.\n</think>\n\nI take them one by one. The answer is 4711."
"""Stands for an attempt while a template is tried. Templates that hide reasoning from history show it by this."""


class FormatError(ValueError):
    """A prompt format that cannot be used with this tokenizer."""


@runtime_checkable
class PromptFormat(Protocol):
    """A way of asking, in tokens."""

    def questions(self, questions: Sequence[str]) -> list[Tokens]:
        """What stands before the first attempt at each question."""
        ...

    def instruction(self, attempt: Tokens) -> Tokens:
        """What stands between ``attempt`` and the next one; of an attempt that was cut off also its missing end."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    r"""Plain text: for base models, miniature worlds, and templates that cannot be appended to.

    Example:
        >>> Plain(question="Problem: {question}\\nSolution:").question
        'Problem: {question}\\nSolution:'
    """

    question: str = QUESTION + "\n"
    """What stands before the first attempt; ``{question}`` is the problem's."""
    instruction: str = f"\n{INSTRUCTION}\n"
    """What stands before every further attempt, behind end-of-text, with which an attempt ends."""

    def __post_init__(self) -> None:
        if self.question.count(QUESTION) != 1:
            raise ValueError(f"question must hold {QUESTION} once, where the problem's is to stand: {self.question!r}")

    def build(self, codec: Codec) -> PromptFormat:
        """The format in this tokenizer's tokens."""
        return _Appended(codec, self.question, codec.encode(self.instruction))


@dataclass(frozen=True, slots=True)
class Chat:
    """The tokenizer's own chat template, rendered as the conversation grows."""

    system: str = ""
    """The system message; none where empty."""
    question: str = QUESTION
    """The user's first message; ``{question}`` is the problem's."""
    instruction: str = INSTRUCTION
    """The user's message before every further attempt."""
    history: Literal["refuse", "append"] = "refuse"
    """What to do where the template rewrites earlier answers (hides their reasoning, say): refuse it, or append to the
    tokens as they were sampled, which is then not what the template would give."""

    def __post_init__(self) -> None:
        if self.question.count(QUESTION) != 1:
            raise ValueError(f"question must hold {QUESTION} once, where the problem's is to stand: {self.question!r}")

    def build(self, codec: Codec) -> PromptFormat:
        """The format in this tokenizer's tokens.

        Raises:
            FormatError: there is no template, it drops or rewrites attempts, or ends them otherwise than the sampler.
        """
        if not isinstance(codec, ChatCodec) or not codec.has_chat_template:
            raise FormatError("the tokenizer has no chat template: write the prompt as plain text (format: Plain)")
        template = _Template(self, codec)
        between = template.between(2)
        if template.between(3) != between:
            raise FormatError(
                "the chat template puts something else before the third attempt than before the second; write the "
                "prompt as plain text (format: Plain)"
            )
        return _Rendered(template, between)


@dataclass(frozen=True, slots=True)
class _Appended:
    """``Plain`` at work."""

    codec: Codec
    question: str
    between: Tokens

    def questions(self, questions: Sequence[str]) -> list[Tokens]:
        """The questions in the place that the text has for them."""
        return self.codec.encode_many([self.question.replace(QUESTION, question) for question in questions])

    def instruction(self, attempt: Tokens) -> Tokens:
        """The instruction; behind an attempt that was cut off also end-of-text, so that it always follows that."""
        return self.between if _ended(attempt, self.codec) else _with_end(self.between, self.codec)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """``Chat`` at work."""

    template: "_Template"
    between: Tokens
    """Behind end-of-text."""

    def questions(self, questions: Sequence[str]) -> list[Tokens]:
        """The conversation up to where the first answer begins."""
        return [self.template.tokens(self.template.render((), question)) for question in questions]

    def instruction(self, attempt: Tokens) -> Tokens:
        """What the template puts behind an answer, the instruction, and up to where the next answer begins."""
        codec = self.template.codec
        return self.between if _ended(attempt, codec) else _with_end(self.between, codec)


def _ended(attempt: Tokens, codec: Codec) -> bool:
    return len(attempt) > 0 and attempt[-1] == codec.eos


def _with_end(between: Tokens, codec: Codec) -> Tokens:
    return Tokens.join([Tokens([codec.eos]), between])


@dataclass(frozen=True, slots=True)
class _Template:
    """A chat template and what is found out about it by rendering stand-ins."""

    spec: Chat
    codec: Any

    def tokens(self, text: str) -> Tokens:
        """Tokens of rendered text; the template's control tokens are read as such."""
        return self.codec.encode_rendered(text)

    def render(self, attempts: Sequence[str], question: str = "What is 47 + 4664?") -> str:
        """The conversation up to where the next answer begins."""
        spec, special = self.spec, self.codec.control_tokens

        def message(role: str, text: str) -> dict[str, str]:
            return {"role": role, "content": text}

        # No text of others may close the user's turn; str.replace reads no braces in it.
        asked = message("user", spec.question.replace(QUESTION, defuse(question, special)))
        messages = [message("system", spec.system), asked] if spec.system else [asked]
        for attempt in attempts:
            messages += [message("assistant", attempt), message("user", spec.instruction)]
        try:
            return self.codec.render_chat(messages)
        except TemplateError as error:
            raise FormatError(f"the chat template cannot render this conversation: {error}") from error

    def between(self, turn: int) -> Tokens:
        """What the template puts between an answer and the answer of ``turn``, without end-of-text.

        Raises:
            FormatError: it drops or rewrites what was said before, or does not end an answer by end-of-text.
        """
        attempts = [_ATTEMPT.replace("4711", str(4711 + i)) for i in range(turn - 1)]
        before, after = self.render(attempts[:-1]), self.render(attempts)
        self._require_kept(before, after, attempts[-1])
        seam = attempts[-1].rpartition("\n")[2]
        if seam not in after:
            raise FormatError(
                "the chat template drops the first attempt from the conversation, so a second one could not be a "
                "correction of it; write the prompt as plain text (format: Plain)"
            )
        rest = self.tokens(after[after.rindex(seam) + len(seam) :])
        ends = [i for i, token in enumerate(rest.tolist()[:3]) if token == self.codec.eos]
        if not ends:
            raise FormatError(
                f"the chat template does not end an answer by token {self.codec.eos}, with which the sampler ends an "
                f"attempt, but by {self.codec.decode(rest[:1])!r}: set tokenizer.eos to the token that ends an answer"
            )
        return rest[ends[0] + 1 :]

    def _require_kept(self, before: str, after: str, attempt: str) -> None:
        match self.spec.history:
            case "append":
                return
            case "refuse":
                first, second = self.tokens(before), self.tokens(after)
                if attempt.rpartition("\n")[2] not in after:
                    return  # dropped altogether, which has a message of its own
                if second[: len(first)] != first or attempt not in after:
                    raise FormatError(
                        "the chat template rewrites what was said before (the tokens of the first prompt and attempt "
                        "are not the beginning of the second prompt), so it would hide from the policy what it wrote: "
                        'set history to "append" to append to the tokens as sampled, or write the prompt as plain text '
                        "(format: Plain)"
                    )
            case _:
                assert_never(self.spec.history)
