"""What teachers are asked, and how their answers are read: every prompt beside its parser."""

from tutelage.prompts.comparing import FaithfulnessPrompt, RepetitionPrompt
from tutelage.prompts.corrupting import CorruptPrompt, Flaw
from tutelage.prompts.fences import code_of, ending, fence, field
from tutelage.prompts.injections import Aim, Injection, injections
from tutelage.prompts.judging import (
    FactualityPrompt,
    Form,
    QualityPrompt,
    SafetyPrompt,
    VerdictPrompt,
    is_repairable,
    repair,
)
from tutelage.prompts.matching import MatchPrompt
from tutelage.prompts.rewriting import RewritePrompt, last_words
from tutelage.prompts.templates import chat_text, defuse, plain_text, rendered
from tutelage.prompts.thinking import ThoughtPrompt, places_of
from tutelage.prompts.verdicts import is_closed, is_refusal, quote, read_verdict, without_thinking

__all__ = [
    "Aim",
    "CorruptPrompt",
    "FactualityPrompt",
    "FaithfulnessPrompt",
    "Flaw",
    "Form",
    "Injection",
    "MatchPrompt",
    "QualityPrompt",
    "RepetitionPrompt",
    "RewritePrompt",
    "SafetyPrompt",
    "ThoughtPrompt",
    "VerdictPrompt",
    "chat_text",
    "code_of",
    "defuse",
    "ending",
    "fence",
    "field",
    "injections",
    "is_closed",
    "is_refusal",
    "is_repairable",
    "last_words",
    "places_of",
    "plain_text",
    "quote",
    "read_verdict",
    "rendered",
    "repair",
    "without_thinking",
]
