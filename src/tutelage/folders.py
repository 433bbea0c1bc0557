"""The name of a model or tokenizer in the settings: a folder here, or a name on the Hugging Face hub."""

import re
from pathlib import Path

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def is_missing(name: str) -> bool:
    """Whether ``name`` can only be a folder, and there is none; a file is none either.

    A name on the hub has at most one slash. One that leads into a folder that is here, as ``runs/judge`` may, is not
    looked for there: that would answer a slip of the pen with a question to the network.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return False
    return folder.is_file() or _HUB_NAME.fullmatch(name) is None or ("/" in name and folder.parent.is_dir())
