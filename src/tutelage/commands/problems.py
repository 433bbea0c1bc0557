"""What ``tutelage doctor`` finds of the phases that correct: their problems, how they are asked, their verifiers."""

from collections.abc import Iterator

from tutelage.commands.machine import Finding
from tutelage.correction import Correction
from tutelage.protocols import Codec
from tutelage.run import Run


def asked_problems(run: Run, codec: Codec) -> Iterator[Finding]:
    """What is found of every task to correct; equal ones are told once."""
    tasks: list[Correction] = []
    for phase in run.phases:
        if isinstance(phase.task, Correction) and phase.task not in tasks:
            tasks.append(phase.task)
    for task in tasks:
        yield _posed(run, task, codec)
        yield _verified(task)


def _posed(run: Run, task: Correction, codec: Codec) -> Finding:
    try:
        reader = task.open(run.seed, codec)
    except (ValueError, OSError) as error:
        return Finding("problems", "problem", str(error))
    left_out = "".join(f", {count} {name.replace('_', ' ')}" for name, count in reader.counts().items())
    verdict = "warning" if left_out else "ok"
    return Finding("problems", verdict, f"{len(reader)} to ask, at most {reader.longest} tokens each{left_out}")


def _verified(task: Correction) -> Finding:
    name = type(task.verifier).__name__
    try:
        with task.verifier.build():
            return Finding("verifier", "ok", f"{name} can be started")
    except (RuntimeError, ValueError, OSError) as error:
        return Finding("verifier", "problem", f"{name}: {error}")
