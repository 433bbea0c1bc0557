"""Where numbers go: JSON lines that can be rewound, and modules that a user may have."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tutelage.record import WriteFailed
from tutelage.study_status import last_metrics
from tutelage.trackers import JsonLines, MLflow, TensorBoard, TrackerSpec, Trackio, Wandb, read_metrics


def test_json_lines_are_appended_and_read_back(tmp_path: Path):
    path = tmp_path / "run" / "metrics.jsonl"
    first = JsonLines(path)
    first.log(1, {"loss/total": 0.1})
    first.close()
    second = JsonLines(path)
    second.log(2, {"loss/total": 1 / 3})
    assert read_metrics(path) == [{"step": 1, "loss/total": 0.1}, {"step": 2, "loss/total": 1 / 3}]
    second.close()


def test_damaged_lines_hide_neither_the_rest_nor_the_way_on(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    bad = [b'{"step": "abc"}', b'{"step": 2, "a\xff": 1}', b"\xfe\x00", b"[]", b'{"step": 1e999}', b'{"step": NaN}']
    path.write_bytes(b"\n".join([b'{"step": 1, "a": 1}', *bad, b'{"step": 3, "a": 3}']) + b"\n")
    assert read_metrics(path) == [{"step": 1, "a": 1}, {"step": 3, "a": 3}]
    assert last_metrics(path) == {"step": 3, "a": 3}
    lines = JsonLines(path)
    lines.rewind(2)
    lines.close()
    assert path.read_text() == '{"step": 1, "a": 1}\n'
    path.write_bytes(b'{"step": 1, "a": 1}\n{"a\xff": 1}\n')
    assert last_metrics(path) == {"step": 1, "a": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told_with_the_file_and_the_way_on(tmp_path: Path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    lines = JsonLines(tmp_path / "metrics.jsonl")
    with pytest.raises(WriteFailed, match=r"metrics\.jsonl .*No space left.*free space, then resume"):
        lines.log(1, {"a": 1})
    with pytest.raises(WriteFailed):
        lines.close()


def test_rewinding_drops_later_steps_and_a_torn_line(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    lines = JsonLines(path)
    for step in (1, 2, 3):
        lines.log(step, {"a": step})
    lines.close()
    with path.open("a") as file:
        file.write('{"step": 2, "a"')
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]
    again = JsonLines(path)
    again.rewind(2)
    again.log(3, {"a": 30})
    again.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "a": 1},
        {"step": 2, "a": 2},
        {"step": 3, "a": 30},
    ]


class FakeModule(ModuleType):
    """Records what it is asked to do."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*positional: Any, **named: Any) -> "FakeModule":
            self.calls.append((name, *positional, *sorted(named.items())))
            return self

        return call


CALLS = {
    "torch.utils.tensorboard": lambda d: [
        ("SummaryWriter", str(d / "tensorboard")),
        ("add_scalar", "a/b", 1.5, 7),
        ("close",),
    ],
    "trackio": lambda d: [
        ("init", ("name", "run"), ("project", "tutelage")),
        ("log", {"a/b": 1.5}, ("step", 7)),
        ("finish",),
    ],
    "wandb": lambda d: [
        ("init", ("dir", str(d)), ("mode", "offline"), ("name", "run"), ("project", "tutelage")),
        ("log", {"a/b": 1.5}, ("step", 7)),
        ("finish",),
    ],
    "mlflow": lambda d: [
        ("set_tracking_uri", (d / "mlflow").as_uri()),
        ("set_experiment", "tutelage"),
        ("start_run", ("run_name", "run")),
        ("log_metrics", {"a.b": 1.5}, ("step", 7)),
        ("end_run",),
    ],
}
SPECS: dict[str, TrackerSpec] = {
    "torch.utils.tensorboard": TensorBoard(),
    "trackio": Trackio(),
    "wandb": Wandb(),
    "mlflow": MLflow(),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_tracker_says_to_its_module_what_that_expects(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake = FakeModule(name)
    monkeypatch.setitem(sys.modules, name, fake)
    tracker = SPECS[name].build(tmp_path, "run")
    tracker.log(7, {"a/b": 1.5})
    tracker.close()
    assert fake.calls == CALLS[name](tmp_path)


@pytest.mark.parametrize("name", ["trackio", "wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_says_how_to_get_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=f"needs {name}: pip install {name}"):
        SPECS[name].build(tmp_path, "run")
