"""What a run refuses to be."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import plain_run, tiny_phase, tiny_run

from tutelage.run import Checkpointing, require_context
from tutelage.stream import Corpus, TextStream


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("gradient_clip", 0.0, "above 0, not 0.0"),
        ("gradient_clip", math.inf, "above 0, not inf"),
        ("gradient_clip", math.nan, "above 0, not nan"),
        ("max_tokens_per_batch", 0, "at least 1, not 0"),
        ("sampler_rows", 0, "at least 1, not 0"),
        ("threads", 0, "at least 1, not 0"),
        ("max_abstained", 1.5, "at least 0 and at most 1, not 1.5"),
        ("max_abstained", math.nan, "at least 0 and at most 1, not nan"),
        ("max_untaught", -1, "at least 0, not -1"),
        ("name", "", "a file name of letters, digits, '.', '_' and '-', not ''"),
        ("name", "..", "a file name of letters, digits, '.', '_' and '-', not '..'"),
        ("name", "a/b", "a file name of letters, digits, '.', '_' and '-', not 'a/b'"),
        ("name", "a\n", r"a file name of letters, digits, '.', '_' and '-', not 'a\\n'"),
    ],
)
def test_a_setting_out_of_range_is_refused(field: str, value: Any, words: str):
    with pytest.raises(ValueError, match=f"^{field} must be {words}$"):
        plain_run(Path("tokenizer"), **{field: value})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("every", 0, "at least 1, not 0"),
        ("keep_last", 0, "at least 1, not 0"),
        ("keep_every", 0, "at least 1, not 0"),
        ("replay_steps", -1, "at least 0, not -1"),
    ],
)
def test_checkpoints_that_cannot_be_kept_are_refused(field: str, value: int, words: str):
    with pytest.raises(ValueError, match=f"^{field} must be {words}$"):
        Checkpointing(**{field: value})


def test_a_stream_whose_texts_the_model_cannot_take_is_refused_before_one_is_met(tiny_tokenizer: Path):
    corpus = TextStream((Corpus("books.txt"),), suffix_length=16, max_length=65)
    run = tiny_run(tiny_tokenizer, stream=corpus)
    with pytest.raises(ValueError, match=r"stream\.max_length is 65, and the model takes 64 tokens: lower it"):
        require_context(run, 64)
    inner = tiny_run(tiny_tokenizer, replace(tiny_phase(), stream=corpus))
    with pytest.raises(ValueError, match=r"phases\.0\.stream\.max_length is 65"):
        require_context(inner, 64)
    for fitting in (65, None):
        require_context(run, fitting)
