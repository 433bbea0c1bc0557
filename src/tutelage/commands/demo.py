"""``tutelage demo``: the proving ground, from nothing to a table and a report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.commands.choosing import known
from tutelage.commands.terminal import messages, results
from tutelage.commands.train import execute_study
from tutelage.commands.untrusted import one_line
from tutelage.study import Study

COLUMNS = {
    "factuality": "facts right",
    "safety": "safe",
    "safety_unsafe_prefix": "safe, unsafe prefix",
    "win_rate": "wins",
    "win_rate_natural": "wins, natural",
    "facts_stated": "facts stated",
    "clean_nll": "clean NLL",
}
SHARES = frozenset({"factuality", "safety", "safety_unsafe_prefix", "win_rate", "win_rate_natural"})


def demo_command(*, seeds: tuple[int, ...] | None = None, directory: Path = Path("runs/demo")) -> int:
    """Run the demo; see ``cli.Demo``."""
    recipe = known()["proving_ground"]
    study = recipe() if seeds is None else recipe(seeds=seeds)
    assert isinstance(study, Study)
    messages().print(f"The proving ground: {len(study.jobs)} jobs, {study.workers} at a time, in {directory}")
    execute_study(study, directory)
    summary = json.loads(find(directory, "summary.json").read_text(encoding="utf-8"))
    console = results()
    console.print(arms_table(summary))
    for line in gains(summary):
        console.print(line)
    console.print(f"\nThe report: {find(directory, 'report.html')}")
    job = next((job.name for job in study.jobs if job.name.startswith("online_dpo")), study.jobs[0].name)
    console.print(f"Next, read what was written and how it was judged: tutelage show {directory / job}")
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


def arms_table(summary: Mapping[str, Any]) -> Table:
    """Each arm's figures with their 95 % intervals."""
    seeds = ", ".join(map(str, summary["seeds"]))
    table = Table(title=f"After continued training, seeds {seeds}, 95 % intervals", title_justify="left")
    table.add_column("method")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, arm in summary["arms"].items():
        table.add_row(Text(one_line(name)), *(Text(_cell(key, arm.get(key))) for key in COLUMNS))
    return table


def _cell(key: str, found: Mapping[str, float] | None) -> str:
    if found is None:
        return "–"
    form = "{:.1%}" if key in SHARES else "{:.3f}"
    return f"{form.format(found['mean'])} ({form.format(found['low'])}–{form.format(found['high'])})"


def gains(summary: Mapping[str, Any]) -> list[str]:
    """What online DPO gains, in words."""
    gain = summary.get("gain", {}).get("online_dpo", {})
    closed, base = gain.get("ceiling_share", {}), gain.get("vs_base", {})
    lines: list[str] = []
    if closed:
        told = " and ".join(f"{_mean(value):.0%} of the gap in {name}" for name, value in closed.items())
        lines.append(f"\nOnline DPO closes {told} that plain next-token prediction leaves.")
    if base:
        told = ", ".join(f"{name} {_mean(value):+.1%}" for name, value in base.items() if not name.startswith("win"))
        lines.append(f"Against the base, relative: {told}.")
    return lines


def _mean(value: Any) -> float:
    """A gain is a number, or an interval around one."""
    return float(value["mean"] if isinstance(value, Mapping) else value)
