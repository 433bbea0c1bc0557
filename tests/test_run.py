"""What a run refuses to be."""

import math
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import plain_run

from tutelage.run import Checkpointing


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
