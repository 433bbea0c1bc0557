from collections.abc import Callable
from typing import get_args

import pytest

from tutelage.judges import Canaries, Guard, PairwiseQuality, PointwiseSafety, RepetitionJudge, ShuffledJudge
from tutelage.judges.canaries import FALSEHOOD, THREAT, Kind, spoilt
from tutelage.metrics import Mean, counted
from tutelage.prompts import code_of
from tutelage.protocols import Judge, JudgeSpec, Prompt, Resources
from tutelage.scripted import ScriptedModel
from tutelage.types import Pool

Make = Callable[..., Pool]
LONG = " stood by the river and the boat lay in the grass"


def options(prompt: Prompt) -> list[str]:
    code = code_of(prompt)
    return [prompt.user.split(f"[[{code} continuation {i}]]\n")[1].split(f"\n[[{code} end")[0] for i in (1, 2)]


def sensible(prompt: Prompt, seed: int) -> str:
    """Prefers the text that reads as it was written."""
    return f"VERDICT: {1 if LONG in options(prompt)[0] else 2}"


def fooled(prompt: Prompt, seed: int) -> str:
    return f"VERDICT: {2 if LONG in options(prompt)[0] else 1}"


def test_the_protocols_are_met(resources: Resources):
    spec = Canaries(RepetitionJudge())
    assert isinstance(spec, JudgeSpec) and isinstance(spec.build(resources), Judge)


def test_pools_are_judged_as_without_canaries(resources: Resources, pool: Make):
    pools = [pool(LONG, " and fell", " for years", id=f"d{i}") for i in range(6)]
    plain = PairwiseQuality(ScriptedModel(sensible))
    watched = Canaries(plain, share=1.0).build(resources)
    assert watched.judge(pools) == plain.build(resources).judge(pools)


@pytest.mark.parametrize("kind", ["truncated", "shuffled", "repeated", "empty", "injected"])
@pytest.mark.parametrize(("script", "rate"), [(sensible, 0.0), (fooled, 1.0)])
def test_a_canary_tells_a_sensible_judge_from_one_that_is_fooled(
    resources: Resources, pool: Make, kind: Kind, script: Callable[[Prompt, int], str], rate: float
):
    judge = Canaries(PairwiseQuality(ScriptedModel(script)), share=1.0, kinds=(kind,)).build(resources)
    judge.judge([pool(LONG, " and fell", id=f"d{i}") for i in range(3)])
    metrics = counted(judge)
    assert metrics[f"canary/quality/{kind}"] == Mean(3 * rate, 3)
    assert metrics["canary_abstained/quality"] == Mean(0.0, 3)
    assert counted(judge) == {}


def test_a_pointwise_judge_that_calls_a_threat_safe_is_fooled(resources: Resources, pool: Make):
    for answer, rate in (("VERDICT: YES", 1.0), ("VERDICT: NO", 1.0)):
        judge = PointwiseSafety(ScriptedModel(lambda prompt, seed, said=answer: said))
        watched = Canaries(judge, share=1.0, kinds=("unsafe",)).build(resources)
        watched.judge([pool(LONG)])
        assert counted(watched)["canary/safety/unsafe"] == Mean(rate, 1)
    sound = PointwiseSafety(
        ScriptedModel(lambda prompt, seed: f"VERDICT: {'NO' if 'worthless' in prompt.user else 'YES'}")
    )
    watched = Canaries(sound, share=1.0, kinds=("unsafe_injected",)).build(resources)
    watched.judge([pool(LONG)])
    assert counted(watched)["canary/safety/unsafe_injected"] == Mean(0.0, 1)


def test_a_judge_without_a_verdict_is_not_fooled_but_abstains(resources: Resources, pool: Make):
    silent = ScriptedModel(lambda prompt, seed: "I'm sorry, but I can't help with that.")
    judge = Canaries(PairwiseQuality(silent), share=1.0).build(resources)
    judge.judge([pool(LONG, " and fell")])
    metrics = counted(judge)
    assert metrics["canary_abstained/quality"] == Mean(1.0, 1)
    assert not [name for name in metrics if name.startswith("canary/")]


def test_a_share_of_the_pools_gets_a_canary_the_same_ones_each_time(resources: Resources, pool: Make):
    def beside(share: float) -> float:
        model = ScriptedModel(sensible)
        Canaries(PairwiseQuality(model), share=share).build(resources).judge(
            [pool(LONG, " and fell", id=f"d{i}") for i in range(200)]
        )
        return len(model.asked) - 200

    assert beside(0.0) == 0 and beside(1.0) == 200
    assert 20 < beside(0.2) < 60 and beside(0.2) == beside(0.2)


def test_short_suffixes_and_silent_pools_get_none(resources: Resources, pool: Make):
    model = ScriptedModel(sensible)
    Canaries(PairwiseQuality(model), share=1.0).build(resources).judge([pool(" a few words", " b")])
    assert len(model.asked) == 1


def test_what_was_counted_passes_through_other_judges(resources: Resources, pool: Make):
    inner = Canaries(PairwiseQuality(ScriptedModel(sensible)), share=1.0, kinds=("empty",))
    judge = ShuffledJudge(Guard(inner, floor=0.0, min_share=0.0)).build(resources)
    judge.judge([pool(LONG, " and fell")])
    assert {"canary/quality/empty", "parsed/quality", "first_option/quality"} <= set(counted(judge))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_spoils_a_text_by_key(kind: Kind):
    worse = spoilt(LONG, kind, 1, "d")
    assert worse != LONG and worse == spoilt(LONG, kind, 1, "d")
    if kind == "empty":
        assert worse == ""
    elif kind.startswith(("unsafe", "false")):
        assert (THREAT if kind.startswith("unsafe") else FALSEHOOD) in worse
    else:
        assert worse.startswith(" ")
    if "injected" in kind or kind == "shuffled":
        assert len({spoilt(LONG, kind, 1, f"d{i}") for i in range(8)}) > 1


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="share must be at least 0 and at most 1"):
        Canaries(RepetitionJudge(), share=1.5)
    with pytest.raises(ValueError, match="at least one kind"):
        Canaries(RepetitionJudge(), kinds=())
