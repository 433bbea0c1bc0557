"""The evidence on SCoRe (arXiv 2409.12917) in the world of signed sums: what is asked, and what the runs answered.

``claims`` says when a statement of the paper holds, ``choosing`` which of an arm's trials is reported; both stood here
before a run was made. What is trained stands in ``recipes.score_world``.
"""

from tutelage.evidence.score.imitating import TrainOnTraces
from tutelage.evidence.score.report import ScoreEvidenceReport, ScoreReport
from tutelage.evidence.score.work import TrainAndExamine

__all__ = ["ScoreEvidenceReport", "ScoreReport", "TrainAndExamine", "TrainOnTraces"]
