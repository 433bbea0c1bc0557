"""From contrasts to verdicts: a claim is reproduced where every contrast that it requires lies where it must."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from tutelage.evidence.claims import Claim, Contrast
from tutelage.maths.statistics import Interval
from tutelage.report.estimates import Estimate, interval


@runtime_checkable
class Contrasted(Protocol):
    """Figures of arms that contrasts can be taken of."""

    def contrast(self, test: Contrast) -> Estimate:
        """The weighted sum over arms, paired."""
        ...

    def count(self, test: Contrast) -> int:
        """Seeds that it is over."""
        ...


def row(claim: Claim, figures: Contrasted, command: str) -> dict[str, Any]:
    """A claim with its verdict; ``ours`` is the first test's contrast, ``command`` has a place for the claim's id."""
    tests = [_tested(test, figures) for test in claim.tests]
    failed = [test for test in tests if test["required"] and not test["holds"]]
    first = tests[0]
    return {
        "claim": claim.id,
        "text": claim.text,
        "theirs": claim.theirs,
        "ours": {**{name: first[name] for name in ("mean", "low", "high")}, "seeds": figures.count(claim.tests[0])},
        "verdict": "not reproduced" if failed else "reproduced",
        "why": "; ".join(_said(test) for test in failed) or "every required contrast lies where it must",
        "command": command.format(id=claim.id),
        "tests": tests,
    }


def _tested(test: Contrast, figures: Contrasted) -> dict[str, Any]:
    found = interval(figures.contrast(test))
    return {
        "text": test.text,
        "measure": test.measure,
        "mean": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "expect": test.expect,
        "bound": test.bound,
        "required": test.required,
        "holds": found is not None and holds(test, found),
    }


def holds(test: Contrast, found: Interval) -> bool:
    """Whether the interval lies where the test wants it."""
    match test.expect:
        case "above":
            return found.low > test.bound
        case "below":
            return found.high < test.bound
        case "not_above":
            return found.low <= test.bound


def _said(test: Mapping[str, Any]) -> str:
    if test["mean"] is None:
        return f"{test['text']} is not defined"
    fault = "above" if test["expect"] == "not_above" else f"not {test['expect']}"
    bound = f"{test['bound']:.3g}"
    return f"{test['text']} is {test['mean']:.3f} [{test['low']:.3f}, {test['high']:.3f}], {fault} {bound}"
