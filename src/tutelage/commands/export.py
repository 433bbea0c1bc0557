"""``tutelage export``: the policy of any checkpoint as a Hugging Face folder."""

from pathlib import Path

from tutelage import state
from tutelage.commands.directories import run_directory
from tutelage.commands.failing import UsageError
from tutelage.commands.terminal import messages, results
from tutelage.exporting import best_step, export_checkpoint
from tutelage.quiet import hush


def export_command(
    run: Path,
    *,
    step: int | None,
    out: Path | None,
    best: str | None = None,
    window: int = 20,
    imports: tuple[str, ...] = (),
) -> int:
    """Write the folder and print where; see ``cli.Export``.

    Raises:
        ValueError: there is no checkpoint of that step, or none with that metric; says which there are.
    """
    directory = run_directory(run)
    hush()
    if best is not None:
        if step is not None:
            raise UsageError("--best chooses the step: leave --step out")
        step, means = best_step(directory, best, window)
        told = ", ".join(f"step {n}: {mean:.4g}" for n, mean in means.items())
        messages().print(f"{best}, mean over {window} steps: {told}", soft_wrap=True)
    folder = directory / "checkpoints"
    known = state.steps(folder)
    wanted = (known[-1] if known else None) if step is None else step
    if wanted not in known:
        there = f"there are {', '.join(map(str, known))}" if known else "there is none"
        raise ValueError(f"{directory} has no checkpoint{'' if step is None else f' of step {step}'}: {there}")
    assert wanted is not None
    target = out or folder / f"step-{wanted:08d}" / "hf"
    export_checkpoint(directory, wanted, target, imports)
    results().print(f"{target}", soft_wrap=True)
    return 0
