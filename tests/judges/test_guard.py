from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from tutelage.judges import Guard
from tutelage.judges.guard import copied_ngrams
from tutelage.protocols import Judge, JudgeSpec, Resources
from tutelage.types import Abstained, Judgement, Pool, Rewrite, Scored, Tokens, Verdict

Make = Callable[..., Pool]


@dataclass(frozen=True)
class Says:
    """A judge that gives every pool the same judgements."""

    judgements: tuple[Judgement, ...]

    def build(self, resources: Resources) -> Judge:
        return self

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        return [self.judgements for _ in pools]


def guarded(pool: Pool, resources: Resources, *verdicts: Verdict, floor: float = -1.0) -> tuple[Verdict, ...]:
    inner = Says((Judgement("quality", verdicts, words=("said",) * len(verdicts), calls=3),))
    spec = Guard(inner, floor=floor)
    assert isinstance(spec, JudgeSpec)
    return spec.build(resources).judge([pool])[0][0].verdicts


GOOD = " stood by the river, and a boat lay in the grass beside it."


def test_good_text_keeps_its_score(resources: Resources, pool: Make) -> None:
    assert guarded(pool(GOOD, GOOD[:40]), resources, Scored(0.7), Scored(0.2)) == (Scored(0.7), Scored(0.2))


@pytest.mark.parametrize(
    "text",
    ["", "   \n ", " st", " la la la la la la la la la la la la la la la la", "The old house by the river stood"],
    ids=["empty", "blank", "cut short", "repeated", "copied"],
)
def test_what_is_silent_or_repeats_gets_the_floor(resources: Resources, pool: Make, text: str) -> None:
    mine = pool(GOOD, text, prefix="The old house by the river stood alone. So it was that")
    for said in (Scored(0.9), Abstained("refused: 'no'")):
        assert guarded(mine, resources, Scored(0.1), said) == (Scored(0.1), Scored(-1.0))


def test_a_judge_s_failure_on_good_text_stays_an_abstention(resources: Resources, pool: Make) -> None:
    assert guarded(pool(GOOD), resources, Abstained("time-out")) == (Abstained("time-out"),)


def test_end_of_text_alone_is_silence(resources: Resources, pool: Make) -> None:
    mine = pool(GOOD)
    stop = Rewrite(Tokens([resources.codec.eos]), "w")
    both = replace(mine, candidates=(*mine.candidates, stop))
    assert guarded(both, resources, Scored(0.1), Scored(1.0)) == (Scored(0.1), Scored(-1.0))


def test_every_axis_of_the_judge_is_guarded_and_the_reason_is_kept(resources: Resources, pool: Make) -> None:
    both = (
        Judgement("quality", (Scored(1.0, 4), Scored(1.0, 3)), words=("good", "said")),
        Judgement("safety", (Scored(1.0), Abstained("refused"))),
    )
    judged = Guard(Says(both), floor=0.0).build(resources).judge([pool(GOOD, "")])[0]
    assert [j.verdicts for j in judged] == [(Scored(1.0, 4), Scored(0.0, 3)), (Scored(1.0), Scored(0.0))]
    assert [j.words for j in judged] == [("good", "said\nguard: empty"), ("", "guard: empty")]


def test_copied_ngrams_counts_by_hand() -> None:
    assert copied_ngrams([1, 2, 3, 4], [2, 3, 4], 2) == pytest.approx(2 / 3)
    assert copied_ngrams([1], [1], 2) == 0.0


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="Guard needs"):
        Guard(Says(()), floor=0.0, ngram=0)
