"""What parts answered is checked before it is recorded, and the part is named."""

import re
from typing import Any

import numpy as np
import pytest

from tutelage.checking import PartFailed, checked_judgements, checked_proposals, require_distinct_axes
from tutelage.types import (
    Absent,
    Abstained,
    Chunk,
    Document,
    Floats,
    Judgement,
    Pool,
    Rewrite,
    Rollout,
    Scored,
    Suffix,
    Tokens,
)

DOCUMENT = Document("page-7", "web", 0, Tokens([1, 2, 3, 4]))
CHUNK = Chunk(DOCUMENT, DOCUMENT.tokens[:2], DOCUMENT.tokens[2:], 2)
POOL = Pool(CHUNK, (Suffix(Tokens([3, 4])), Rewrite(Tokens([5]), "someone")))


class Careless:
    """Stands for any part."""


def proposed(*candidates: Any) -> tuple[Any, ...]:
    return checked_proposals(Careless(), [CHUNK], [candidates], suffix_length=3, vocab_size=10)[0]


def judged(*judgements: Any) -> tuple[Judgement, ...]:
    return checked_judgements(Careless(), [POOL], [judgements])[0]


def test_candidates_are_clipped_with_their_log_probabilities():
    rollout = Rollout(Tokens([1, 2, 3, 4]), Floats([-1, -2, -3, -4]), 0, 0, 1.0, 1.0, "length")
    short, other = proposed(rollout, Rewrite(Tokens([1, 2, 3, 4]), "someone"))
    assert short.tokens == Tokens([1, 2, 3]) and short.logprobs == Floats([-1, -2, -3])
    assert other == Rewrite(Tokens([1, 2, 3]), "someone")


@pytest.mark.parametrize("bad", [-1, 10])
def test_an_id_outside_the_vocabulary_makes_the_candidate_absent(bad: int):
    assert proposed(Rewrite(Tokens([1, bad]), "someone")) == (
        Absent("rewrite", f"token {bad} is not in the vocabulary of 10"),
    )


def test_usable_candidates_pass_as_they_are():
    assert proposed(*POOL.candidates, Absent("rewrite", "tired")) == (*POOL.candidates, Absent("rewrite", "tired"))


@pytest.mark.parametrize("answers", [[], [(), ()], None, "no"])
def test_a_source_that_answers_another_number_of_chunks_is_named(answers: Any):
    with pytest.raises(PartFailed, match=r"Careless gave .* for 1 chunks"):
        checked_proposals(Careless(), [CHUNK], answers, suffix_length=3, vocab_size=10)


def test_numbers_of_other_kinds_become_floats_and_lone_surrogates_readable():
    verdicts = (Scored(np.float64(0.5)), Abstained("\ud800"))
    found = judged(Judgement("quality", verdicts, words=("fine", "\ud800")))[0]
    assert type(getattr(found.verdicts[0], "value", None)) is float
    assert found.verdicts[1] == Abstained("?") and found.words == ("fine", "?")


@pytest.mark.parametrize(
    ("judgement", "message"),
    [
        (
            Judgement("quality", (Scored(float("nan")), Scored(1.0))),
            "scored nan on 'quality' of document 'page-7'",
        ),
        (Judgement("quality", (Scored(float("inf")), Scored(1.0))), "Careless scored inf"),
        (Judgement("quality", (Scored(1.0),)), "Careless gave 1 verdicts on 'quality' for 2 candidates"),
        (None, "Careless gave None as a judgement"),
    ],
)
def test_a_judge_that_breaks_its_protocol_is_named_with_axis_and_document(judgement: Any, message: str):
    with pytest.raises(PartFailed, match=re.escape(message)):
        judged(judgement)


@pytest.mark.parametrize(("axes", "message"), [(("a", "a"), "two judges"), (("a/b",), "slash"), (("",), "slash")])
def test_axes_are_distinct_words(axes: tuple[str, ...], message: str):
    with pytest.raises(PartFailed, match=message):
        require_distinct_axes([Judgement(axis, ()) for axis in axes])
