from dataclasses import dataclass

from tutelage.chat import LocalChat
from tutelage.config import from_plain, to_plain
from tutelage.judges import (
    ClassifierJudge,
    Guard,
    LikelihoodJudge,
    PairwiseQuality,
    Pivot,
    PointwiseFactuality,
    PointwiseSafety,
)
from tutelage.protocols import JudgeSpec, SourceSpec
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource


@dataclass(frozen=True)
class Parts:
    judges: tuple[JudgeSpec, ...]
    sources: tuple[SourceSpec, ...]


def test_every_spec_goes_to_plain_data_and_back() -> None:
    model = LocalChat("models/judge", temperature=0.5)
    judges = (
        PairwiseQuality(model, schedule=Pivot("rollout"), samples=5),
        PointwiseSafety(model, samples=5, weight=0.5),
        PointwiseFactuality(model),
        Guard(LikelihoodJudge("models/reference"), floor=-20.0),
        ClassifierJudge("models/classifier", "clean", "safety", "prefix and candidate"),
    )
    sources = (SuffixSource(), RolloutSource(num_rollouts=4), RewriteSource(PromptRewriter(model)))
    parts = Parts(judges, sources)
    assert from_plain(Parts, to_plain(parts)) == parts
