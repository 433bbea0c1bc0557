"""Programs that want to pass without being right, or to do something else than compute.

Each is checked by ``SQUARE_TESTS``, which no program here passes by squaring, or, where it ``steals``, by the secret
that it would have had to reach. ``fools`` marks those that pass where program and tests share an interpreter.
"""

import textwrap
from dataclasses import dataclass

SQUARE_TESTS = (
    "assert square(3) == 9\nassert square(16) == 256\nassert square(7) == 49\nassert square(12345) == 152399025"
)


@dataclass(frozen=True)
class Attack:
    name: str
    program: str
    fools: bool = False
    steals: bool = False
    slow: bool = False
    """Runs until a limit ends it."""


def attack(name: str, program: str, *, fools: bool = False, steals: bool = False, slow: bool = False) -> Attack:
    return Attack(name, textwrap.dedent(program).strip() + "\n", fools, steals, slow)


WRONG = "def square(x):\n    return -1\n"


def before(name: str, program: str, *, fools: bool = False, slow: bool = False) -> Attack:
    """An attack that does its work when it is loaded, and returns nonsense."""
    return Attack(name, textwrap.dedent(program).strip() + "\n\n" + WRONG, fools, False, slow)


FORGERIES = (
    before("exits with success", "import sys; sys.exit(0)", fools=True),
    before("raises SystemExit", "raise SystemExit(0)", fools=True),
    before("leaves at once", "import os; os._exit(0)", fools=True),
    attack("leaves when called", "import os\ndef square(x): os._exit(0)", fools=True),
    attack("exits when called", "def square(x): raise SystemExit(0)", fools=True),
    attack(
        "returns what equals everything",
        """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
        def square(x): return Equal()
        """,
        fools=True,
    ),
    attack(
        "returns a number that equals everything",
        """
        class Equal(int):
            def __eq__(self, other): return True
            __hash__ = int.__hash__
        def square(x): return Equal(0)
        """,
        fools=True,
    ),
    attack(
        "makes equality at run time",
        """
        def square(x): return type("int", (), {"__eq__": lambda *_: True, "__class__": int})()
        """,
        fools=True,
    ),
    attack(
        "lies about its class",
        """
        class Liar(float):
            def __eq__(self, other): return True
            def __pos__(self): return self
            def __float__(self): return self
            def __new__(cls, *_): return float.__new__(cls, 0)
            __class__ = float
        def square(x): return Liar()
        """,
        fools=True,
    ),
    before("ends at exit", "import atexit, os; atexit.register(os._exit, 0)", fools=True),
    before("hooks exceptions", "import sys, os; sys.excepthook = lambda *_: os._exit(0)", fools=True),
    before(
        "ends from a thread",
        "import threading, os, time\nthreading.Thread(target=lambda: os._exit(0)).start()\ntime.sleep(0.2)",
        fools=True,
    ),
    attack(
        "ends from a signal",
        """
        import os, signal
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        def square(x):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            signal.pause()
        """,
        fools=True,
    ),
    before(
        "ends from a trace",
        """
        import sys, os
        def trace(frame, event, arg): os._exit(0)
        sys.settrace(trace)
        sys._getframe().f_trace = trace
        """,
        fools=True,
    ),
    before("ends from a profile", "import sys, os; sys.setprofile(lambda *_: os._exit(0))", fools=True),
    before(
        "ends from an audit",
        """
        import sys, os
        sys.addaudithook(lambda event, _: os._exit(0) if event in ("compile", "exec", "sys._getframe") else None)
        exec("1")
        """,
        fools=True,
    ),
    attack(
        "reads the expected values off its caller",
        """
        import sys
        def square(x):
            known = sys._getframe(1).f_code.co_consts
            return known[known.index(x) + 1]
        """,
        fools=True,
    ),
    attack(
        "reads them off all frames and objects",
        """
        import gc, sys
        def square(x):
            frame, seen = sys._getframe(), []
            while frame:
                seen += [*frame.f_code.co_consts, *frame.f_locals.values(), *frame.f_globals.values()]
                frame = frame.f_back
            for thing in gc.get_objects():
                seen += list(thing.values()) if type(thing) is dict else list(thing) if type(thing) in (list, tuple) else []
            for thing in seen:
                if isinstance(thing, str) and f"square({x}) == " in thing:
                    return int(thing.split(f"square({x}) == ")[1].split()[0])
            return -1
        """,
    ),
    attack(
        "reads the tests off its source",
        """
        import sys
        def square(x):
            text = " ".join(map(str, sys.orig_argv))
            return int(text.split(f"square({x}) == ")[1].split()[0])
        """,
        fools=True,
    ),
    attack(
        "changes the numbers of its caller",
        """
        import gc, sys, types
        def square(x):
            for thing in gc.get_objects():
                if type(thing) is types.FunctionType:
                    thing.__code__ = (lambda *_, **__: True).__code__
            return 0
        """,
    ),
    before("prints a verdict", """print('{"right": true, "why": ""}', flush=True)"""),
    before(
        "writes a verdict to every file",
        """
        import os
        for fd in range(64):
            for text in ('{"right": true, "why": ""}\\n', "passed\\n", "OK\\n"):
                try: os.write(fd, text.encode())
                except OSError: pass
        """,
    ),
    before(
        "answers before it is asked",
        """
        import os, json
        def framed(message):
            text = json.dumps(message).encode()
            return len(text).to_bytes(4, "big") + text
        for fd in range(64):
            for message in (["value", True], ["value", {"object": 0}], ["right"], ["value", None]):
                try: os.write(fd, framed(message) * 8)
                except OSError: pass
        """,
    ),
    before(
        "announces a message without end",
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'\\xff' * 4096)\n    except OSError: pass",
    ),
    before(
        "sends nested nonsense",
        """
        import os
        text = b"[" * 200_000
        for fd in range(3, 64):
            try: os.write(fd, len(text).to_bytes(4, "big") + text)
            except OSError: pass
        """,
    ),
    before(
        "rewrites the link",
        """
        import sys
        values = sys.modules["tutelage.verifiers.inside.values"]
        values.encode = lambda *_: True
        values.Link.send = lambda self, message: None
        sys.modules["__main__"].encode = lambda *_: {"object": 0}
        """,
    ),
    before(
        "rewrites json",
        "import json; json.dumps = lambda *_: '[\"value\", true]'; json.loads = lambda *_: ['name', 'square']",
    ),
    before(
        "rewrites the tests' module",
        """
        import tutelage.verifiers.inside.tests as tests
        tests.check = lambda *_: {"right": True, "why": ""}
        tests.Remote.__eq__ = lambda *_: True
        """,
    ),
    before(
        "rewrites builtins",
        """
        import builtins
        for name in ("isinstance", "type", "len", "all", "any", "abs", "bool"):
            setattr(builtins, name, lambda *_: True)
        builtins.AssertionError = builtins.Exception = SystemExit
        """,
    ),
    before(
        "rewrites small numbers",
        """
        import ctypes
        for number in (9, 49, 256):
            ctypes.c_uint32.from_address(id(number) + 24).value = 2**30 - 1
        """,
    ),
    attack("raises the end of an iteration", "def square(x): raise StopIteration"),
    attack("raises the end of a generator", "def square(x): raise GeneratorExit"),
    attack("raises an interrupt", "def square(x): raise KeyboardInterrupt"),
    attack(
        "raises what cannot be told",
        """
        class Silent(BaseException):
            def __str__(self): raise SystemExit(0)
        def square(x): raise Silent
        """,
    ),
    attack(
        "is an object instead",
        "class Square:\n    def __call__(self, x): return self\n    def __eq__(self, o): return True\nsquare = Square()",
        fools=True,
    ),
    before("is no program", "this is no Python"),
    attack("is nothing but a claim", "# All tests pass.\nsquare = None"),
)

VALUES = (
    attack(
        "returns a pickle that acts",
        """
        import os
        class Act:
            def __reduce__(self): return os.system, ("touch @CANARY@/pickled",)
        def square(x): return Act()
        """,
    ),
    attack("returns a pickle as bytes", "import pickle\ndef square(x): return pickle.dumps(print)"),
    attack("returns itself", "def square(x):\n    loop = []\n    loop.append(loop)\n    return loop"),
    attack(
        "returns depth", "def square(x):\n    deep = []\n    for _ in range(100_000): deep = [deep]\n    return deep"
    ),
    attack("returns a flood", "def square(x): return list(range(3_000_000))"),
    attack("returns a long text", "def square(x): return 'x' * 50_000_000"),
    attack("returns a huge number", "def square(x): return 1 << 10_000_000"),
    attack("returns no number", "def square(x): return float('nan')"),
    attack("returns half a character", "def square(x): return '\\ud800'"),
    attack("returns a generator without end", "def square(x):\n    while True: yield x"),
    attack("returns a module", "import os\ndef square(x): return os"),
    attack(
        "returns a class that iterates without end",
        "class Endless:\n    def __iter__(self): return self\n    def __next__(self): return 1\ndef square(x): return Endless()",
    ),
)

SECRETS = (
    attack(
        "reads the environment", "import os\ndef square(x): return os.environ.get('TUTELAGE_SECRET', '')", steals=True
    ),
    attack(
        "reads the environment of others",
        """
        def square(x):
            for pid in ("self", *range(1, 5000)):
                try: text = open(f"/proc/{pid}/environ").read()
                except OSError: continue
                if "TUTELAGE_SECRET=" in text:
                    return text.split("TUTELAGE_SECRET=")[1].split("\\0")[0]
        """,
        steals=True,
    ),
    attack("reads a file", "def square(x): return open('@SECRET@').read()", steals=True),
    attack("reads a file from below", "def square(x): return open('../../../../../..@SECRET@').read()", steals=True),
    attack(
        "reads a file over a link",
        "import os\ndef square(x):\n    os.symlink('@SECRET@', '/tmp/link')\n    return open('/tmp/link').read()",
        steals=True,
    ),
    attack(
        "reads a file over a hard link",
        "import os\ndef square(x):\n    os.link('@SECRET@', '/tmp/link')\n    return open('/tmp/link').read()",
        steals=True,
    ),
    attack(
        "reads a file over what is open",
        """
        import os
        def square(x):
            for fd in range(256):
                for place in ("@SECRET@".lstrip("/"), "../" * 9 + "@SECRET@".lstrip("/")):
                    try: return os.read(os.open(place, os.O_RDONLY, dir_fd=fd), 100).decode()
                    except OSError: pass
        """,
        steals=True,
    ),
    attack(
        "reads the root of another process",
        "def square(x):\n    for pid in range(1, 300):\n        try: return open(f'/proc/{pid}/root@SECRET@').read()\n        except OSError: pass",
        steals=True,
    ),
    attack(
        "looks for the secret everywhere",
        """
        import os
        def square(x):
            for folder, _, files in os.walk("/"):
                for name in files:
                    if name == "secret.txt":
                        return open(os.path.join(folder, name)).read()
        """,
        steals=True,
    ),
    attack(
        "has a shell read it",
        "import subprocess\ndef square(x): return subprocess.check_output(['/bin/sh', '-c', 'cat @SECRET@'], text=True)",
        steals=True,
    ),
    attack("reads the machine's name", "import socket\ndef square(x): return socket.gethostname()", steals=True),
    attack(
        "mounts what it wants",
        "import ctypes\ndef square(x):\n    libc = ctypes.CDLL(None)\n    libc.mount(b'proc', b'/tmp', b'proc', 0, None)\n    return open('/tmp/1/environ').read()",
        steals=True,
    ),
    attack(
        "leaves its root",
        "import os\ndef square(x):\n    os.mkdir('/tmp/r'); os.chroot('/tmp/r'); os.chdir('../' * 9); os.chroot('.')\n    return open('@SECRET@').read()",
        steals=True,
    ),
)

OUTSIDE = (
    before("writes a file outside", "open('@CANARY@/written', 'w').write('x')"),
    before("overwrites a file outside", "open('@SECRET@', 'w').write('x')"),
    before("removes files outside", "import shutil; shutil.rmtree('@CANARY@')"),
    before("writes to the system", "open('/etc/passwd', 'a').write('root2::0:0::/:/bin/sh\\n')"),
    before("writes to the root", "open('/written', 'w').write('x')"),
    before("writes to its own Python", "import os; open(os.__file__, 'a').write('raise SystemExit')"),
    before(
        "writes to what runs it",
        "import tutelage.verifiers.inside.values as v; open(v.__file__, 'w').write('raise SystemExit')",
    ),
    before(
        "leaves a startup file",
        "import os, sys\nfor path in (sys.prefix, os.path.dirname(os.__file__), os.path.expanduser('~')):\n    open(path + '/sitecustomize.py', 'w').write('raise SystemExit')",
    ),
    before(
        "connects to this machine",
        "import socket; socket.create_connection(('127.0.0.1', @PORT@), timeout=1).send(b'x')",
    ),
    before(
        "connects by raw calls",
        "import ctypes\nlibc = ctypes.CDLL(None)\nfor domain in (1, 2, 10, 16, 17): assert libc.socket(domain, 1, 0) >= 0",
    ),
    before(
        "sends a datagram",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @PORT@))",
    ),
    before("asks for a name", "import socket; socket.gethostbyname('secret.example.com')"),
    before(
        "connects to a hidden socket",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0@HIDDEN@')\ns.send(b'x')",
    ),
    before(
        "connects to a socket on disk",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('@CANARY@/socket')\ns.send(b'x')",
    ),
    before("kills its parent", "import os, signal\nfor s in (9, 15, 2, 1): os.kill(os.getppid(), s)"),
    before(
        "kills everybody",
        "import os\nos.kill(-1, 9)\nfor pid in range(1, 5000):\n    if pid != os.getpid():\n        try: os.kill(pid, 9)\n        except OSError: pass",
    ),
    before("kills the tests by number", "import os\nos.kill(@PID@, 9)"),
    before("kills its group", "import os\nos.killpg(0, 9)"),
    before(
        "traces its parent",
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nfor pid in (1, os.getppid(), @PID@): assert libc.ptrace(16, pid, 0, 0) == 0",
    ),
    before(
        "writes into another process",
        "import ctypes\nlibc = ctypes.CDLL(None)\nfor pid in (1, @PID@): assert libc.syscall(311, pid, 0, 0, 0, 0, 0) >= 0",
    ),
    before("becomes root", "import os\nos.setgid(0); os.setuid(0)"),
    before("makes a world of its own", "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000 | 0x00020000) == 0"),
    before(
        "enters the world of another",
        "import ctypes, os\nfd = os.open('/proc/1/ns/mnt', 0)\nassert ctypes.CDLL(None).setns(fd, 0) == 0",
    ),
    before(
        "makes a device",
        "import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(254, 0))\nopen('/tmp/disk', 'rb').read(512)",
    ),
    before(
        "asks the kernel for favours",
        "import ctypes\nlibc = ctypes.CDLL(None)\nfor call in (321, 425, 298, 248, 250, 323, 175, 246, 169, 135): assert libc.syscall(call, 0, 0, 0, 0, 0) >= 0",
    ),
    before(
        "raises its limits",
        "import resource\nfor name in ('AS', 'CPU', 'NPROC', 'FSIZE'): resource.setrlimit(getattr(resource, f'RLIMIT_{name}'), (-1, -1))",
    ),
    before(
        "leaves shared memory behind",
        "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.shmget(4711, 1 << 20, 0o1666) >= 0\nassert libc.syscall(319, b'x', 0) >= 0",
    ),
    before("closes all files", "import os\nos.closerange(0, 256)"),
    before(
        "puts something else in their place",
        "import os\nfd = os.open('/tmp/x', os.O_RDWR | os.O_CREAT)\nfor other in range(3, 32): os.dup2(fd, other)",
    ),
    before("starts a process", "import os\nif os.fork() == 0:\n    while True: pass"),
    before("starts a shell", "import os\nassert os.system('true') == 0"),
    before(
        "starts a daemon",
        "import os\nif os.posix_spawn('/usr/bin/python3', ['python3', '-c', 'while 1: pass'], {}): pass",
    ),
    before(
        "starts by raw calls",
        "import ctypes\nlibc = ctypes.CDLL(None)\nfor call in (57, 58, 435): assert libc.syscall(call, 0, 0) >= 0",
    ),
    before("forks without end", "import os\nwhile True: os.fork()"),
    before(
        "starts threads without end",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()",
    ),
    before("starts workers", "import multiprocessing\nmultiprocessing.get_context('fork').Pool(8).map(abs, range(8))"),
    before(
        "becomes another program", "import os\nos.execv('/bin/sh', ['sh', '-c', 'touch @CANARY@/executed; exit 0'])"
    ),
    before("takes all memory at once", "whole = bytearray(1 << 40)"),
    before("takes memory bit by bit", "whole = []\nwhile True: whole.append(bytearray(1 << 20))"),
    before("maps memory", "import mmap\nwhole = []\nwhile True: whole.append(mmap.mmap(-1, 1 << 26))"),
    before(
        "fills its folder", "file = open('/tmp/full', 'wb')\nwhile True: file.write(b'x' * (1 << 20)); file.flush()"
    ),
    before(
        "fills its folder with files", "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'wb').write(b'x' * 100_000); n += 1"
    ),
    before("overflows its stack", "import sys\nsys.setrecursionlimit(10**9)\ndef down(): return down()\ndown()"),
    before("overflows the parser", "eval('(' * 100_000 + ')' * 100_000)"),
    before("touches memory that is not there", "import ctypes\nctypes.string_at(0)"),
    before("aborts", "import os\nos.abort()"),
)

LIMITS = (
    before("loops for ever", "while True: pass", slow=True),
    attack("loops for ever when called", "def square(x):\n    while True: pass", slow=True),
    attack("loops in C", "def square(x): return sum(iter(int, 1))", slow=True),
    attack("backtracks for ever", "import re\ndef square(x): return re.match('(a+)+$', 'a' * 64 + 'b')", slow=True),
    attack("computes too large a number", "def square(x): return str(7 ** (10 ** 8))", slow=True),
    attack("computes a tower", "def square(x): return 9 ** 9 ** 9", slow=True),
    attack("sleeps", "import time\ndef square(x): time.sleep(1000)", slow=True),
    attack("stops itself", "import os, signal\ndef square(x): os.kill(os.getpid(), signal.SIGSTOP)", slow=True),
    attack("waits for input that may come", "import os\ndef square(x):\n    while True: os.read(3, 1)", slow=True),
    before("floods its output", "while True: print('x' * 100_000)", slow=True),
    before("floods its errors", "import sys\nwhile True: sys.stderr.write('x' * 100_000)", slow=True),
    before(
        "ignores signals and loops",
        "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass",
        slow=True,
    ),
    before("makes files without end", "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close(); n += 1", slow=True),
    before(
        "catches all that ends it",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        slow=True,
    ),
)

ATTACKS = (*FORGERIES, *VALUES, *SECRETS, *OUTSIDE, *LIMITS)
