"""Thinking mid-training (arXiv 2601.21343 Part 2): thoughts are written into text, imitated, then practised.

``augmenting`` has a teacher insert them, ``rollouts`` and ``judges.matching`` have the policy write its own,
``probing`` asks whether they are what helps, ``added_tags`` makes the tags tokens.
"""

from tutelage.thinking.augmenting import PromptThinker, WholeDocuments, WholeReader, pieces_of
from tutelage.thinking.rollouts import ThinkingSource
from tutelage.thinking.table import ThoughtTable

__all__ = [
    "PromptThinker",
    "ThinkingSource",
    "ThoughtTable",
    "WholeDocuments",
    "WholeReader",
    "pieces_of",
]
