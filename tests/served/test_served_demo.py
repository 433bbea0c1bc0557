"""The demo's loop against real servers: a trained teacher judges and rewrites, pushed weights are sampled from.

Runs where ``make peers`` has installed vLLM, or where TUTELAGE_VLLM names a Python that has it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import served_demo
from benchmarks.vllm_server import vllm_python

from tutelage.endpoints import LEDGER, forget
from tutelage.trackers import read_metrics

STEPS = 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not vllm_python().exists(), reason="vLLM is not installed (make peers)"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[served_demo.Made, str, str]]:
    folder = tmp_path_factory.mktemp("served")
    made = served_demo.prepare(folder, teacher_steps=150, base_steps=60)
    one, other = served_demo.servers(made, folder)
    with one, other:
        yield made, one.ready().url, other.ready().url
        forget()
        LEDGER.__init__()


def test_the_demos_loop_runs_with_its_teachers_and_rollouts_on_servers(
    places: tuple[served_demo.Made, str, str], tmp_path: Path
):
    found = served_demo.play(*places, tmp_path, STEPS)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert len(rows) == STEPS and found["weights_pushed"] == STEPS
    assert found["judged"] > 0 and found["rewritten"] > 0
    asked = sum(row["requests/judge.quality"] for row in rows)
    assert asked > 0 and sum(row["requests/rollout"] for row in rows) == STEPS * 8 * 4
    # Half of the quality verdicts may be missing after so short a training of the judge, or the run would have stopped.
    assert found["abstained"] <= found["judged"]


def test_what_a_teacher_that_learnt_a_little_says_can_be_read(places: tuple[served_demo.Made, str, str]):
    _, teacher, _ = places
    found = served_demo.examine(teacher, items=40, injections=20)
    # Its verdicts are right after some 900 steps (make check-teachers); after these it knows their form.
    assert min(found[task]["parse_rate"] for task in ("quality", "safety")) > 0.8
    assert found["rewrite"]["answered"] > 0.9
    assert found["quality"]["questions"] == 80 and found["quality"]["injected"]["texts"] == 20
