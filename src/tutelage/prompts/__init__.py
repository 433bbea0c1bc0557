"""What teachers are asked, and how their answers are read: every prompt beside its parser."""

from tutelage.prompts.fences import ending, fence, field
from tutelage.prompts.judging import FactualityPrompt, QualityPrompt, SafetyPrompt
from tutelage.prompts.rewriting import RewritePrompt, last_words
from tutelage.prompts.templates import chat_text, defuse, plain_text
from tutelage.prompts.verdicts import is_refusal, quote, read_verdict, without_thinking

__all__ = [
    "FactualityPrompt",
    "QualityPrompt",
    "RewritePrompt",
    "SafetyPrompt",
    "chat_text",
    "defuse",
    "ending",
    "fence",
    "field",
    "is_refusal",
    "last_words",
    "plain_text",
    "quote",
    "read_verdict",
    "without_thinking",
]
