"""``tutelage plan``: tokens, calls, GPU-hours and money of a run, before anything is spent."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table
from rich.text import Text

from tutelage.commands.choosing import choose
from tutelage.commands.directories import run_directory
from tutelage.commands.failing import UsageError
from tutelage.commands.planning import Rates, RunPlan, plan_run
from tutelage.commands.teachers import is_made
from tutelage.commands.terminal import messages, results
from tutelage.commands.untrusted import one_line
from tutelage.config.mapping import parts_of
from tutelage.endpoints import Endpoint
from tutelage.maths.ranges import require
from tutelage.quiet import hush
from tutelage.run import Run, load_run
from tutelage.study import Study, Train
from tutelage.trackers import read_metrics


@dataclass(frozen=True, slots=True)
class Question:
    """What is known beforehand; the fields of ``cli.Plan``."""

    rates: tuple[str, ...] = ()
    measured: Path | None = None
    answers: tuple[str, ...] = ()
    gpu_price: float = 0.0
    bytes_per_token: float = 4.0
    json_file: Path | None = None
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self, "gpu_price", at_least=0)
        require(self, "bytes_per_token", above=0)


def plan_command(what: str, words: Sequence[str], question: Question) -> int:
    """Print the plan of a run, or of every run of a study; a tokenizer that a study makes is made beside it.

    Raises:
        StreamError: documents cannot be read.
        UsageError: no run of the study can be planned before it has begun.
    """
    hush()
    plan, rates = choose(what, words, question.imports), rates_of(question)
    with TemporaryDirectory() as folder:
        runs = [plan] if isinstance(plan, Run) else _runs(plan, Path(folder))
        planned = [plan_run(run, run.tokenizer.build(), rates) for run in runs]
    if not planned:
        raise UsageError(
            f"no run of {plan.name} can be planned before it has begun: train it until its first files are there, then "
            "plan a JOB/run.yaml of its directory"
        )
    for one in planned:
        _print(one)
    if question.json_file is not None:
        question.json_file.parent.mkdir(parents=True, exist_ok=True)
        question.json_file.write_text(json.dumps([asdict(one) for one in planned], indent=2) + "\n", "utf-8")
    return 0


def _runs(study: Study, folder: Path) -> list[Run]:
    """The study's runs; tokenizers that its first jobs make are made in ``folder``."""
    jobs, found = {job.name: job for job in study.jobs}, list[Run]()
    for job in study.jobs:
        if not isinstance(job.work, Train):
            continue
        run, path = job.work.run, job.work.run.tokenizer.path
        if is_made(path):
            name, _, rest = path.removeprefix("@").partition("/")
            if jobs[name].after:
                messages().print(
                    f"{job.name}: {name}, which makes its tokenizer, needs other jobs; plan its run.yaml later"
                )
                continue
            if not (folder / name).exists():
                messages().print(f"Making the study's {name} beside it, in a moment")
                (folder / name).mkdir()
                jobs[name].work.execute(folder / name, folder)
            run = replace(run, tokenizer=replace(run.tokenizer, path=str(folder / name / rest)))
        found.append(run)
    return found


def rates_of(question: Question) -> Rates:
    """What was measured, and what was given, which prevails.

    Raises:
        UsageError: a pair is not of the form ROLE=NUMBER.
    """
    speeds, answers = _measured(question.measured, question.imports) if question.measured else ({}, {})
    return Rates(
        {**speeds, **_pairs("rate", question.rates)},
        {**answers, **_pairs("answer", question.answers)},
        question.gpu_price,
        question.bytes_per_token,
    )


def _pairs(flag: str, given: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pair in given:
        role, equals, number = pair.partition("=")
        try:
            value = float(number) if role and equals else 0.0
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise UsageError(f"--{flag} {pair}: write a role and a number above 0, as in --{flag} judge.quality=5000")
        found[role] = value
    return found


def _measured(directory: Path, imports: tuple[str, ...]) -> tuple[dict[str, float], dict[str, float]]:
    """Tokens a second of one GPU, and the mean length of an answer, by role, from a run's metrics.

    A process that trains is taken for one GPU, and so is every server. The time of judges is divided by their servers'
    time, where a run has several.
    """
    folder = run_directory(directory)
    totals = defaultdict[str, float](float)
    for row in read_metrics(folder / "metrics.jsonl"):
        for name, value in row.items():
            totals[name] += float(value) if isinstance(value, int | float) else 0.0
    run = load_run(folder / "run.yaml", imports)
    servers = {e.role: len(e.servers) for _, e in parts_of(run.phases, Endpoint)}
    judging = sum(value for name, value in totals.items() if name.startswith("seconds/judge."))
    judges = sum(totals[f"server_seconds/{role}"] for role in servers if role.startswith("judge"))
    seconds = {"train": totals["seconds/train"], "rollout": totals["seconds/rollout"]}
    tokens = {"train": totals["tokens/trained"], "rollout": totals["tokens/sampled"]}
    if run.rollout_servers is not None:
        seconds["rollout"] *= len(run.rollout_servers.servers)
        tokens["rollout"] = totals["prompt_tokens/rollout"] + totals["answer_tokens/rollout"]
    for role, count in servers.items():
        share = totals[f"server_seconds/{role}"] / judges if judges and role.startswith("judge") else 0.0
        seconds[role] = count * (judging * share if role.startswith("judge") else totals["seconds/rewrite"])
        tokens[role] = totals[f"prompt_tokens/{role}"] + totals[f"answer_tokens/{role}"]
    speeds = {role: tokens[role] / spent for role, spent in seconds.items() if spent > 0 and tokens[role] > 0}
    sent = {role: totals[f"requests/{role}"] for role in servers}
    answers = {role: totals[f"answer_tokens/{role}"] / count for role, count in sent.items() if count}
    return speeds, {role: length for role, length in answers.items() if length}


def _print(plan: RunPlan) -> None:
    console = results()
    console.print(f"{one_line(plan.name)}: {plan.steps:,.0f} updates, {plan.documents:,.0f} documents")
    table = _table(("role", "calls", "tokens read", "tokens written", "GPU-hours", "cost"))
    for role in plan.roles:
        numbers = (f"{role.calls:,.0f}", f"{role.read:,.0f}", f"{role.written:,.0f}")
        table.add_row(*map(Text, (one_line(role.role), *numbers, _or_dash(role.gpu_hours), _or_dash(role.cost))))
    known = {"gpu_hours": [r.gpu_hours for r in plan.roles], "cost": [r.cost for r in plan.roles]}
    sums = {name: sum(v for v in values if v is not None) for name, values in known.items()}
    whole = {name: all(v is not None for v in values) for name, values in known.items()}
    told = [f"{'' if whole[n] else 'at least '}{sums[n]:,.2f}" if sums[n] else "–" for n in ("gpu_hours", "cost")]
    table.add_section()
    table.add_row(Text("together"), *(Text("") for _ in range(3)), *map(Text, told))
    console.print(table)
    if plan.schedules:
        compared = _table(("judge", "schedule", "calls a pool", "calls"))
        for one in plan.schedules:
            name = f"{one.schedule} (this run's)" if one.is_own else one.schedule
            compared.add_row(*map(Text, (one.role, name, f"{one.calls_per_pool:,.1f}", f"{one.calls:,.0f}")))
        console.print(compared)
    for note in plan.notes:
        console.print(f"Note: {one_line(note, 300)}", soft_wrap=True)
    if any(role.gpu_hours is None for role in plan.roles):
        console.print("GPU-hours need a rate: --rate ROLE=TOKENS_PER_SECOND, or --measured RUN", soft_wrap=True)


def _table(titles: Sequence[str]) -> Table:
    table = Table()
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if not number or title == "schedule" else "right", overflow="fold")
    return table


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"
