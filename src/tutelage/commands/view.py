"""``tutelage view``: runs in the browser, while they go on."""

import socket
import webbrowser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tutelage.commands.terminal import results
from tutelage.view import serve
from tutelage.view.watching import WatchedRun

PORT = 8765
"""Taken where it is free and no other is asked for, so that an address can be kept."""
EVERYWHERE = ("", "0.0.0.0", "::")


def view_command(
    paths: Sequence[Path], *, host: str, port: int | None = None, names: Sequence[str] = (), browse: bool = False
) -> int:
    """Show runs until a signal asks to end; see ``cli.View``."""
    runs = watched(paths)
    own = _names(host, names)
    listening = bound(host, port)
    try:
        address = f"http://{own[0] if host in EVERYWHERE else own[-1]}:{listening.getsockname()[1]}/"
        many = f"{len(runs)} runs" if len(runs) > 1 else runs[0].name
        results().print(f"{many}: {address}  (Ctrl-C ends it)")
        if browse:
            webbrowser.open(address)
        serve(runs, listening, own)
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    return 0


def watched(paths: Sequence[Path]) -> list[WatchedRun]:
    """The runs in these directories; a study's directory stands for all of its runs.

    Raises:
        ValueError: one does not exist.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise ValueError(f"there is no directory {path}")
        inside = [] if (path / "run.yaml").is_file() else sorted(file.parent for file in path.glob("*/run.yaml"))
        for directory in inside or [path]:
            found.setdefault(directory.resolve(), directory)
    counts = Counter(resolved.name for resolved in found)
    return [
        WatchedRun(
            directory, resolved.name if counts[resolved.name] == 1 else f"{resolved.parent.name}/{resolved.name}"
        )
        for resolved, directory in found.items()
    ]


def bound(host: str, port: int | None) -> socket.socket:
    """A listening socket.

    Raises:
        ValueError: the address is not this machine's, or the port is taken.
    """
    why: Exception | None = None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in [PORT, 0] if port is None else [port]:
        try:
            return socket.create_server((host, wanted), family=family)
        except (OSError, OverflowError) as error:
            why = error
    told = f"port {port}" if port is not None else "any port"
    raise ValueError(f"cannot listen on {host}, {told} ({why}): name another --port, 0 for any that is free, or --host")


def _names(host: str, names: Sequence[str]) -> list[str]:
    """What browsers may call us besides the loopback's names.

    Raises:
        ValueError: it listens everywhere and no name was given.
    """
    if host not in EVERYWHERE:
        return [*names, f"[{host}]" if ":" in host else host]
    if not names:
        raise ValueError(
            f"--host {host} is every address of this machine, and whoever reaches it can read the runs: say with "
            "--name by which names or addresses browsers may call it"
        )
    return list(names)
