"""SCoRe on real problems: maths and code, from data to a table, with any instruct model or a small one made here."""

from tutelage.exporting import HELD_OUT, REWARD, ExportBest
from tutelage.problems.maths import FOLDER
from tutelage.recipes.real_problems import Book, Kind, domain
from tutelage.study import Job, Study, Train


def score_math(
    model: str | None = None, *, data: str = FOLDER, lora: bool = False, steps: int | None = None, seed: int = 0
) -> Study:
    """SCoRe on GSM8K and MATH, from data to a table of MATH-500 and GSM8K with intervals.

    ``model`` is a folder or hub name of an instruct model; without one a small model is trained on the spot on the
    training solutions: it proves the pipeline, and its figures are near zero. ``lora`` trains adapters, so that a model
    of 1.5 billion parameters fits one GPU of 24 GB. Expect of Qwen2.5-1.5B-Instruct some 61.9 → 63.9 on MATH-500, and
    as much (62.1 → 64.0) of naive multi-turn RL, as others found (docs/score.md).
    """
    return _one("math", "score_math", model, data, lora, steps, seed)


def score_code(
    model: str | None = None, *, data: str = FOLDER, lora: bool = False, steps: int | None = None, seed: int = 0
) -> Study:
    """SCoRe on MBPP, with HumanEval as test: every program runs in a sandbox.

    Parameters as those of ``score_math``.
    """
    return _one("code", "score_code", model, data, lora, steps, seed)


def score_baselines(
    model: str | None = None,
    *,
    kind: Kind = "math",
    data: str = FOLDER,
    lora: bool = False,
    steps: int | None = None,
    seed: int = 0,
) -> Study:
    """All that SCoRe is compared with on maths or code, at its own number of episodes, and SCoRe itself.

    Base, Self-Refine, STaR and STaR⁺ in three rounds, Pair-SFT and Pair-SFT⁺, single-turn and naive multi-turn RL,
    SCoRe without Stage I, without shaping, with STaR in Stage II, and on offline first attempts alone.
    """
    book = Book(kind, domain(kind, data), model, lora, steps, seed)
    arms = [*book.supervised(), *book.reinforced()]
    trained = tuple(job.name for job in arms)
    models = {"base": book.base} | {name: f"@{name}/hf" for name in trained}
    report = book.report(models, trained, refined=True)
    return Study(name="score_baselines", jobs=(*book.start(), book.collected(), *arms, report))


def _one(kind: Kind, name: str, model: str | None, data: str, lora: bool, steps: int | None, seed: int) -> Study:
    """Train, choose checkpoints by training reward and by held-out problems, examine both beside the base."""
    book = Book(kind, domain(kind, data), model, lora, steps, seed)
    train = Job("score", Train(book.run("score", book.arms()["score"])), book.after, effort=100)
    chosen = (
        Job("by_reward", ExportBest("@score/", REWARD, 20), ("score",)),
        Job("by_held_out", ExportBest("@score/", HELD_OUT, 1), ("score",)),
    )
    models = {"base": book.base, "by_reward": "@by_reward/hf", "by_held_out": "@by_held_out/hf"}
    report = book.report(models, ("by_reward", "by_held_out"))
    return Study(name=name, jobs=(*book.start(), train, *chosen, report))
