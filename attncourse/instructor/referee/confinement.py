"""How a worker confines itself, before the first line of a student runs; see `sandbox`."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import select
import socket
import struct
from pathlib import Path

from attncourse.instructor.limits import (
    FILE_BYTES,
    FILES,
    OPEN_FILES,
    SHARED_MEMORY_BYTES,
    Limits,
)

_NOBODY = 65534  # the group; the kernel counts nothing by groups
_UNUSED_USERS = range(0x70000000, 0x80000000)  # by systemd's and Debian's lists
_NICE = 5

# <linux/sched.h>, <linux/prctl.h>, <linux/mount.h>
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
_NEWNET = 0x40000000
_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 4, 24, 38
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # <linux/sockios.h>, <linux/if.h>

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def separate_processes() -> None:
    """Let the next fork be the first process of a PID namespace."""
    if os.geteuid() == 0:
        _checked(_libc.unshare(_NEWPID), "unshare")
    else:
        _enter_user_namespace(_NEWPID)


def _enter_user_namespace(and_others: int = 0) -> None:
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0), "prctl")  # else /proc/self belongs to root
    _checked(_libc.unshare(_NEWUSER | and_others), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def confine(limits: Limits) -> None:
    """Take folders of one's own, the limits, and no way back. First in a worker.

    Raises:
        OSError: something of it was refused.
    """
    root = os.geteuid() == 0
    user = _user_of_its_own() if root else os.getuid()
    _checked(_libc.unshare(_NEWNS | _NEWIPC), "unshare")
    _mount("proc", "/proc", "")
    folder_of_its_own = os.environ["TMPDIR"]
    for folder, size in (
        (folder_of_its_own, limits.scratch_bytes),
        ("/dev/shm", SHARED_MEMORY_BYTES),
    ):
        _mount("tmpfs", folder, f"size={size},nr_inodes={FILES},mode=700,uid={user}")
    # No terminals: the one file system of them is shared by all workers.
    _mount("tmpfs", "/dev/pts", "size=4k,nr_inodes=1,mode=0")
    if root:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(user, user, user)
        _enter_user_namespace(_NEWNET)
    else:
        _checked(_libc.unshare(_NEWNET), "unshare")
    _bring_up_loopback()
    os.chdir(folder_of_its_own)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")  # of this one's own
    Path("/proc/self/oom_score_adj").write_text("1000")
    for what, limit in (
        (resource.RLIMIT_AS, limits.address_space),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    _checked(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    for capability in range(64):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that do not exist
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _refuse_system_calls()


def _user_of_its_own() -> int:
    """A user that is nobody, and as good as surely no other worker.

    The kernel counts by user, over all namespaces, what one may keep in pipes, or descriptors on
    their way from one process to another: workers of one user would take them from each other.
    """
    fields = map(str.split, Path("/proc/self/uid_map").read_text().splitlines())
    count, first = max((int(count), int(first)) for first, _, count in fields)
    users = range(first + count // 2, first + count)  # in a container there may be no others
    if _UNUSED_USERS.start >= first and _UNUSED_USERS.stop <= first + count:
        users = _UNUSED_USERS
    return users[int.from_bytes(os.urandom(8)) % len(users)]


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        fcntl.ioctl(end, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def _mount(kind: str, folder: str, options: str) -> None:
    flags = _MS_NOSUID | _MS_NODEV | (_MS_NOEXEC if kind == "proc" else 0)
    done = _libc.mount(kind.encode(), folder.encode(), kind.encode(), flags, options.encode())
    _checked(done, f"mount {folder}")


def keep_to(core: int) -> None:
    """Run on one core, as will all that this process starts; the judge goes first on it."""
    os.sched_setaffinity(0, {core})
    os.nice(_NICE)


def die_with_parent(its_pipe: int) -> None:
    """Be killed when the process that forked this one ends. After `confine`: a process that
    becomes another user loses the signal.

    Args:
        its_pipe: the reading end of a pipe; nobody but that process has the other end.
    """
    _checked(_libc.prctl(_SET_PDEATHSIG, 9, 0, 0, 0), "PR_SET_PDEATHSIG")
    if select.select([its_pipe], [], [], 0)[0]:  # it has ended before
        os._exit(1)


_REFUSED = (
    # Memory that neither RLIMIT_AS nor the size of a file system counts.
    *("memfd_create", "memfd_secret", "shmget", "msgget"),
    # Other processes' memory and descriptors.
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    # Parts of the kernel that no notebook needs and in which faults were found.
    *("bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    # Namespaces and mounts. Without capabilities they are refused anyway.
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount"),
    *("fsopen", "fsmount", "mount_setattr"),
    # Other cores, where other workers are.
    "sched_setaffinity",
)
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # <seccomp.h>
_EQUAL, _GREATER = 4, 6


class _Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def _refuse_system_calls() -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise OSError(errno.ENOENT, "libseccomp is not installed") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    add = library.seccomp_rule_add_array
    add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    rules = library.seccomp_init(_ALLOW)
    done = 0
    for name in _REFUSED:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != -1:  # -1: newer than the library, which has no name for it
            done = done or add(rules, _ERRNO | errno.EPERM, number, 0, None)
    making_sockets = library.seccomp_syscall_resolve_name(b"socket")
    most = max(_FAMILIES)
    for op, family in (
        *((_EQUAL, family) for family in range(most) if family not in _FAMILIES),
        (_GREATER, most),
    ):
        comparison = ctypes.byref(_Comparison(0, op, family, 0))
        done = done or add(rules, _ERRNO | errno.EAFNOSUPPORT, making_sockets, 1, comparison)
    done = done or library.seccomp_load(rules)
    if done:
        raise OSError(-done, f"libseccomp: {os.strerror(-done)}")
