"""Judges and rewriters in training: labelled texts, the problems made of them, and the verifiers that hold the labels.

There is no trainer here. A teacher is trained by a run like any other: a phase whose task is ``Correction`` with one
attempt, problems and verifier from this package, and ``GRPO`` as the objective.
"""

from tutelage.teaching.classifying import ExportClassifier, LabelledPassages, classified, export_classifier
from tutelage.teaching.continuations import Continuation, ContinuationFiles, ContinuationSource, RewriteProblems
from tutelage.teaching.corrupting import CorruptSuffixes
from tutelage.teaching.items import ItemFiles, ItemSource, KnownItems
from tutelage.teaching.judging import JudgeProblems, JudgePrompts, LabelVerifier
from tutelage.teaching.labelling import Divided, Label, WordList, label_suffixes, unanimous
from tutelage.teaching.rewriting import CopyOrMend
from tutelage.teaching.scoring import RewriterMarks, RewriterScore, mark_rewriter, overlap, rewrites_of

__all__ = [
    "Continuation",
    "ContinuationFiles",
    "ContinuationSource",
    "CopyOrMend",
    "CorruptSuffixes",
    "Divided",
    "ExportClassifier",
    "ItemFiles",
    "ItemSource",
    "JudgeProblems",
    "JudgePrompts",
    "KnownItems",
    "Label",
    "LabelVerifier",
    "LabelledPassages",
    "RewriteProblems",
    "RewriterMarks",
    "RewriterScore",
    "WordList",
    "classified",
    "export_classifier",
    "label_suffixes",
    "mark_rewriter",
    "overlap",
    "rewrites_of",
    "unanimous",
]
