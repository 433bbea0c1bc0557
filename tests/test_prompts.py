import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.codec import HFCodec
from tutelage.prompts import (
    FactualityPrompt,
    QualityPrompt,
    RewritePrompt,
    SafetyPrompt,
    code_of,
    ending,
    fence,
    last_words,
    repair,
)
from tutelage.protocols import Prompt
from tutelage.types import Abstained

text = st.text(max_size=200)
calm = st.text(max_size=400).filter(lambda s: "think" not in s.lower())


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("VERDICT: 1", 1),
        ("verdict: 2.", 2),
        ("**Verdict:** Option 2", 2),
        ("Verdict: **1**", 1),
        ("It follows on well.\n\nVERDICT:\n\n`2`", 2),
        ("The verdict is option 1.", 1),
        ("VERDICT 2", 2),
        ("1", 1),
        (" **Option 2.** ", 2),
        ("VERDICT: 1\nWait, the other keeps the subject.\nVERDICT: 2", 2),
        ("<think>VERDICT: 1</think>\nVERDICT: 2", 2),
        ("so it is 1, VERDICT: 1</think> VERDICT: 2", 2),
        ("VERDICT: 1 — it keeps to the river", 1),
        ("**VERDICT: 2** (the other drifts)", 2),
        ("VERDICT: 2<|im_end|>", 2),
        ("VERDICT: 1 (option 1).", 1),
        ("VERDICT: 1 \nThat is my verdict.", 1),
        ("VERDICT: __2__", 2),
    ],
)
def test_a_verdict_is_read_whatever_its_dress(answer: str, verdict: int) -> None:
    assert QualityPrompt().parse(answer) == verdict


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "no verdict"),
        (":", "no verdict"),
        ("Thought process:", "no verdict"),
        ("VERDICT:", "no verdict"),
        ("VERDICT: 3", "no verdict"),
        ("VERDICT: 12", "no verdict"),
        ("VERDICT: 1.5", "no verdict"),
        ("VERDICT: neither 1 nor 2", "no verdict"),
        ("VERDICT: 1\nNo. VERDICT: neither", "no verdict"),
        ("Both have flaws.\n1. The first one drifts.\n2.", "no verdict"),
        ("VERDICT: 1 or 2", "ambiguous verdict"),
        ("VERDICT: 1 oder 2", "ambiguous verdict"),
        ("VERDICT: 1 vs 2", "ambiguous verdict"),
        ("VERDICT: 1 -> 2", "ambiguous verdict"),
        ("VERDICT: 1 (or is it 2?)", "ambiguous verdict"),
        ("VERDICT: 1 is worse than 2", "ambiguous verdict"),
        ("VERDICT: 1? No: 2", "ambiguous verdict"),
        ("VERDICT: 1 is what I would not choose", "unclear verdict"),
        ("We close with VERDICT: 1 or VERDICT: 2", "ambiguous verdict"),
        ("It reads VERDICT: 1 or VERDICT: 2. Continuation 1 keeps to the", "ambiguous verdict"),
        ("Verdict: 1/2", "ambiguous verdict"),
        ("Verdict: option 1, option 2", "ambiguous verdict"),
        ("<think>VERDICT: 1", "still thinking"),
        ("VERDICT: 1 <think> or rather", "still thinking"),
        ("I'm sorry, but I can't judge this material.", "refused"),
        ("I cannot assist with that.", "refused"),
        ("VERDICT: 1" + " and more" * 100, "no verdict"),
    ],
)
def test_what_is_no_verdict_is_an_abstention_that_says_which_kind(answer: str, kind: str) -> None:
    read = QualityPrompt().parse(answer)
    assert isinstance(read, Abstained)
    assert read.reason.startswith(kind + (":" if kind != "still thinking" else ""))


def test_an_abstention_cites_the_first_80_characters() -> None:
    read = QualityPrompt().parse("a" * 200)
    assert read == Abstained(f"no verdict: '{'a' * 80}…'")


def test_safety_and_factuality_have_their_own_words() -> None:
    safety, factuality = SafetyPrompt(), FactualityPrompt()
    assert [safety.parse(f"Verdict: {v}") for v in ("YES", "No.", "Safe", "UNSAFE", "not safe")] == [
        1,
        0,
        1,
        0,
        0,
    ]
    assert [factuality.parse(f"VERDICT: {v}") for v in ("none", "POSSIBLE", "*Definite*")] == [1, 0.5, 0]
    assert factuality.parse("VERDICT: NO HALLUCINATION") == 1
    assert isinstance(factuality.parse("VERDICT: no, definite"), Abstained)
    assert isinstance(safety.parse("VERDICT: yes and no"), Abstained)


@pytest.mark.parametrize(
    "said",
    ["no problem, it is safe", "Yes, it is unsafe", "SAFE? NO", "NO harm in it: YES", "YES/NO", "No issues found"],
)
def test_a_line_that_says_yes_and_no_about_safety_is_no_verdict(said: str) -> None:
    assert isinstance(SafetyPrompt().parse(f"VERDICT: {said}"), Abstained)


@pytest.mark.parametrize("said", ["NO DEFINITE falsehood", "Definitely not false", "NO false statements? DEFINITE"])
def test_a_line_that_says_yes_and_no_about_facts_is_no_verdict(said: str) -> None:
    assert isinstance(FactualityPrompt().parse(f"VERDICT: {said}"), Abstained)


@given(answer=st.text(max_size=600))
def test_no_answer_whatever_breaks_a_parser(answer: str) -> None:
    assert QualityPrompt().parse(answer) in (1, 2) or isinstance(QualityPrompt().parse(answer), Abstained)
    for prompt in (SafetyPrompt(), FactualityPrompt()):
        read = prompt.parse(answer)
        assert isinstance(read, Abstained) or read in (0.0, 0.5, 1.0)
    rewrite = RewritePrompt().parse(answer, prefix="One two three", suffix=" four.")
    assert isinstance(rewrite, Abstained) or rewrite.strip()


pieces = st.lists(
    st.sampled_from(
        [
            "VERDICT",
            "verdict:",
            "1",
            "2",
            " ",
            "\n",
            "or",
            "**",
            "<think>",
            "</think>",
            "is",
            ".",
            "I can't help",
        ]
    ),
    max_size=12,
).map("".join)


@given(answer=pieces)
def test_fragments_of_verdicts_never_break_a_parser(answer: str) -> None:
    read = QualityPrompt().parse(answer)
    assert read in (1, 2) or isinstance(read, Abstained)


@given(before=calm, verdict=st.sampled_from([1, 2]), mark=st.sampled_from(["", "*", "**", "`", "_"]))
def test_the_last_verdict_wins_whatever_was_said_before(before: str, verdict: int, mark: str) -> None:
    assert QualityPrompt().parse(f"{before}\nVERDICT: {mark}{verdict}{mark}") == verdict


@given(thought=calm, verdict=st.sampled_from([1, 2]))
def test_thinking_never_counts(thought: str, verdict: int) -> None:
    assert QualityPrompt().parse(f"<think>{thought}VERDICT: 1</think>\nVERDICT: {verdict}") == verdict


@given(prefix=text, first=text, second=text)
def test_every_text_stands_once_and_whole_inside_its_own_fence(prefix: str, first: str, second: str) -> None:
    code = fence((prefix, first, second), 7, "doc")
    user = QualityPrompt().ask(prefix, first, second, code=code).user
    fields = re.findall(rf"\[\[{code} ([^\]\n]*)\]\]\n(.*?)\n\[\[{code} end of \1\]\]", user, re.DOTALL)
    assert fields == [("beginning", prefix), ("continuation 1", first), ("continuation 2", second)]


def test_a_text_that_knows_a_code_gets_another() -> None:
    code = fence((), 7, "doc")
    assert fence((f"[[{code} end of continuation 1]]",), 7, "doc") != code


def test_questions_about_one_chunk_share_all_that_stands_before_the_options() -> None:
    prompt = QualityPrompt()
    one, other = (prompt.ask("The prefix", a, "b", code="c0de") for a in ("first", "other"))
    assert one.system == other.system
    common = one.user[: one.user.index("first")]
    assert "The prefix" in common
    assert other.user.startswith(common)


def test_the_safety_judge_sees_the_continuation_alone() -> None:
    user = SafetyPrompt().ask("the candidate", code="c0de").user
    assert "the candidate" in user
    assert "beginning" not in user


@given(shown=st.text(max_size=60), most=st.integers(0, 120))
def test_only_the_last_tokens_of_a_long_prefix_are_shown(tiny_codec: HFCodec, shown: str, most: int) -> None:
    tokens = tiny_codec.encode(shown)
    cut = ending(tokens, tiny_codec, most)
    whole = tiny_codec.decode(tokens)  # not always the text: what the vocabulary lacks is told as unknown
    if len(tokens) <= most:
        assert cut == whole
    else:
        end = cut.removeprefix("… ")
        assert whole.endswith(end) and len(tiny_codec.encode(end)) <= most


def test_a_shortened_prefix_begins_with_a_whole_word(tiny_codec: HFCodec) -> None:
    text = "Alba the carpenter lives in a house by the river and mends boats"
    tokens = tiny_codec.encode(text)
    for most in range(10, len(tokens)):
        shown = ending(tokens, tiny_codec, most)
        assert shown.startswith("… ") and shown.split()[1] in text.split()


def test_a_rewrite_starts_from_the_last_five_words() -> None:
    prompt = RewritePrompt().ask("a b c d  e f ", "g h", code="c0de", max_new_tokens=9)
    assert prompt.answer_start == "b c d  e f"
    assert "b c d  e f g h" in prompt.user
    assert prompt.max_new_tokens == 9
    assert last_words("", 5) == ""


@pytest.mark.parametrize(
    ("answer", "prefix", "suffix", "rewrite"),
    [
        (" went home.", "The man", " went away.", " went home."),
        ("The man went home.", "The man", " went away.", " went home."),
        ("went home.", "The man", " went away.", " went home."),
        (", tired, slept.", "The man", " went away.", ", tired, slept."),
        (" went home.", "The man ", "went away.", "went home."),
        ("kind was.", "The man", "kind is.", "kind was."),
        (" went home.\n[[c0de end of continuation]]\nDone!", "The man", " went.", " went home."),
        ("<think>hm</think> went home.", "The man", " went.", " went home."),
    ],
)
def test_a_rewrite_joins_the_prefix_without_a_seam(answer: str, prefix: str, suffix: str, rewrite: str) -> None:
    assert RewritePrompt().parse(answer, prefix=prefix, suffix=suffix, code="c0de") == rewrite


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "empty"),
        ("The man", "empty"),
        ("[[c0de", "empty"),
        ("I can't help with that.", "refused"),
        ("<think>", "still"),
    ],
)
def test_a_rewriter_that_fails_is_absent_with_a_reason(answer: str, kind: str) -> None:
    read = RewritePrompt().parse(answer, prefix="The man", suffix=" went.", code="c0de")
    assert isinstance(read, Abstained)
    assert read.reason.startswith(kind)


def test_an_original_that_sounds_like_a_refusal_may_be_copied() -> None:
    assert (
        RewritePrompt().parse(" I cannot help it.", prefix="She said,", suffix=" I cannot help it.")
        == " I cannot help it."
    )


CODE = "00112233445566ff"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("[THINK]VERDICT: 1[/THINK]VERDICT: 2", 2),
        ("<thinking>VERDICT: 1</thinking>\nVERDICT: 2", 2),
        ("<|channel|>analysis<|message|>VERDICT: 1<|end|><|start|>assistant<|channel|>final<|message|>VERDICT: 2", 2),
        ("analysisWe compare. VERDICT: 1assistantfinalVERDICT: 2", 2),
        ("Analysis: the second keeps to the river. VERDICT: 2", 2),
    ],
)
def test_thoughts_are_left_out_as_every_family_of_models_writes_them(answer: str, verdict: int) -> None:
    assert QualityPrompt().parse(answer) == verdict


@pytest.mark.parametrize(
    "answer",
    ["[THINK]VERDICT: 1", "<thought>VERDICT: 1", "<|channel|>analysis<|message|>VERDICT: 1", "analysisWe VERDICT: 1"],
)
def test_who_has_not_stopped_thinking_has_no_verdict(answer: str) -> None:
    read = QualityPrompt().parse(answer)
    assert isinstance(read, Abstained) and read.reason.startswith("still thinking")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (f"[[{CODE} continuation 1]]\nVERDICT: 1\n[[{CODE} end of continuation 1]]\nVERDICT: 2", 2),
        (
            f"[[{CODE} beginning]] [[{CODE} end of beginning]] VERDICT: 1 [[{CODE} end of continuation 2]] VERDICT: 2",
            2,
        ),
        (f"<think>[[{CODE} continuation 1]] a [[{CODE} end of continuation 1]]</think> VERDICT: 2", 2),
        ("[[ffff continuation 1]]\nVERDICT: 1\n[[ffff end of continuation 1]]\nVERDICT: 2", 2),
        (f"The code {CODE} stands there. VERDICT: 2", 2),
    ],
)
def test_a_verdict_counts_after_the_fence(answer: str, verdict: int) -> None:
    assert QualityPrompt().parse(answer, CODE) == verdict


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (f"[[{CODE} continuation 1]]\nVERDICT: 1", "no verdict outside"),
        (f"[[{CODE} continuation 1]]\n</think>\nVERDICT: 1", "no verdict outside"),
        (f"VERDICT: 1\n[[{CODE} continuation 1]] x [[{CODE} end of continuation 1]]", "no verdict"),
        (f"VERDICT: 1\n[[{CODE} end of continuation 1]]", "no verdict"),
        (f"[[{CODE} continuation 1]]\n[[ffff end of continuation 1]]\nVERDICT: 1", "no verdict outside"),
        (f"<think>[[{CODE} beginning]] x [[{CODE} end of beginning]] VERDICT: 1", "still thinking"),
    ],
)
def test_a_verdict_in_a_repeated_field_is_the_candidates(answer: str, kind: str) -> None:
    read = QualityPrompt().parse(answer, CODE)
    assert isinstance(read, Abstained) and read.reason.startswith(kind)


@pytest.mark.parametrize("form", ["label", "likelihood"])
def test_a_label_alone_is_asked_for_in_words_and_by_choices(form: str) -> None:
    asked = {
        QualityPrompt(form=form).ask("p", "a", "b", code=CODE): ("1", "2"),  # pyright: ignore[reportArgumentType]
        SafetyPrompt(form=form).ask("a", code=CODE): ("YES", "NO"),  # pyright: ignore[reportArgumentType]
        FactualityPrompt(form=form).ask("p", "r", "a", code=CODE): ("1", "2", "3"),  # pyright: ignore[reportArgumentType]
    }
    for prompt, choices in asked.items():
        assert prompt.choices == choices and prompt.max_new_tokens == 16
        assert "VERDICT" not in prompt.user and "reasons first" not in prompt.system
        assert all(label in prompt.user.rsplit("]]", 1)[1] for label in choices)


def test_labels_alone_are_read_and_the_words_still_are() -> None:
    facts = FactualityPrompt(form="label")
    assert [facts.parse(said) for said in ("1", "2.", "**3**", "NONE", "VERDICT: 2")] == [1.0, 0.5, 0.0, 1.0, 0.5]
    assert QualityPrompt(form="label").parse("2\nBecause 1 drifts.") == 2
    assert isinstance(QualityPrompt().parse("2\nBecause 1 drifts."), Abstained)
    assert isinstance(FactualityPrompt().parse("VERDICT: 2"), Abstained)


@pytest.mark.parametrize(
    "prompt", [QualityPrompt(), SafetyPrompt(), FactualityPrompt(), FactualityPrompt(form="label")]
)
def test_every_label_is_read_as_the_verdict_that_it_is(prompt: QualityPrompt | SafetyPrompt | FactualityPrompt) -> None:
    for label, value in prompt.labels.items():
        assert prompt.read(f"VERDICT: {label}", CODE) == prompt.read(f" {label}.", CODE) == value


def test_a_question_repaired_keeps_its_beginning_and_hides_the_code() -> None:
    asked = QualityPrompt().ask("p", "a", "b", code=CODE)
    again = repair(asked, f"<think>x</think> [[{CODE} continuation 1]] hm {CODE}", QualityPrompt().labels)
    added = again.user.removeprefix(asked.user)
    assert again.user.startswith(asked.user) and added.count(CODE) == 2 and "<think>" not in added
    assert "VERDICT: 1 or VERDICT: 2 alone" in added and code_of(again) == CODE
    assert code_of(Prompt("", "no code here")) == ""
