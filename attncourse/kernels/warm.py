"""The warm process that kernels are forked from: it loads the libraries, and runs no cell.

    python warm.py DESCRIPTOR

The descriptor is a socket. Each message on it asks for a kernel, and brings three descriptors: the
kernel's line, and what is to be its stdout and stderr. On the line stands a request; the new
process answers `pid N` and waits for `go`, or answers `refused WHY`. When the kernel has ended, the
warm process says `ended STATUS` there, as `subprocess.Popen.returncode` would have it. When the
socket closes, the kernels are killed and everything here ends.

It is run as a file, not as a module of the course, so that a kernel has loaded nothing of the
course that a cold one would not have. What a kernel sees is as in a cold one but for this: the
libraries are in `sys.modules`, with the warning filters that they set, and strings hash alike in
all kernels of one warm process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.machinery
import json
import os
import runpy
import select
import signal
import socket
import sys
from typing import Any

# What notebooks import, and what a kernel is made of. Nothing that looks for a running shell when
# it is imported (ipywidgets, matplotlib_inline.backend_inline): it would find none, for good.
# Nothing here may ask CUDA anything or compute: neither a context nor a pool of threads survives
# a fork.
_LIBRARIES = (
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "IPython.core.completer",
    "numpy",
    "torch",
    "matplotlib.pyplot",
    "sklearn.datasets",
)
_INLINE = "module://matplotlib_inline.backend_inline"
_PR_SET_PDEATHSIG = 1
_REQUEST = 1 << 20  # bytes, more than a socket takes at once


def main(descriptor: str) -> None:
    """Serve until the socket closes; in a kernel, return when the kernel has ended."""
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of this file
    with socket.socket(fileno=int(descriptor)) as control:
        _load()
        line = _serve(control)
    # Here is a kernel, and no frame of the server below it: it ends as any Python does.
    _run_kernel(line)


def _load() -> None:
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # whose end a kernel watches for
    os.environ["MPLBACKEND"] = os.environ.get("MPLBACKEND") or _INLINE  # as in a kernel
    for name in _LIBRARIES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what stands now is shared with every kernel: let no collection touch it


def _serve(control: socket.socket) -> socket.socket:
    """Fork kernels. Returns in each of them, with its line, and never in the warm process."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor of the process
    ended: dict[socket.socket, int] = {}
    while True:
        watched: list[Any] = [control, *running, *ended]
        ready, _, _ = select.select(watched, [], [])
        for descriptor in running.keys() & set(ready):
            number, line = running.pop(descriptor)
            with contextlib.suppress(OSError):  # nobody may be left who wants to know
                line.send(b"ended %d" % _status(descriptor))
            os.close(descriptor)
            ended[line] = number
        # An ended kernel keeps its number until whoever asked for it knows: a signal sent
        # meanwhile can reach nobody else.
        for line in ended.keys() & set(ready):
            if not line.recv(_REQUEST):
                os.waitpid(ended.pop(line), 0)
                line.close()
        if control in ready:
            asked, descriptors, _, _ = socket.recv_fds(control, 1, 3)
            if not asked:
                for number, _ in running.values():
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(number, signal.SIGKILL)
                os._exit(0)
            forked = _fork() if len(descriptors) == 3 else None
            if forked == 0:
                for other in (*ended, *(other for _, other in running.values())):
                    other.close()
                for descriptor in running:
                    os.close(descriptor)
                for standard, given in enumerate(descriptors[1:], 1):
                    os.dup2(given, standard)
                    os.close(given)
                return socket.socket(fileno=descriptors[0])
            if forked:
                line = socket.socket(fileno=os.dup(descriptors[0]))
                running[os.pidfd_open(forked)] = forked, line
            for given in descriptors:  # whoever asked hears of a fork that failed by this alone
                os.close(given)


def _fork() -> int | None:
    try:
        return os.fork()
    except OSError:
        return None


def _status(descriptor: int) -> int:
    found = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _run_kernel(line: socket.socket) -> None:
    os.setsid()  # an interrupt is for a kernel and what it started
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if str(os.getppid()) != os.environ["JPY_PARENT_PID"]:
        return  # the warm process ended before that
    with line:
        request = json.loads(line.recv(_REQUEST))
        why = _moved(request["cwd"])
        line.send(b"refused " + why.encode() if why else b"pid %d" % os.getpid())
        if why or line.recv(2) != b"go":
            return
    os.environ.clear()
    os.environ.update(request["env"])
    _draw_other_random_numbers()
    module, *arguments = request["argv"]
    sys.orig_argv[:] = request["cmd"]
    sys.argv[1:] = arguments
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does, and the launcher expects
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _moved(folder: str) -> str:
    """Go there; why a kernel with these libraries would not be what a cold one is there."""
    try:
        os.chdir(folder)
        names = os.listdir()
    except OSError as error:
        return str(error)
    if "matplotlibrc" in names:
        return "its folder has a matplotlibrc, which is read when matplotlib is imported"
    loaded = {name.partition(".")[0] for name in sys.modules}
    for name in names:
        module, _, ending = name.partition(".")
        importable = f".{ending}" in importlib.machinery.all_suffixes() or os.path.isdir(name)
        if module in loaded and importable:
            return f"its folder has a {name}, which would be imported in place of the library"
    return ""


def _draw_other_random_numbers() -> None:
    """Seed by the system's chance, as a cold kernel's are. `random` has done so by itself."""
    import numpy as np
    import torch

    np.random.seed()
    torch.default_generator.seed()  # not `torch.seed`, which is about CUDA as well


if __name__ == "__main__":
    main(sys.argv[1])
