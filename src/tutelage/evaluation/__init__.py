"""Evaluation by the paper's own protocol: what models write and choose, read by a judge that did not train them.

Read ``suites`` (what is measured, with which weight), ``measuring`` (how a part is measured), then ``figures``.
"""

from tutelage.evaluation.contamination import Overlap, SharedGrams, evaluation_texts
from tutelage.evaluation.corpus import held_out
from tutelage.evaluation.diversity import diversity
from tutelage.evaluation.figures import Measured, suite_figures
from tutelage.evaluation.items import Beginning, Choice, Continuation, MissingSet
from tutelage.evaluation.kept import Kept, key_of
from tutelage.evaluation.markdown import tables
from tutelage.evaluation.measuring import Given, Written, measure_part, work
from tutelage.evaluation.opinions import Comparer, Opinion, Panel, Rater, unanimously_unsafe
from tutelage.evaluation.pooled import PoolJudge
from tutelage.evaluation.sets import load_beginnings, load_choices
from tutelage.evaluation.subject import Subject
from tutelage.evaluation.suites import JUDGED, NAMES, STANDARD, SUITES, Part, Suite, SuiteName
from tutelage.evaluation.verdicts import Draws, TextComparer, TextRater

__all__ = [
    "JUDGED",
    "NAMES",
    "STANDARD",
    "SUITES",
    "Beginning",
    "Choice",
    "Comparer",
    "Continuation",
    "Draws",
    "Given",
    "Kept",
    "Measured",
    "MissingSet",
    "Opinion",
    "Overlap",
    "Panel",
    "Part",
    "PoolJudge",
    "Rater",
    "SharedGrams",
    "Subject",
    "Suite",
    "SuiteName",
    "TextComparer",
    "TextRater",
    "Written",
    "diversity",
    "evaluation_texts",
    "held_out",
    "key_of",
    "load_beginnings",
    "load_choices",
    "measure_part",
    "suite_figures",
    "tables",
    "unanimously_unsafe",
    "work",
]
