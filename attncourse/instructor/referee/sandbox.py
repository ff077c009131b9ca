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
core for each, or taking of their time where there is none; staying behind after the worker; using
up memory, processes, disk or open files beyond `limits.Limits`.

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
  two of them share one; what one waits for the other is not its own time, up to
  `limits.CLOCK_MULTIPLE` of its limit.
- A worker that makes the machine end it (by a limit of processor time that it sets itself, say)
  is started again, as any that the machine ends: twice, and then a person has to look.
- Reading the course's public code, which is on every student's machine, and learning about the
  machine itself: its processor, memory, load, kernel, and where Python is installed.
- Linux before 5.14 counts processes by user and not by user namespace: there, workers that run at
  the same time share one limit.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

SAME_EACH_TIME = {"PYTHONHASHSEED": "0"}
"""For the nursery: a set that a notebook prints is in the same order when it is graded again."""
_SCRATCH = ("/tmp", "/scratch")  # the second where Python or the course lies below the first
_APPARMOR_SETTING = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_OF_APPARMOR = ("setting up uid map: Permission denied", "loopback: Failed RTM_NEWADDR")
_PROFILE = "abi <abi/4.0>, profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }"
_CLAIMS_PER_CORE = 100  # workers at a time, before a core is given to more unseen
_OF_PYTHON = ("fcntl", "resource")
_PACKAGE = Path(__file__).resolve().parents[2]
_HIDDEN = (_PACKAGE / "problem_sets",)  # references, cases and misconceptions
# Not the whole of a prefix: a virtual environment may be the course's root folder. And of what is
# there for programs of every kind, such as nbgrader's exchange, only what Python's libraries read.
_OF_A_PREFIX = (
    *("bin", "sbin", "lib", "lib32", "lib64", "pyvenv.cfg", "etc/fonts"),
    *("share/fonts", "share/fontconfig", "share/zoneinfo", "share/terminfo"),
)
_OF_THE_ROOT = [Path("/") / name for name in ("lib", "lib32", "lib64", "libx32", "bin", "sbin")]
_EXCHANGES = ("/usr/local/share/nbgrader/exchange", "/srv/nbgrader/exchange")  # if none is set
# Variables that name what may hold a password.
_PASSWORD_FILES = ("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "NETRC")


class NoSandbox(Exception):
    """This machine cannot confine students' code; the message says why and what to do."""


class NoLinux(NoSandbox):
    """This system cannot run students' code at all, confined or not."""


class Exposed(NoSandbox):
    """In the sandbox there would be what nobody but the instructor may see."""


def require_linux() -> None:
    """Raise `NoLinux` where Python itself lacks what a worker is confined with, as on Windows."""
    missing = [name for name in _OF_PYTHON if importlib.util.find_spec(name) is None]
    if missing:
        raise NoLinux(
            "students' code is run in a sandbox, which needs Linux with bubblewrap; the Python of "
            f"this system ({sys.platform}) has no {' and no '.join(missing)}. Grade on Linux: on "
            "Windows in WSL 2, elsewhere in a container or a virtual machine"
        )


def command(program: Sequence[str]) -> list[str]:
    """`program` in a sandbox of its own; descriptors that it inherits stay open.

    Raises:
        NoSandbox: bubblewrap is not installed, or something of the machine would be exposed.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise NoSandbox(
            "students' code is run in a sandbox, and bubblewrap is not installed. Install it "
            "(`apt install bubblewrap`, `dnf install bubblewrap`), or grade on Linux in a "
            "container or virtual machine that is thrown away, with --unsandboxed"
        )
    require_hidden(_private_to_the_user())
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
    for link in _OF_THE_ROOT:
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


def require_hidden(places: Iterable[tuple[str, str]]) -> None:
    """See that students' code does not see some places.

    Args:
        places: what each is, and its path.

    Raises:
        Exposed: one of them lies below what is shown, by its name or by where it is mounted.
    """
    shown = [path.resolve() for path in (*_readable(), *_OF_THE_ROOT)]
    ways: dict[Path | tuple[int, int], Path] = {path: path for path in shown}
    for path in (*shown, *_mounted_below(shown)):
        ways |= dict.fromkeys(_is(path), path)
    for what, place in places:
        path = Path(place).expanduser().resolve()
        for folder in (path, *path.parents):
            if seen := next((ways[each] for each in (folder, *_is(folder)) if each in ways), None):
                raise Exposed(
                    f"students' code would see {what}, {place}: it is in {seen}, which they are "
                    "shown because Python or its libraries are there. Move it elsewhere"
                )


def _is(path: Path) -> list[tuple[int, int]]:
    """What a path is, by whatever name; nothing if it is not there."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return [(found.st_dev, found.st_ino)]
    return []


def _mounted_below(shown: Sequence[Path]) -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = Path(line.split()[4].encode().decode("unicode_escape"))
        if any(place.is_relative_to(path) for path in shown):
            yield place


def _private_to_the_user() -> Iterator[tuple[str, str]]:
    """What the machine, or the instructor's account, has beside the course."""
    from jupyter_core import paths

    for place in _EXCHANGES:
        yield "nbgrader's exchange", place
    for place in (*paths.jupyter_config_path(), paths.jupyter_runtime_dir()):
        yield "Jupyter's configuration", place
    yield "your home folder", "~"
    for variable in _PASSWORD_FILES:
        if variable in os.environ:
            yield f"what {variable} names", os.environ[variable]


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
    course on the machine, and ends with the process that holds it, however that ends.
    """
    claim = socket.socket(socket.AF_UNIX)
    cores = sorted(os.sched_getaffinity(0))
    for claims in range(_CLAIMS_PER_CORE):
        for core in cores:
            with contextlib.suppress(OSError):
                claim.bind(f"\0attncourse-core-{core}-{claims}")
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
        **SAME_EACH_TIME,
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
    if _apparmor_forbids(reason):
        remedy = (
            "AppArmor forbids it, as on Ubuntu since 24.04 "
            "(kernel.apparmor_restrict_unprivileged_userns): allow bubblewrap user namespaces by a "
            f"profile, `{_PROFILE}` in /etc/apparmor.d/bwrap, and load it with `sudo "
            "apparmor_parser -r /etc/apparmor.d/bwrap`; the instructor guide says more"
        )
    else:
        remedy = (
            "In a locked-down container allow user namespaces (docker: --security-opt "
            "seccomp=unconfined)"
        )
    return (
        f"students' code cannot be confined here ({reason}). {remedy}. Or grade on a machine that "
        "is thrown away, with --unsandboxed"
    )


def _apparmor_forbids(reason: str) -> bool:
    """Whether namespaces can be made here, and are of no use: AppArmor takes what they give."""
    if any(words in reason for words in _OF_APPARMOR):
        return True
    refusal = any(os.strerror(number) in reason for number in (errno.EACCES, errno.EPERM))
    with contextlib.suppress(OSError):
        return refusal and Path(_APPARMOR_SETTING).read_text().strip() == "1"
    return False
