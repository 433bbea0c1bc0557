"""The one error of a wrong setting, and the nearest name that would have been right."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting that cannot be used; names the file, the dotted path and the remedy."""

    def __init__(self, reason: str, path: str = "", file: str = "") -> None:
        super().__init__(reason, path, file)
        self.reason = reason
        self.path = path
        self.file = file

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.reason) if part)


class NoSuchSetting(ConfigError):
    """No field has the name that an override gives."""

    def __init__(self, path: str, close: str | None) -> None:
        super().__init__(
            f"no such setting; {f'did you mean --{close}?' if close else '`--print-config` lists the settings'}",
            f"--{path}",
        )
        self.close = close
        """The setting that comes nearest, if one is near."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``name``, or ``None`` where nothing is close; one that ends in it is closest."""
    names = list(known)
    if inside := min((one for one in names if one.endswith(f".{name}")), key=len, default=None):
        return inside
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return found[0] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """``did you mean …?`` where a known name is close, else the list of the known names."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"known here: {', '.join(names) or 'nothing'}"


def shown(value: object, limit: int = 80) -> str:
    """``repr`` of a value from a file, cut to ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def joined(path: str, name: str | int) -> str:
    """The dotted path of ``name`` below ``path``."""
    return f"{path}.{name}" if path else str(name)
