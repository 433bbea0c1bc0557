"""A program that tries what a sandbox must not allow, run each time before a policy's programs are."""

from tutelage.verifiers.keys import CodeKey

PROBE = """
import os, socket

def tried(name, act):
    try:
        act()
    except (OSError, ValueError, RuntimeError, AttributeError):
        return []
    return [name]

def write(path):
    with open(path, "w") as file:
        file.write("x")

def leaks():
    found = []
    found += tried("a network", lambda: socket.create_connection(("192.0.2.1", 9), timeout=0.1))
    found += tried("sockets", lambda: socket.socket())
    found += tried("another process", lambda: os._exit(0) if os.fork() == 0 else None)
    found += tried("writing to /", lambda: write("/x"))
    found += tried("writing to the libraries", lambda: write(os.__file__))
    found += [path for path in OUTSIDE if os.path.exists(path)]
    found += [f"the variable {name}" for name in sorted(set(os.environ) - KNOWN)]
    found += [f"{len(os.listdir('/tmp'))} files of others"] if os.listdir("/tmp") else []
    found += ["the user's id"] if os.getuid() != 65534 else []
    return found

OUTSIDE = ("/proc/self", "/sys/kernel", "/etc/passwd", "/var/log", "/run", "/dev")
KNOWN = {"PYTHONHOME", "PYTHONPATH", "PYTHONHASHSEED", "LANG", "PATH", "HOME", "PWD", "LC_CTYPE"}
"""

PROBE_KEY = CodeKey(
    "found = leaks()\nassert found == [], 'a program reaches ' + ', '.join(map(str, found))", ("leaks",)
)
