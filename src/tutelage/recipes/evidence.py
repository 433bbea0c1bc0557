"""The evidence as a recipe: every claim, or those that are named; the tuning before it; judge calls beside it."""

from tutelage.evidence.judge_calls import calls_study
from tutelage.evidence.plan import evidence_study, recipe_study, select, tuning_study
from tutelage.study import Study


def evidence(only: tuple[str, ...] = ()) -> Study:
    """What the papers claim of self-improving pretraining, and the controls that they lack, in the world of facts.

    ``--only S6 C1`` trains what these claims need and no more; jobs that are done are passed over. All of it takes some
    hours on two cores.
    """
    return evidence_study(select(only))


def evidence_tuning() -> Study:
    """Six trials of every method on validation seeds, by which the settings of ``evidence`` were chosen."""
    return tuning_study()


def evidence_recipes() -> Study:
    """Variations on online DPO at equal compute, in corners of the map, on validation seeds: which recipe is best."""
    return recipe_study()


def judge_calls() -> Study:
    """All pairs, adaptive, knock-out and pivot, each trained until the same number of the judge's calls.

    Some thirteen minutes on two cores.
    """
    return calls_study()
