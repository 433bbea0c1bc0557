"""Small pieces of work that a study can name in its file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Note:
    """Write a line, and the line that another job left, if one is named."""

    text: str
    read: str | None = None

    def execute(self, directory: Path, study: Path) -> bool:
        before = Path(self.read).read_text() if self.read else ""
        (directory / "note.txt").write_text(before + self.text)
        with (study / "order.jsonl").open("a") as file:
            file.write(json.dumps([directory.name, os.getpid()]) + "\n")
        return True


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail, unless somebody mended it."""

    def execute(self, directory: Path, study: Path) -> bool:
        if not (study / "mended").exists():
            raise ValueError("the wheel fell off")
        return True


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Say that it was asked to stop."""

    def execute(self, directory: Path, study: Path) -> bool:
        return False
