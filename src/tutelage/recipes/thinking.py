"""Thinking mid-training in the world of steps, as a study that is compared with what it must beat."""

from tutelage.evidence.thinking import ThinkingSetting, thinking_study
from tutelage.evidence.thinking.settings import SEEDS
from tutelage.study import Study


def thinking(seeds: tuple[int, ...] = SEEDS) -> Study:
    """Part 2 of 2601.21343 where thoughts help by construction: raw SFT, thought SFT, practice by RL, and controls.

    Each arm before and after RL with verifiable reward, thoughts exchanged, and a base that reasons already; the report
    holds the rows T1-T5.
    """
    return thinking_study(ThinkingSetting(), seeds)
