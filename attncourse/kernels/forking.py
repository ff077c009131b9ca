"""Kernels of this process that its warm process forks, each to be held as a `Popen` is."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROGRAM = Path(__file__).with_name("warm.py")
_LAUNCHER = "ipykernel_launcher"
_PATIENCE = 60.0  # seconds that the libraries may take to load, on a busy machine
_OF_ONE_KERNEL = ("JPY_",)  # variables that no library reads when it is imported


class Unsuitable(Exception):
    """A forked kernel would not be what a cold one is; the message says why."""


class WarmProcessLost(Exception):
    """The warm process did not start, or ended before it had forked the kernel."""


class ForkedKernel:
    """A kernel that the warm process forked, with as much of `subprocess.Popen` as is asked for."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._line = line
        line.setblocking(False)

    def poll(self) -> int | None:
        """The status with which it ended, or None while it runs."""
        if self.returncode is None:
            try:
                said = self._line.recv(50)
            except BlockingIOError:
                return None
            # Nothing said is the end of the warm process, and no kernel survives that.
            self.returncode = int(said.removeprefix(b"ended ")) if said else -signal.SIGKILL
            self._line.close()
        return self.returncode

    def wait(self) -> int:
        """Wait for its end; the status with which it ended."""
        if self.returncode is None:
            self._line.setblocking(True)
            self.poll()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it to the kernel alone, unless that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


async def fork_kernel(cmd: Sequence[str], env: Mapping[str, str], cwd: str) -> ForkedKernel:
    """The kernel that ``cmd`` would start with ``env`` in the folder ``cwd``, forked.

    The first call starts the warm process, which serves this process until this process ends.

    Raises Unsuitable where a cold kernel would be another, WarmProcessLost when there is no warm
    process to be had.
    """
    interpreter, module_and_arguments = _parsed(cmd)
    if not all(map(os.path.isabs, (env.get("PYTHONPATH") or "/").split(os.pathsep))):
        raise Unsuitable("PYTHONPATH names a folder relative to the kernel's")
    request = {"cmd": list(cmd), "argv": module_and_arguments, "env": dict(env), "cwd": cwd}
    warm = _warm_process(interpreter, env)
    line = warm.open_line()
    try:
        pid = await asyncio.wait_for(_agree(line, json.dumps(request).encode()), _PATIENCE)
    except (OSError, TimeoutError) as error:
        line.close()
        if not warm.has_served:
            warm.end()
        raise WarmProcessLost(f"no warm process answered: {error or 'it took too long'}") from None
    except BaseException:
        line.close()
        raise
    warm.has_served = True
    return ForkedKernel(pid, line)


def _parsed(cmd: Sequence[str]) -> tuple[list[str], list[str]]:
    """The interpreter with its options, and what stands after `-m`."""
    if not sys.platform.startswith("linux"):
        raise Unsuitable("a process that has loaded torch can be forked on Linux alone")
    if cmd[0] != sys.executable:
        raise Unsuitable(f"its Python is {cmd[0]}, and the warm process's {sys.executable}")
    options = next((i for i, word in enumerate(cmd) if i and not word.startswith("-X")), len(cmd))
    if list(cmd[options : options + 2]) != ["-m", _LAUNCHER]:
        raise Unsuitable(f"it is not started by {_LAUNCHER}")
    return list(cmd[:options]), list(cmd[options + 1 :])


async def _agree(line: socket.socket, request: bytes) -> int:
    """The number of the kernel that is to run what is requested."""
    line.setblocking(False)
    # Half: the system counts its own book-keeping with what is sent.
    if len(request) > line.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2:
        raise Unsuitable(f"its environment of {len(request)} bytes is too long to be handed on")
    line.send(request)
    said = await asyncio.get_running_loop().sock_recv(line, 1000)
    what, _, rest = said.partition(b" ")
    if what == b"refused":
        raise Unsuitable(rest.decode())
    if what != b"pid":
        raise ConnectionError("it ended")
    line.send(b"go")  # without which the kernel ends: we may have been cancelled meanwhile
    return int(rest)


class _WarmProcess:
    def __init__(self, interpreter: list[str], env: Mapping[str, str]) -> None:
        self.has_served = False
        self.made_for = interpreter, _lasting(env)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*interpreter, str(_PROGRAM), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",  # no folder of anybody's is kept in use, none is searched for modules
                env=dict(env),
                start_new_session=True,  # an interrupt from the keyboard is not for it
            )

    def lives(self) -> bool:
        return self._process.poll() is None

    def open_line(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self._control, [b" "], [theirs.fileno(), 1, 2])
            except OSError as error:
                ours.close()
                raise WarmProcessLost(f"no warm process to ask ({error})") from None
        return ours

    def end(self) -> None:
        """End it, with all its kernels."""
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def leave_to_parent(self) -> None:
        """In a fork of the process that started it: let go, so that it ends with that process."""
        self._control.close()
        self._process.returncode = 0  # not ours to wait for


def _lasting(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for name in env if not name.startswith(_OF_ONE_KERNEL)}


_lock = threading.Lock()
_warm: _WarmProcess | None = None


def _warm_process(interpreter: list[str], env: Mapping[str, str]) -> _WarmProcess:
    """The one of this process."""
    global _warm
    with _lock:
        if _warm and not _warm.lives():
            if not _warm.has_served:
                raise Unsuitable("the warm process did not start")
            _warm.end()
            _warm = None
        if not _warm:
            _warm = _WarmProcess(interpreter, env)
        if _warm.made_for != (interpreter, _lasting(env)):
            # Libraries read the environment when they are imported, Python when it starts.
            raise Unsuitable("its environment is not that of the warm process")
        return _warm


@atexit.register
def _end() -> None:
    if _warm:
        _warm.end()


def _forget() -> None:
    global _warm, _lock
    if _warm:
        _warm.leave_to_parent()
    _warm, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where every kernel is cold
    os.register_at_fork(after_in_child=_forget)
