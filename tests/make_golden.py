"""Twenty steps of each objective on the tiny world, in float64 on one thread.

``PYTHONPATH=src:. python -m tests.make_golden "what moved and why"`` writes ``tests/golden/*.json``, with the reason in
each; ``docs/log.md`` tells it in full, with the experiment.
"""

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from tests.tiny import LLAMA, WORLD, tiny_phase, tiny_run, train_all

from tutelage.objectives import GRPO, NTP, RFNLL, Objective, OnlineDPO
from tutelage.phases import Synced
from tutelage.run import Run
from tutelage.weights import FromConfig

FOLDER = Path(__file__).parent / "golden"
OBJECTIVES: dict[str, Objective] = {
    "ntp": NTP(),
    "rf_nll": RFNLL(ntp_weight=0.5),
    "online_dpo": OnlineDPO(ntp_weight=0.5),
    "grpo": GRPO(ntp_weight=0.5, kl_weight=0.05),
}
KEPT = ("loss/", "dpo/", "policy/", "pool/", "tokens/")


def machine() -> dict[str, str]:
    """What the last digit depends on."""
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(_cpu_info()))}
    kind = [facts.get(key, "") for key in ("model name", "cpu family", "model", "stepping")]
    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "cpu": " / ".join([*kind, platform.machine(), capability])}


def _cpu_info() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def golden_run(name: str, tokenizer: Path) -> Run:
    """Twenty steps; where candidates take part, also some documents that are not taught, and a reference that moves."""
    objective = OBJECTIVES[name]
    own: dict[str, Any] = {"sources": (), "judges": ()} if name == "ntp" else {"taught_share": 0.75}
    phase = tiny_phase(objective, 20, reference=Synced(8), **own)
    return tiny_run(tokenizer, phase, model=FromConfig("llama", LLAMA, precision="float64"))


def numbers(name: str, tokenizer: Path) -> list[dict[str, float]]:
    """The numbers of every step; as JSON they keep their last digit."""
    with tempfile.TemporaryDirectory() as directory:
        _, reports = train_all(golden_run(name, tokenizer), Path(directory))
    return [{k: float(v) for k, v in r.metrics.items() if k.startswith(KEPT)} for r in reports]


def main(reason: str) -> None:
    """Write the files anew."""
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = WORLD.write_tokenizer(Path(folder))
        for name in OBJECTIVES:
            content = {"reason": reason, "machine": machine(), "steps": numbers(name, tokenizer)}
            (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('Say what moved and why: python -m tests.make_golden "reason"')
    main(sys.argv[1])
