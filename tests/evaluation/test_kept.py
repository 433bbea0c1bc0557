from pathlib import Path

import pytest

from tutelage.evaluation import Kept, key_of


def test_what_was_kept_is_there_again_and_a_torn_line_is_not(tmp_path: Path):
    file = tmp_path / "deep" / "kept.jsonl"
    Kept(file).put({"a": [1, None, "é\u2028"], "b": 0.1})
    with file.open("a") as out:
        out.write('["c", "half of a li')
    again = Kept(file)
    assert again["a"] == [1, None, "é\u2028"] and again["b"] == 0.1 and "c" not in again
    again.put({"d": "behind the torn line"})
    last = Kept(file)
    assert last["d"] == "behind the torn line" and "a" in last and "c" not in last


def test_what_is_missing_is_made_once_and_kept_block_by_block(tmp_path: Path):
    file, blocks = tmp_path / "kept.jsonl", list[list[int]]()

    def make(block: list[int]) -> list[int]:
        blocks.append(block)
        if 5 in block:
            raise KeyboardInterrupt
        return [10 * one for one in block]

    kept = Kept(file)
    kept.put({"b": 0})
    assert kept.filled(["a", "b", "a", "c", "d"], [1, 2, 1, 3, 4], make, block=2) == [10, 0, 10, 30, 40]
    assert blocks == [[1, 3], [4]]
    with pytest.raises(KeyboardInterrupt):
        kept.filled(["e", "f"], [6, 5], make, block=1)
    assert Kept(file)["e"] == 60 and "f" not in Kept(file)


def test_keys_tell_apart_what_differs_and_nothing_else():
    assert key_of("a", 1, ("x", "y")) == key_of("a", 1, ["x", "y"])
    assert len({key_of("a", 1), key_of("a", "1"), key_of("a", 1.5), key_of("a1")}) == 4
    assert key_of({"b": 1, "a": 2}) == key_of({"a": 2, "b": 1})
