"""What a teacher is asked for, and what is made of its answers."""

import re

import pytest

from tutelage.prompts import MatchPrompt, ThoughtPrompt, places_of
from tutelage.types import Abstained

TEXT = " I add 2 to 3 and 4. It makes 9.\nThat is odd."
PLACES = places_of(TEXT, 5)
PROMPT = ThoughtPrompt(apart=5)


def test_places_are_behind_sentences_and_lines_and_far_enough_apart():
    assert [TEXT[place:][:4] for place in PLACES] == ["It m", "That"]
    assert places_of(TEXT, 25) == (PLACES[1],)
    assert places_of("no end in sight", 1) == ()


def test_the_places_are_marked_by_the_fence_and_nothing_else_is_changed():
    prompt = PROMPT.ask("Before.", TEXT, PLACES, code="c0de", max_new_tokens=9)
    shown = prompt.user.split("[[c0de text]]\n")[1].split("\n[[c0de end of text]]")[0]
    assert re.sub(r"\[\[c0de place \d\]\]", "", shown) == TEXT
    assert "4. [[c0de place 1]]It makes 9.\n[[c0de place 2]]That" in shown
    assert "Before." in prompt.user and prompt.max_new_tokens == 9


@pytest.mark.parametrize(
    "answer",
    ["PLACE 1: 3 and 4 are 7.\nPLACE 2: Odd.", "Sure.\n**PLACE 1:** 3 and 4 are 7.\n\nplace 2 : Odd.\n"],
)
def test_thoughts_are_read_by_their_number(answer: str):
    assert PROMPT.parse(answer, TEXT, PLACES) == {PLACES[0]: "3 and 4 are 7.", PLACES[1]: "Odd."}


def test_no_thought_is_an_answer_too():
    assert PROMPT.parse("NONE.", TEXT, PLACES) == {}
    assert PROMPT.parse("<think>PLACE 2 is dull.</think>\nNONE", TEXT, PLACES) == {}
    assert PROMPT.parse("PLACE 1:\nPLACE 2: Odd.", TEXT, PLACES) == {PLACES[1]: "Odd."}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("PLACE 3: x", "names place 3, and there are 2"),
        ("PLACE 0: x", "names place 0"),
        ("PLACE 1: x\nPLACE 1: y", "twice"),
        ("I cannot help with that.", "refused"),
        ("A lovely text.", "no places"),
        ("PLACE 1: x</think>", "at character"),
    ],
)
def test_what_cannot_be_read_is_an_abstention_with_its_reason(answer: str, why: str):
    found = PROMPT.parse(answer, TEXT, PLACES)
    assert isinstance(found, Abstained) and why in found.reason


def test_a_text_that_comes_back_with_thoughts_in_it_is_compared():
    written = PROMPT.tags.insert(TEXT, {PLACES[0]: " 7 "}).strip()
    assert PROMPT.parse(written, TEXT, PLACES) == {PLACES[0]: "7"}
    changed = PROMPT.parse(written.replace("9", "10"), TEXT, PLACES)
    assert isinstance(changed, Abstained) and "change the text" in changed.reason


def test_a_match_is_asked_of_truth_and_prediction_alone():
    prompt = MatchPrompt(form="label").ask("It is 9.", "Nine.", code="c0de")
    assert "It is 9." in prompt.user and "Nine." in prompt.user and prompt.choices == ("MATCH", "DIFFERENT")
    assert MatchPrompt().read("Both say nine.\nVERDICT: DIFFERENT", "") == 0.0
    assert isinstance(MatchPrompt().read("Hard to say.", ""), Abstained)
    whole, beginning = (MatchPrompt(covers=covers).ask("a", "b", code="c") for covers in ("all", "beginning"))
    assert whole.system != beginning.system and whole.user == beginning.user
