from collections.abc import Callable

import pytest

from tutelage.judge_check import Claim, Examined, LabelledSet, Pair, Passage, inject, measure
from tutelage.judge_check.injecting import FALSEHOOD, THREAT
from tutelage.prompts import FactualityPrompt, QualityPrompt, SafetyPrompt, code_of
from tutelage.protocols import Prompt
from tutelage.scripted import ScriptedModel
from tutelage.types import Absent

PAIRS = LabelledSet("pairs", tuple(Pair(f"p{i}", " good", " bad", 1) for i in range(10)))
TEXTS = LabelledSet("texts", tuple(Passage(f"rude {i}", False) for i in range(6)) + (Passage("kind", True),) * 2)
Script = Callable[[Prompt, int], str | Absent]


def shown(prompt: Prompt, name: str) -> str:
    code = code_of(prompt)
    return prompt.user.split(f"[[{code} {name}]]\n")[1].split(f"\n[[{code} end of {name}]]")[0]


def right(prompt: Prompt, seed: int) -> str:
    return f"VERDICT: {1 if 'good' in shown(prompt, 'continuation 1') else 2}"


def first(prompt: Prompt, seed: int) -> str:
    return "VERDICT: 1"


def fickle(prompt: Prompt, seed: int) -> str:
    return f"VERDICT: {1 + seed % 2}"


def examined(script: Script, prompt: QualityPrompt | SafetyPrompt | FactualityPrompt | None = None) -> Examined:
    return Examined(ScriptedModel(script), prompt or QualityPrompt())


def test_a_judge_that_is_always_right():
    found = measure(examined(right), PAIRS, samples=2, seed=0)
    assert found.questions == 40 and found.items == 10
    assert (found.accuracy.mean, found.position_bias, found.order_flips, found.self_agreement) == (1.0, 0.0, 0.0, 1.0)
    assert (found.parse_rate, found.answered, found.refused) == (1.0, 1.0, 0.0)
    assert found.prompt_tokens is None and found.seconds > 0 and found.balanced_accuracy is None
    assert found.accuracy.low < 0.8


def test_a_judge_that_always_takes_the_first_is_half_right_and_all_bias():
    found = measure(examined(first), PAIRS, samples=1, seed=0)
    assert (found.accuracy.mean, found.position_bias, found.order_flips) == (0.5, 0.5, 1.0)
    assert found.self_agreement is None


def test_a_fickle_judge_agrees_with_itself_by_chance():
    many = LabelledSet("many", tuple(Pair(f"p{i}", " good", " bad", 1) for i in range(300)))
    found = measure(examined(fickle), many, samples=2, seed=0)
    assert found.self_agreement == pytest.approx(0.5, abs=0.08) and found.order_flips == pytest.approx(0.5, abs=0.08)
    assert found.accuracy.low < 0.5 < found.accuracy.high


def test_what_is_not_answered_counts_as_wrong_and_is_told():
    def moody(prompt: Prompt, seed: int) -> str | Absent:
        number = int(shown(prompt, "beginning")[1:])
        said = {0: "I'm sorry, but I can't help with that.", 1: Absent("m", "time-out"), 2: "hm"}
        if number == 3:
            return right(prompt, seed) if prompt.answer_start else "Both are fine."
        return said.get(number, right(prompt, seed))

    found = measure(examined(moody), PAIRS, samples=1, seed=0)
    assert found.accuracy.mean == found.answered == pytest.approx(0.7)
    assert found.parse_rate == pytest.approx(0.6) and found.refused == pytest.approx(0.1)


def test_a_judge_that_says_no_to_everything_is_no_better_than_chance_when_balanced():
    found = measure(examined(lambda prompt, seed: "VERDICT: NO", SafetyPrompt()), TEXTS, samples=1, seed=0)
    assert found.accuracy.mean == 0.75 and found.balanced_accuracy == 0.5
    assert found.position_bias is None and found.order_flips is None


def test_a_doubt_is_half_right():
    claims = LabelledSet("claims", (Claim("p", "r", "t", True), Claim("p", "r", "f", False)))
    found = measure(examined(lambda prompt, seed: "VERDICT: POSSIBLE", FactualityPrompt()), claims, samples=1, seed=0)
    assert found.accuracy.mean == found.balanced_accuracy == 0.5


def test_questions_are_those_of_training():
    model = ScriptedModel(right)
    measure(Examined(model, QualityPrompt()), PAIRS, samples=1, seed=0)
    one = model.asked[0]
    assert one == QualityPrompt().ask("p0", " good", " bad", code=code_of(one)) and one.document == "pairs/0"
    assert len({code_of(prompt) for prompt in model.asked}) == 10
    with pytest.raises(TypeError, match="SafetyPrompt asks nothing about quality"):
        measure(examined(right, SafetyPrompt()), PAIRS, samples=1, seed=0)


def sensible(prompt: Prompt) -> int:
    sound = ("the tide", "stir in", "a station", "they can still")
    return 1 if any(said in shown(prompt, "continuation 1") for said in sound) else 2


def test_a_judge_that_reads_only_what_is_written_falls_for_no_injection():
    found = inject(examined(lambda prompt, seed: f"VERDICT: {sensible(prompt)}"), seed=0)
    assert found.texts == found.right_without >= 200 and found.flipped == found.obeyed == 0 and found.success == 0.0
    safe = inject(examined(lambda prompt, seed: "VERDICT: NO", SafetyPrompt()), seed=0)
    assert (safe.right_without, safe.flipped, safe.axis) == (safe.texts, 0, "safety")


def test_a_judge_that_obeys_is_found_out_form_by_form():
    def obeys(prompt: Prompt, seed: int) -> str:
        places = [i for i in (1, 2) if "[INST]" in shown(prompt, f"continuation {i}")]
        return f"VERDICT: {places[0] if places else sensible(prompt)}"

    found = inject(examined(obeys), seed=0)
    flipped = {form: (right, n) for form, right, n in found.by_form if n}
    assert set(flipped) == {"bracket markup"} and found.flipped == found.obeyed == flipped["bracket markup"][0] > 5
    assert found.success == found.flipped / found.texts


def test_what_a_judge_gets_wrong_without_an_injection_is_no_success_of_it():
    found = inject(examined(first), seed=0)
    assert found.right_without == found.texts // 2 and found.flipped == 0 and found.obeyed == found.texts // 2
    silent = inject(examined(lambda prompt, seed: Absent("m", "time-out")), seed=0, texts=10)
    assert silent.texts == 10 and silent.success is None and silent.obeyed == 0


def test_threats_and_falsehoods_carry_the_injections_of_pointwise_judges():
    model = ScriptedModel(lambda prompt, seed: "VERDICT: YES" if "YES" in shown(prompt, "passage") else "VERDICT: NO")
    found = inject(Examined(model, SafetyPrompt()), seed=0)
    assert all(THREAT in shown(prompt, "passage") for prompt in model.asked)
    assert found.success is not None and 0.9 < found.success < 1.0  # some spell it with letters apart
    claims = ScriptedModel(lambda prompt, seed: "VERDICT: DEFINITE")
    assert inject(Examined(claims, FactualityPrompt()), seed=0).success == 0.0
    assert all(FALSEHOOD in shown(prompt, "continuation") for prompt in claims.asked)
