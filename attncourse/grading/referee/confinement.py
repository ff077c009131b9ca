"""The sandbox around students' code: what it is made of, and how a process enters it.

Outside stands bubblewrap: the nursery, and every worker forked from it, sees a file system of its
own, read-only, without the course's root folder, and no network. Within, each worker has its own
PID, IPC, mount and network namespace and its own `/proc`, scratch folder and shared memory, keeps
to one core, and runs as an unprivileged user in a user namespace in which no other can be made,
without capabilities or a way to get any, under limits. libseccomp refuses system calls that would
get around these: kernel interfaces that no notebook needs, sockets of families that a network
namespace does not separate (AF_VSOCK reaches the host of a virtual machine), and memory that no
limit counts.

What is stopped: reading or changing anything but the interpreter, its libraries, this package
without its items, and the worker's own scratch folder; seeing, signalling or tracing any process
but one's own; any network, other workers too; slowing down other workers, as long as there is a
core for each; staying behind after the worker; using up memory, processes, disk or
open files beyond `Limits`.

What is not stopped:

- A fault in the kernel. Students' code talks to the machine's own kernel; where that is not
  acceptable, grade in a virtual machine.
- The memory of all processes of a worker together is looked at four times a second, by a process
  outside. In between it can grow as fast as the machine gives out memory. Not a cgroup, because an
  ordinary user may make one only where systemd lets them. Where the machine runs out all the same,
  the kernel ends workers first.
- What the kernel itself keeps for a worker, in pipes and sockets, is bounded by the number of
  processes and open files only: at worst some 3 GiB.
- The time of one core until the judge's deadline, for each worker. What cores share they share
  still: caches, memory's bandwidth, the heat. Where there are more workers at a time than cores,
  two of them share one.
- Reading the course's public code, which is on every student's machine, and learning about the
  machine itself: its processor, memory, load, kernel, and where Python is installed.
- Linux before 5.14 counts processes by user and not by user namespace: there, workers that run at
  the same time share one limit.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRATCH = ("/tmp", "/scratch")  # the second where Python or the course lies below the first
NOBODY = 65534
_NICE = 5
_TURNS = 100  # workers at a time that a core has, before it is given to more unseen
_PACKAGE = Path(__file__).resolve().parents[2]
_HIDDEN = (_PACKAGE / "grading" / "problem_sets",)  # references, cases and misconceptions
# Not the whole of a prefix: a virtual environment may be the course's root folder.
_OF_A_PREFIX = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "share", "etc", "pyvenv.cfg")

# <linux/sched.h>, <linux/prctl.h>, <linux/mount.h>
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
_NEWNET = 0x40000000
_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 4, 24, 38
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # <linux/sockios.h>, <linux/if.h>


class NoSandbox(Exception):
    """This machine cannot confine students' code; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one worker may use up."""

    address_space: int = 6 << 30  # bytes of each process; torch maps 2 GiB of it
    memory: int = 4 << 30  # bytes of all processes together
    cpu: int = 3600  # seconds of each process; the judge's deadlines are shorter
    processes: int = 64  # and threads
    file: int = 64 << 20  # bytes
    files: int = 256  # open at a time, of each process
    scratch: int = 256 << 20  # bytes of all files
    shared_memory: int = 64 << 20  # bytes
    names: int = 20_000  # of files and folders, in either


def command(program: Sequence[str]) -> list[str]:
    """`program` in a sandbox of its own; descriptors that it inherits stay open."""
    found = shutil.which("bwrap")
    if found is None:
        raise NoSandbox(
            "students' code is run in a sandbox, and bubblewrap is not installed. Install it "
            "(`apt install bubblewrap`, `dnf install bubblewrap`), or grade on Linux in a "
            "container or virtual machine that is thrown away, with --unsandboxed"
        )
    arguments = [found, "--die-with-parent", "--new-session", "--clearenv"]
    arguments += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try", "--hostname", "worker"]
    arguments += ["--cap-drop", "ALL"]
    if os.geteuid() == 0:
        # As root no user namespace: in one, another user could not be entered later. What is
        # kept is for the nursery, and no worker has any of it.
        for capability in ("SETUID", "SETGID", "KILL", "SYS_ADMIN", "SYS_PTRACE"):
            arguments += ["--cap-add", f"CAP_{capability}"]
    else:
        arguments += ["--unshare-user"]
    for variable, value in _environment().items():
        arguments += ["--setenv", variable, value]
    readable = _readable()
    # bubblewrap makes folders that only lead to others readable to root alone.
    for folder in sorted({parent for path in readable for parent in path.parents} - {Path("/")}):
        if not any(folder.is_relative_to(path) for path in readable):
            arguments += ["--perms", "0755", "--dir", str(folder)]
    for path in readable:
        arguments += ["--ro-bind", str(path), str(path)]
    for name in ("lib", "lib32", "lib64", "libx32", "bin", "sbin"):
        link = Path("/") / name
        if link.is_symlink():
            arguments += ["--symlink", os.readlink(link), str(link)]
        elif link.is_dir():
            arguments += ["--ro-bind", str(link), str(link)]
    for path in _HIDDEN:
        arguments += ["--tmpfs", str(path), "--remount-ro", str(path)]
    for path in _left_behind():
        arguments += ["--ro-bind", os.devnull, str(path)]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", scratch()]
    # For the nursery, while it loads joblib, which tries a semaphore; each worker has its own.
    arguments += ["--perms", "1777", "--tmpfs", "/dev/shm"]
    # What an ordinary user's nursery makes belongs to that user, and so to each worker.
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*arguments, "--chdir", scratch(), "--", *program]


def scratch() -> str:
    """The folder in which a worker may write; each has its own, in memory."""
    readable = _readable()
    return next(f for f in _SCRATCH if not any(path.is_relative_to(f) for path in readable))


def program() -> str:
    """This Python, by a path that holds in any folder."""
    return os.path.abspath(sys.executable)


def claim_core() -> tuple[int, socket.socket]:
    """A core that as few others as possible keep to, and what holds it until it is closed.

    A claim is a name of this machine's that only one socket can have, so it is seen by every
    course on the machine, and ends with whoever holds it, however that ends.
    """
    claim = socket.socket(socket.AF_UNIX)
    cores = sorted(os.sched_getaffinity(0))
    for turn in range(_TURNS):
        for core in cores:
            with contextlib.suppress(OSError):
                claim.bind(f"\0attncourse-core-{core}-{turn}")
                return core, claim
    return cores[0], claim


def _environment() -> dict[str, str]:
    return {
        "PATH": os.pathsep.join([str(Path(program()).parent), "/usr/bin", "/bin"]),
        "HOME": scratch(),
        "TMPDIR": scratch(),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(_PACKAGE.parent) if _outside_of_the_libraries() else "",
    }


def _outside_of_the_libraries() -> bool:
    return not any(
        _PACKAGE.is_relative_to(Path(sysconfig.get_path(name)).resolve())
        for name in ("purelib", "platlib")
    )


def _readable() -> list[Path]:
    """Interpreter, libraries, fonts and this package; nothing of the course around it."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, "/usr", "/usr/local")
    wanted = [
        *(
            prefix / name
            for prefix in (*map(Path, prefixes), Path(sys.executable).resolve().parents[1])
            for name in _OF_A_PREFIX
        ),
        *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")),
        *(Path("/etc") / name for name in ("fonts", "ld.so.cache", "localtime", "alternatives")),
        _PACKAGE,
    ]
    found: list[Path] = []
    for path in wanted:
        path = path.absolute()
        if os.path.exists(path) and not any(path.is_relative_to(p) for p in found):
            found.append(path)
    return found


def _left_behind() -> Iterator[Path]:
    """Compiled modules whose source is gone. It may have been items, before they moved."""
    for path in _PACKAGE.rglob("__pycache__/*.pyc"):
        source = path.parent.with_name(path.name.partition(".")[0] + ".py")
        if not source.exists() and not any(path.is_relative_to(each) for each in _HIDDEN):
            yield path


def check() -> None:
    """Raise `NoSandbox` if there can be no sandbox here, with the reason.

    A `Nursery` makes sure of the rest when it starts: that a worker can be confined in it.
    """
    tried = subprocess.run(
        command([program(), "-c", "pass"]), capture_output=True, text=True, timeout=60
    )
    if tried.returncode:
        raise NoSandbox(refused(f"bubblewrap: {tried.stderr.strip()[:300]}"))


def refused(reason: str) -> str:
    """Why this machine cannot confine a process, and what to do."""
    return (
        f"students' code cannot be confined here ({reason}). In a locked-down container allow "
        "user namespaces (docker: --security-opt seccomp=unconfined), or grade on a machine that "
        "is thrown away, with --unsandboxed"
    )


# ------------------------------------------------------------- entered by guardian and worker

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
    user = NOBODY if root else os.getuid()
    _checked(_libc.unshare(_NEWNS | _NEWIPC), "unshare")
    _mount("proc", "/proc", "")
    folder_of_its_own = os.environ["TMPDIR"]
    for folder, size in ((folder_of_its_own, limits.scratch), ("/dev/shm", limits.shared_memory)):
        _mount("tmpfs", folder, f"size={size},nr_inodes={limits.names},mode=700,uid={user}")
    # No terminals: the one file system of them is shared by all workers.
    _mount("tmpfs", "/dev/pts", "size=4k,nr_inodes=1,mode=0")
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _enter_user_namespace(_NEWNET)
    else:
        _checked(_libc.unshare(_NEWNET), "unshare")
    _bring_up_loopback()
    os.chdir(folder_of_its_own)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")  # of this one's own
    Path("/proc/self/oom_score_adj").write_text("1000")
    for what, limit in (
        (resource.RLIMIT_AS, limits.address_space),
        (resource.RLIMIT_CPU, limits.cpu),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    _checked(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    for capability in range(64):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that do not exist
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _refuse_system_calls()


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


def die_with_parent() -> None:
    """Be killed when the process that forked this one ends."""
    _checked(_libc.prctl(_SET_PDEATHSIG, 9, 0, 0, 0), "PR_SET_PDEATHSIG")


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


# ------------------------------------------------------------------- looked at by the guardian


def memory_of(first: int, most: int) -> int:
    """Bytes of memory of a process and all that it has started; exact where more than `most`."""
    family = list(_family(first))
    resident = sum(_resident(process) for process in family)
    # Quick, but it counts what processes share once for each of them.
    return resident if resident <= most else sum(map(_proportional, family))


def _family(first: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _read(f"/proc/{entry}/stat")
            if stat:
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    waiting = [first]
    while waiting:
        process = waiting.pop()
        yield process
        waiting += children.get(process, [])


def _resident(process: int) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * resource.getpagesize() if fields else 0


def _proportional(process: int) -> int:
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
