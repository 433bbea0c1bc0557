from dataclasses import dataclass

from tutelage.chat import LocalChat
from tutelage.config import from_plain, to_plain
from tutelage.judges import (
    ClassifierJudge,
    Guard,
    LikelihoodJudge,
    PairwiseQuality,
    PointwiseFactuality,
    PointwiseSafety,
)
from tutelage.protocols import JudgeSpec, SourceSpec
from tutelage.schedules import Adaptive, AllPairs, Pivot
from tutelage.sources import PromptRewriter, RewriteSource, RolloutSource, SuffixSource


@dataclass(frozen=True)
class Parts:
    judges: tuple[JudgeSpec, ...]
    sources: tuple[SourceSpec, ...]


def test_every_spec_goes_to_plain_data_and_back() -> None:
    model = LocalChat("models/judge", temperature=0.5)
    judges = (
        PairwiseQuality(model, schedule=Pivot("rollout"), samples=5),
        PairwiseQuality(model, schedule=Adaptive(budget=0.2)),
        PointwiseSafety(model, samples=5, weight=0.5),
        PointwiseFactuality(model),
        Guard(LikelihoodJudge("models/reference"), floor=-20.0),
        ClassifierJudge("models/classifier", "clean", "safety", "prefix and candidate"),
    )
    sources = (SuffixSource(), RolloutSource(num_rollouts=4), RewriteSource(PromptRewriter(model)))
    parts = Parts(judges, sources)
    assert from_plain(Parts, to_plain(parts)) == parts


def test_a_schedule_may_be_named_as_older_runs_name_it() -> None:
    plain = to_plain(Parts((PairwiseQuality(LocalChat("m"), schedule=Pivot("rollout")),), ()))
    for name, schedule in (
        ("tutelage.judges.pairwise.Pivot", Pivot("rollout")),
        ("tutelage.judges.pairwise.AllPairs", AllPairs()),
        ("Pivot", Pivot("rollout")),
        ("AllPairs", AllPairs()),
    ):
        said = {"class": name} | ({"source": "rollout"} if name.endswith("Pivot") else {})
        plain["judges"][0]["schedule"] = said  # type: ignore[index, call-overload]
        judge = from_plain(Parts, plain).judges[0]
        assert isinstance(judge, PairwiseQuality) and judge.schedule == schedule
