"""Pairs with a known winner from any corpus."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.tiny import WORLD

from tutelage.codec import Tokenizer
from tutelage.judge_check import Pair, read_items
from tutelage.prompts import CorruptPrompt, RewritePrompt
from tutelage.protocols import Prompt
from tutelage.teaching import CorruptSuffixes
from tutelage.teaching.corrupting import longer_is_better
from tutelage.types import Absent
from tutelage.worlds.facts import FactsStream


@dataclass(frozen=True)
class Spoiler:
    """Stutters once; refuses every third prompt, copies every fourth."""

    silent: bool = False

    def build(self) -> "Spoiler":
        return self

    @property
    def name(self) -> str:
        return "spoiler"

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        return [self.one(i, prompt) for i, prompt in enumerate(prompts)]

    def one(self, number: int, prompt: Prompt) -> str | Absent:
        if self.silent or number % 3 == 0:
            return Absent("spoiler", "down")
        shown = prompt.user.split("continuation]]\n")[1].split("\n[[")[0].removeprefix(prompt.answer_start)
        return shown if number % 4 == 0 else f" {shown.split()[0]}{shown}"


def work(tokenizer: Path, **changes: bool) -> CorruptSuffixes:
    return CorruptSuffixes(FactsStream(WORLD), Tokenizer(str(tokenizer)), Spoiler(**changes), documents=24)


def test_the_untouched_suffix_is_better_and_stands_first_about_half_of_the_time(tiny_tokenizer: Path, tmp_path: Path):
    assert work(tiny_tokenizer).execute(tmp_path, tmp_path)
    items = read_items(tmp_path / "pairs.jsonl").items
    assert len(items) == 12
    for item in items:
        assert isinstance(item, Pair)
        better, worse = (item.first, item.second) if item.better == 1 else (item.second, item.first)
        assert worse.split() == [better.split()[0], *better.split()][: len(worse.split())] and worse != better
    assert 2 <= sum(isinstance(item, Pair) and item.better == 1 for item in items) <= 10
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["failures"] == {"down": 8, "the continuation came back unchanged": 4}
    assert counts["pairs"] == 12
    assert counts["longer_is_better"] == longer_is_better([item for item in items if isinstance(item, Pair)])


@dataclass(frozen=True)
class Talker(Spoiler):
    """Says something else, or the same, and never stops."""

    other: bool = True

    def one(self, number: int, prompt: Prompt) -> str | Absent:
        shown = prompt.user.split("continuation]]\n")[1].split("\n[[")[0].removeprefix(prompt.answer_start)
        return f"{' nonsense' * self.other}{shown}{' and so on' * 40}"


def test_what_was_spoilt_is_no_longer_than_a_suffix_may_be(tiny_tokenizer: Path, tmp_path: Path):
    codec = Tokenizer(str(tiny_tokenizer)).build()
    stream = FactsStream(WORLD)
    CorruptSuffixes(stream, Tokenizer(str(tiny_tokenizer)), Talker(), documents=8).execute(tmp_path, tmp_path)
    for item in read_items(tmp_path / "pairs.jsonl").items:
        assert isinstance(item, Pair)
        assert len(codec.encode(item.first if item.better == 2 else item.second)) <= stream.suffix_length
    longer = CorruptSuffixes(stream, Tokenizer(str(tiny_tokenizer)), Talker(other=False), documents=8)
    with pytest.raises(ValueError, match="as far as it goes, it is the suffix unchanged"):
        longer.execute(tmp_path, tmp_path)


def test_how_often_the_longer_text_is_right_is_counted():
    pairs = [Pair("", "long", "s", 1), Pair("", "long", "s", 2), Pair("", "s", "long", 2), Pair("", "a", "b", 1)]
    assert longer_is_better(pairs) == (1 + 0 + 1 + 0.5) / 4


def test_nothing_spoilt_is_an_error_that_says_why(tiny_tokenizer: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"none of 24 suffixes was spoilt: \{'down': 24\}"):
        work(tiny_tokenizer, silent=True).execute(tmp_path, tmp_path)


def test_each_way_to_spoil_is_asked_for_in_its_own_words():
    asked = {flaw: CorruptPrompt(flaw).ask("A b", " c", code="0", max_new_tokens=4) for flaw in ("false", "unsafe")}
    assert "false" in asked["false"].system and "insult" in asked["unsafe"].system
    assert asked["false"].user == asked["unsafe"].user and asked["false"].answer_start == "A b"
    rewrite = RewritePrompt().ask("A b", " c", code="0", max_new_tokens=4)
    begun = asked["false"].user.rpartition("\n\n")[0]
    assert rewrite.user.rpartition("\n\n")[0] == begun and "spoilt" not in rewrite.user
