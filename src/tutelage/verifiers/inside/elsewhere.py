"""Both sides of a check on a strange machine: reads a check from standard input and prints its outcome.

Program and tests are processes of their own here too, but nothing stands between them besides. So this one closes its
memory and its files to other processes of its user, keeps to itself the number that makes an outcome valid, and writes
nothing to disk.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys

from tutelage.verifiers.inside import program
from tutelage.verifiers.inside.tests import check

SET_DUMPABLE = 4
"""Of ``prctl``: with 0, other processes of the same user may neither trace this one nor look into its /proc."""


def main() -> None:
    """Do the check."""
    job = json.loads(sys.stdin.read())
    if ctypes.CDLL(None).prctl(SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("this process cannot be closed to others")
    ours, theirs = socket.socketpair()
    root = os.path.abspath(os.path.join(os.path.dirname(program.__file__), "..", "..", ".."))
    with (
        theirs,
        subprocess.Popen(
            [sys.executable, "-S", "-s", "-B", program.__file__, json.dumps(job["limits"])],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": root, "PYTHONHASHSEED": "0"},
        ) as process,
    ):
        theirs.close()
        outcome = check(job, ours.fileno())
        process.kill()
    sys.stdout.write(json.dumps({**outcome, "number": job["number"]}) + "\n")


if __name__ == "__main__":
    main()
