"""Where commands write: results to standard output, progress and messages to standard error, by rank 0 alone."""

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console


def is_first() -> bool:
    """Whether this process speaks for all."""
    return int(os.environ.get("RANK", "0")) == 0


def results() -> Console:
    """What the user asked for. Markup is off: text from outside must not be read as such."""
    return Console(quiet=not is_first(), markup=False, highlight=False, emoji=False)


def messages() -> Console:
    """What is said meanwhile."""
    return Console(stderr=True, quiet=not is_first(), markup=False, highlight=False, emoji=False)


def program() -> str:
    """How this program is called again from here: by its bare name only where the shell would find it."""
    own, found = Path(sys.argv[0]), shutil.which("tutelage")
    if found is not None and (own.name != "tutelage" or Path(found).resolve() == own.resolve()):
        return "tutelage"
    return str(own) if own.name == "tutelage" else "python -m tutelage"
