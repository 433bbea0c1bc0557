"""Which settings an objective refuses."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tutelage.objectives import GRPO, RFNLL, SFT, JudgeFreeDPO, OnlineDPO


@pytest.mark.parametrize(
    ("objective", "field", "value", "words"),
    [
        (SFT, "ntp_weight", -0.5, "at least 0, not -0.5"),
        (RFNLL, "ntp_weight", math.nan, "at least 0, not nan"),
        (RFNLL, "min_gap", math.inf, "at least 0, not inf"),
        (RFNLL, "min_comparisons", -1, "at least 0, not -1"),
        (OnlineDPO, "beta", 0.0, "above 0, not 0.0"),
        (OnlineDPO, "beta", math.inf, "above 0, not inf"),
        (OnlineDPO, "label_smoothing", 0.5, "at least 0 and below 0.5, not 0.5"),
        (OnlineDPO, "nll_weight", -1.0, "at least 0, not -1.0"),
        (OnlineDPO, "ntp_weight", math.nan, "at least 0, not nan"),
        (OnlineDPO, "min_gap", math.nan, "at least 0, not nan"),
        (OnlineDPO, "min_comparisons", -1, "at least 0, not -1"),
        (JudgeFreeDPO, "beta", -0.1, "above 0, not -0.1"),
        (JudgeFreeDPO, "label_smoothing", -0.1, "at least 0 and below 0.5, not -0.1"),
        (JudgeFreeDPO, "nll_weight", math.inf, "at least 0, not inf"),
        (JudgeFreeDPO, "ntp_weight", -1.0, "at least 0, not -1.0"),
        (GRPO, "clip_low", 1.5, "above 0 and at most 1, not 1.5"),
        (GRPO, "clip_low", 0.0, "above 0 and at most 1, not 0.0"),
        (GRPO, "clip_high", math.inf, "above 0, not inf"),
        (GRPO, "kl_weight", -0.1, "at least 0, not -0.1"),
        (GRPO, "ntp_weight", math.nan, "at least 0, not nan"),
        (GRPO, "constant_length", 0, "at least 1, not 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(objective: Callable[..., Any], field: str, value: float, words: str):
    with pytest.raises(ValueError, match=f"^{field} must be {words}$"):
        objective(**{field: value})
