"""Small pieces of work that a study can name in its file."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tutelage.signals import asking


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


@dataclass(frozen=True, slots=True)
class Linger:
    """Go on until asked to stop, then take a second over a checkpoint; ``deaf`` goes on all the same."""

    deaf: bool = False

    def execute(self, directory: Path, study: Path) -> bool:
        with asking(lambda: None) as seen:
            (directory / "begun").touch()
            while self.deaf or not seen:
                time.sleep(0.02)
            (directory / "asked").touch()
            time.sleep(1.0)
            (directory / "checkpoint").touch()
        return False
