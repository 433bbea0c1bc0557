"""The filter of system calls in a sandbox, compiled by libseccomp.

Namespaces and limits hold a program already; the filter takes away what could be turned against them, and processes and
threads altogether, so that the memory limit of the one process is the memory limit of the sandbox.
"""

import ctypes
import ctypes.util
import errno
import tempfile
from collections.abc import Mapping

ALLOW, REFUSE = 0x7FFF0000, 0x00050000
PROCESSES = ("clone", "fork", "vfork", "clone3")
NETWORK = ("socket", "connect", "bind", "listen", "accept", "accept4")
OTHERS = ("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_open", "pidfd_getfd", "kcmp")
MOUNTS = (
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "move_mount", "open_tree", "fsopen", "fsmount"),
    *("fsconfig", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat"),
)
MEMORY = (
    *("memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "shmdt", "msgget", "semget", "mq_open", "vmsplice"),
    "userfaultfd",
)
KERNEL = (
    *("bpf", "perf_event_open", "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("swapon", "swapoff", "acct", "quotactl", "personality", "modify_ldt", "iopl", "ioperm", "syslog", "settimeofday"),
    *("clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "fanotify_init", "inotify_init"),
    *("inotify_init1", "lookup_dcookie", "nfsservctl"),
)
REFUSED: Mapping[str, int] = {
    **dict.fromkeys((*PROCESSES, *NETWORK, *OTHERS, *MOUNTS, *MEMORY, *KERNEL), errno.EPERM),
    "clone3": errno.ENOSYS,  # libc then falls back to clone, and reports what that says
}
"""System calls that are answered by an error."""


class SeccompMissing(RuntimeError):
    """There is no libseccomp, or it cannot compile the filter."""


def compile_filter() -> bytes:
    """The filter as ``bwrap --seccomp`` reads it.

    Raises:
        SeccompMissing: libseccomp is not installed, or fails.
    """
    name = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise SeccompMissing("libseccomp is missing (Debian, Ubuntu: apt-get install libseccomp2)") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    context = library.seccomp_init(ctypes.c_uint32(ALLOW))
    if not context:
        raise SeccompMissing("libseccomp cannot make a filter on this machine")
    try:
        for call, error in REFUSED.items():
            number = library.seccomp_syscall_resolve_name(call.encode())
            # Negative: not known to this version, or not on this processor.
            if number >= 0 and library.seccomp_rule_add(context, REFUSE | error, number, 0) != 0:
                raise SeccompMissing(f"libseccomp cannot refuse {call}")
        with tempfile.TemporaryFile() as out:
            if library.seccomp_export_bpf(context, out.fileno()) != 0:
                raise SeccompMissing("libseccomp cannot write the filter")
            out.seek(0)
            return out.read()
    finally:
        library.seccomp_release(context)
