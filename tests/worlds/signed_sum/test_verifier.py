"""What is right, what is wrong, what is malformed."""

import pytest
from tests.worlds.signed_sum.scripted import all_signs, chain

from tutelage.codec import HFCodec
from tutelage.config import from_plain, to_plain
from tutelage.episodes import Problem
from tutelage.types import Abstained, Scored
from tutelage.verifiers import Verifier, VerifierSpec
from tutelage.worlds.signed_sum import SignedSums, SignedSumWorld
from tutelage.worlds.signed_sum.language import Key
from tutelage.worlds.signed_sum.verifier import SumChecker

PROBLEM = Problem("p", "3 5 1 6 =3", "3 5 1 6 =3 mod 7")


def score(attempt: str, problem: Problem = PROBLEM) -> float:
    (verdict,) = SumChecker().check([problem], [attempt])
    assert isinstance(verdict, Scored)
    return verdict.value


def test_a_chain_is_right_where_its_signs_reach_the_target(sums: SignedSumWorld):
    for problem in sums.problems("test")[:40]:
        key = Key.read(problem.key)
        assert key is not None
        for signs in all_signs(4):
            reached = sum(sign * number for sign, number in zip(signs, key.numbers, strict=True)) % 7
            assert score(chain(key.numbers, signs), problem) == float(reached == key.target)


def test_a_sum_that_is_wrong_makes_the_chain_wrong_even_where_the_target_stands_at_its_end():
    good = chain((3, 5, 1, 6), (1, 1, -1, 1)).split()
    problem = Problem("p", "", f"3 5 1 6 ={good[-1][2:]} mod 7")
    assert score(" ".join(good), problem) == 1.0
    for place in range(4):
        for number in range(7):
            forged = [*good]
            forged[place] = f"{good[place][:2]}{number}"
            assert score(" ".join(forged), problem) == float(forged == good)
        other = [*good]
        other[place] = ("-" if good[place][0] == "+" else "+") + good[place][1:]
        assert score(" ".join(other), problem) == 0.0


MALFORMED = (
    "",
    "OK",
    "+=3 +=1 +=2",
    "+=3 +=1 +=2 -=3 +=0",
    "OK FIX +=3 +=1 +=2 -=3",
    "+=3 +=1 +=2 -=3 OK",
    "+=3 +=1 OK +=2 -=3",
    "3 1 2 3",
    "+=3 +=8 +=2 -=3",
    "+=03 +=1 +=2 -=3",
    "+=3+=1+=2-=3",
    "+=3 +=1 +=2 <unk>",
    "+=3 +=1 +=2 -=³",
    "revise +=3 +=1 +=2 -=3",
)


@pytest.mark.parametrize("attempt", MALFORMED)
def test_a_malformed_attempt_is_wrong_and_has_no_answer(attempt: str):
    problem = Problem("p", "", f"3 5 1 6 ={chain((3, 5, 1, 6), (1, 1, 1, -1))[-1]} mod 7")
    assert score(attempt, problem) == 0.0
    assert SumChecker().answers([problem], [attempt]) == [None]


def test_a_verdict_before_the_chain_changes_neither_reward_nor_answer():
    text = chain((3, 5, 1, 6), (1, 1, 1, -1))
    problem = Problem("p", "", f"3 5 1 6 ={text[-1]} mod 7")
    attempts = [text, f"OK {text}", f" FIX  {text}", f"{text} <|endoftext|>", f"OK {text} <|endoftext|>"]
    assert [score(attempt, problem) for attempt in attempts] == [1.0] * 5
    assert SumChecker().answers([problem] * 5, attempts) == [text] * 5
    wrong = chain((3, 5, 1, 6), (1, 1, -1, -1))
    assert score(f"OK {wrong}", problem) == score(f"FIX {wrong}", problem) == 0.0
    assert SumChecker().answers([problem], [f"FIX {wrong}"]) == [wrong], "a wrong chain is an answer too"


@pytest.mark.parametrize("key", ["", "5", "3 5 =9 mod 7", "3 5 =2", "three =2 mod 7", "3 5 =2 mod 0"])
def test_a_key_of_another_kind_is_an_abstention(key: str):
    problem = Problem("strange", "?", key)
    (verdict,) = SumChecker().check([problem], ["+=3 +=1"])
    assert isinstance(verdict, Abstained) and "strange" in verdict.reason and verdict.asked
    assert SumChecker().answers([problem], ["+=3 +=1"]) == [None]


def test_what_the_tokenizer_decodes_is_checked_as_it_is(sums: SignedSumWorld, sums_codec: HFCodec):
    for number in range(30):
        document = sums.document("text", str(number))
        words = sums.text(document.tokens).split()
        chain_words = words[5:9]
        problem = Problem("p", "", " ".join(words[:5]) + " mod 7")
        attempt = document.tokens[5:10]
        assert attempt[-1] == sums_codec.eos
        assert SumChecker().answers([problem], [sums_codec.decode(attempt)]) == [" ".join(chain_words)]
        assert score(sums_codec.decode(attempt), problem) == float(words[8][2:] == words[4][1:])


def test_it_stands_in_a_run_as_any_verifier():
    spec = SignedSums()
    assert isinstance(spec, VerifierSpec)
    assert from_plain(VerifierSpec, to_plain(spec, VerifierSpec)) == spec
    with spec.build() as verifier:
        assert isinstance(verifier, Verifier)
        with pytest.raises(ValueError, match="zip"):
            verifier.check([PROBLEM], [])


def test_the_order_of_a_batch_is_kept(sums: SignedSumWorld):
    text = chain((3, 5, 1, 6), (1, 1, 1, -1))
    right = Problem("p", "", f"3 5 1 6 ={text[-1]} mod 7")
    wrong = Problem("q", "", f"3 5 1 6 ={(int(text[-1]) + 1) % 7} mod 7")
    verdicts = SumChecker().check([right, wrong, right], [text, text, "x"])
    assert verdicts == [Scored(1.0), Scored(0.0), Scored(0.0)]
