"""The evidence: what the papers claim of self-improving pretraining, and what their controls lack, as a study.

``arms`` says what is trained, ``claims`` and ``controls`` what is asked of it and when the answer is yes, ``plan``
makes jobs of both, ``figures`` and ``report`` read the answers; ``judge_calls`` asks one more thing, in a study of its
own. Rules stand in the code before a run is made.
"""

from tutelage.evidence.report import EvidenceReport
from tutelage.evidence.work import Measured, TrainAndMeasure

__all__ = ["EvidenceReport", "Measured", "TrainAndMeasure"]
