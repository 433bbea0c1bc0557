"""Code, by its tests, on a server that speaks SandboxFusion's HTTP API (``POST /run_code``)."""

import base64
import json
import secrets
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from tutelage.endpoints.client import require_address
from tutelage.episodes import Problem
from tutelage.maths.ranges import require
from tutelage.types import Abstained, Scored, Verdict
from tutelage.verifiers.keys import CodeKey
from tutelage.verifiers.outcomes import Outcome, Wanted, abstained, outcome_of, outcomes_of, wrong
from tutelage.verifiers.programs import names_of, program_form
from tutelage.verifiers.sandbox import INSIDE, Limits

CODE = "from tutelage.verifiers.inside.elsewhere import main\n\nmain()\n"
GRACE_S = 10.0
"""What a server may take beyond the limits of a check."""
STATUSES = (429, 500, 502, 503, 504)
"""Of responses that are worth another try."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Checks whole programs by the tests of their problem, on a server that speaks SandboxFusion's API."""

    url: str
    """Of the server: ``http://localhost:8080``."""
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 16
    """Most checks that are out at a time."""
    retries: int = 3
    """Further tries where the server cannot be reached or is busy; then it is an abstention."""

    def __post_init__(self) -> None:
        require_address(self.url, like="http://localhost:8080")
        require(self, "concurrency", at_least=1)
        require(self, "retries", at_least=0)

    def build(self) -> AbstractContextManager["RemoteVerifier"]:
        """A verifier that has seen that the server runs programs.

        Raises:
            RuntimeError: the server cannot be reached, or does not know right from wrong.
        """
        return self._built()

    @contextmanager
    def _built(self) -> "Generator[RemoteVerifier]":
        timeout = httpx.Timeout(self.limits.wall_s + 3 * GRACE_S, connect=GRACE_S)
        with (
            httpx.Client(base_url=self.url, timeout=timeout) as client,
            ThreadPoolExecutor(self.concurrency) as threads,
        ):
            verifier = RemoteVerifier(self, client, threads)
            verifier.try_out()
            yield verifier


class RemoteVerifier:
    """Checks programs on a server, many at a time."""

    def __init__(self, spec: Remote, client: httpx.Client, threads: ThreadPoolExecutor) -> None:
        self._spec, self._client, self._threads = spec, client, threads
        names = [path.name for path in sorted(INSIDE.glob("*.py"))]
        self._files = {
            f"tutelage/verifiers/inside/{name}": base64.b64encode((INSIDE / name).read_bytes()).decode()
            for name in names
        }

    def check(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Verdict]:
        """1 where a program passes all tests of its problem, else 0."""
        return [outcome.verdict for outcome in self.outcomes(problems, attempts)]

    def answers(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[str | None]:
        """The programs themselves, without empty lines: behaviour is not compared."""
        return [program_form(attempt, names_of(problem)) for problem, attempt in zip(problems, attempts, strict=True)]

    def outcomes(self, problems: Sequence[Problem], attempts: Sequence[str]) -> list[Outcome]:
        """As ``check``, with reasons. Equal programs for equal tests are run once."""
        return outcomes_of(problems, attempts, lambda wanted: list(self._threads.map(self._checked, wanted)))

    def try_out(self) -> None:
        """See that a right program passes and a wrong one fails.

        Raises:
            RuntimeError: it is not so.
        """
        problem = Problem("probe", "", CodeKey("assert double(2) == 4", ("double",)).text)
        programs = ["def double(x): return 2 * x", "def double(x): return x"]
        right, wrong = self.outcomes([problem] * 2, programs)
        if right.verdict != Scored(1.0) or wrong.verdict != Scored(0.0):
            said = next((v.reason for v in (right.verdict, wrong.verdict) if isinstance(v, Abstained)), right.why)
            raise RuntimeError(
                f"the sandbox at {self._spec.url} does not check programs: {said or 'it passes wrong ones'}"
            )

    def _checked(self, wanted: Wanted) -> Outcome:
        key, program = wanted
        limits, number = self._spec.limits, secrets.token_hex(16)
        job = {**asdict(key), "program": program, "wall_s": limits.wall_s, "number": number}
        request: dict[str, Any] = {
            "code": CODE,
            "language": "python",
            "files": self._files,
            "stdin": json.dumps({**job, "limits": dict(limits.of_program())}),
            "run_timeout": limits.wall_s + GRACE_S,
        }
        answer = self._asked(request)
        return answer if isinstance(answer, Outcome) else _outcome(answer, number)

    def _asked(self, request: dict[str, Any]) -> dict[str, Any] | Outcome:
        """The server's answer, or an abstention that says why there is none."""
        reason = ""
        for _ in range(self._spec.retries + 1):
            try:
                response = self._client.post("/run_code", json=request)
                if response.status_code == 200:
                    found: Any = response.json()
                    return found if isinstance(found, dict) else abstained("the sandbox sent no object")
                reason = f"the sandbox answered {response.status_code}"
                if response.status_code not in STATUSES:
                    break
            except (httpx.TransportError, ValueError) as error:
                reason = f"the sandbox cannot be asked: {type(error).__name__} {error}".rstrip()
        return abstained(reason)


def _outcome(answer: dict[str, Any], number: str) -> Outcome:
    """What the server's answer says; only an outcome with ``number`` comes from the tests."""
    result = answer.get("run_result")
    if answer.get("status") == "SandboxError" or not isinstance(result, dict):
        return abstained(f"the sandbox failed: {str(answer.get('message', ''))[:300]}")
    run: dict[str, Any] = result
    for line in str(run.get("stdout") or "").splitlines():
        said = _json(line)
        if isinstance(said, dict) and said.get("number") == number:
            return outcome_of(said)
    if run.get("status") == "TimeLimitExceeded":
        return wrong("ran into the time limit")
    code, complaint = run.get("return_code"), str(run.get("stderr") or "")[-300:]
    if code in (0, 1):  # no program can end the tests so: they do not run there
        return abstained(f"the tests cannot be run in the sandbox: {complaint}")
    return wrong(f"the tests were ended ({code}): {complaint}")


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
