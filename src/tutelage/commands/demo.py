"""``tutelage demo``: the proving ground, from nothing to a table and a report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.commands.choosing import known
from tutelage.commands.terminal import messages, program, results
from tutelage.commands.train import execute_study
from tutelage.report import print_summary
from tutelage.study import Study


def demo_command(*, seeds: tuple[int, ...] | None = None, directory: Path = Path("runs/demo")) -> int:
    """Run the demo; see ``cli.Demo``."""
    recipe = known()["proving_ground"]
    study = recipe() if seeds is None else recipe(seeds=seeds)
    assert isinstance(study, Study)
    messages().print(f"The proving ground: {len(study.jobs)} jobs, {study.workers} at a time, in {directory}")
    execute_study(study, directory)
    summary = json.loads(find(directory, "summary.json").read_text(encoding="utf-8"))
    console = results()
    console.print(print_summary(summary))
    for line in gains(summary):
        console.print(line)
    console.print(f"\nThe report: {find(directory, 'report.html')}")
    job = next((job.name for job in study.jobs if job.name.startswith("online_dpo")), study.jobs[0].name)
    console.print("Next, read what was written and how it was judged:")
    console.print(f"  {program()} show {directory / job} --step 10", soft_wrap=True)
    return 0


def find(directory: Path, name: str) -> Path:
    """The file of that name in the study, wherever its report job put it.

    Raises:
        ValueError: there is none.
    """
    places = [directory / name, *sorted(directory.glob(f"*/{name}"))]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise ValueError(f"{directory} holds no {name}: its report was not written; run the same command again")
    return found


def gains(summary: Mapping[str, Any]) -> list[str]:
    """What online DPO gains over its base and over the control, in words."""
    gain: Mapping[str, Any] = summary.get("gain", {}).get("online_dpo", {})
    lines: list[str] = []
    closed = {name: entry["mean"] for name, entry in gain.get("ceiling_share", {}).items() if entry["mean"] is not None}
    if closed:
        told = " and ".join(f"{share:.0%} of the gap in {name}" for name, share in closed.items())
        lines.append(f"\nOnline DPO closes {told} that plain next-token prediction leaves.")
    base = {name: gain.get("vs_base", {}).get(name, {}).get("mean") for name in ("factuality", "safety")}
    if all(value is not None for value in base.values()):
        told = ", ".join(f"{name} {value:+.1%}" for name, value in base.items())
        lines.append(f"Against the base, relative: {told}.")
    return lines
