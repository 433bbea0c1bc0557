"""``tutelage export``: the policy of any checkpoint as a Hugging Face folder."""

from pathlib import Path

import torch

from tutelage import state
from tutelage.commands.directories import run_directory
from tutelage.commands.terminal import results
from tutelage.policy import Policy
from tutelage.quiet import hush
from tutelage.run import load_run
from tutelage.weights import load_model


def export_command(run: Path, *, step: int | None, out: Path | None, imports: tuple[str, ...] = ()) -> int:
    """Write the folder and print where; see ``cli.Export``.

    Raises:
        ValueError: there is no checkpoint of that step; says which there are.
    """
    directory = run_directory(run)
    hush()
    folder = directory / "checkpoints"
    known = state.steps(folder)
    wanted = (known[-1] if known else None) if step is None else step
    if wanted not in known:
        there = f"there are {', '.join(map(str, known))}" if known else "there is none"
        raise ValueError(f"{directory} has no checkpoint{'' if step is None else f' of step {step}'}: {there}")
    settings = load_run(directory / "run.yaml", imports)
    codec = settings.tokenizer.build()
    model = load_model(settings.model, codec, seed=settings.seed, device=torch.device("cpu"))
    snapshot = state.read(folder / f"step-{wanted:08d}")
    model.load_state_dict(dict(snapshot.tensors["policy"]))
    target = out or folder / f"step-{wanted:08d}" / "hf"
    Policy(model).save_hf(target)
    codec.save(target)
    results().print(f"{target}", soft_wrap=True)
    return 0
