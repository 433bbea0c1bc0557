"""The directory of a run, and what to say when it is none."""

from pathlib import Path


def run_directory(path: Path) -> Path:
    """``path``, if a run is in it.

    Raises:
        ValueError: it does not exist, is a study (names its runs), or holds no run.
    """
    if (path / "run.yaml").is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"there is no directory {path}")
    runs = sorted(child.parent.name for child in path.glob("*/run.yaml"))
    if runs:
        raise ValueError(f"{path} holds several runs; name one: {', '.join(str(path / name) for name in runs[:30])}")
    raise ValueError(f"{path} holds no run (no run.yaml)")
