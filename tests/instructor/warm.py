"""`attncourse` and `nbgrader` commands, each run in a fork of a process that has them loaded.

A command started in a shell loads nbgrader, torch and the items, and `attncourse grade` starts a
nursery and jobs that load them again: eight seconds of computing for one of grading. Here one
process, the server, loads them once for all commands of a test process, and has one nursery whose
branches serve all batches. All else is as in a shell: a process of its own for each command, with
its folder, environment, output and exit status. A command whose environment is another than that
of the tests is started in the ordinary way.

    python warm.py DESCRIPTOR
"""

from __future__ import annotations

import atexit
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import types
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
_CURRENT_TEST = "PYTEST_CURRENT_TEST"  # differs from one moment to the next
_PATH = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"


def environment(**changed):
    """That of a shell in which the tests' environment is active."""
    inherited = {name: value for name, value in os.environ.items() if name != _CURRENT_TEST}
    return inherited | {"PATH": _PATH, "MPLBACKEND": ""} | changed


def run(*command, cwd, env=None, timeout=600):
    """What `subprocess.run` gives for the command, with its output as text."""
    env = environment() if env is None else env
    if env != _started_with:
        return run_in_a_shell(*command, cwd=cwd, env=env, timeout=timeout)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        server = _server()
        server.settimeout(timeout)
        request = json.dumps({"command": command, "cwd": str(cwd), "env": dict(env)}).encode()
        socket.send_fds(server, [request], [stdout.fileno(), stderr.fileno()])
        try:
            status = int(server.recv(100) or _lost(command))
        except TimeoutError:
            _lost(command)
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(command, status, *said)


def run_in_a_shell(*command, cwd, env=None, timeout=600):
    """The same, in a process that starts with nothing loaded."""
    return subprocess.run(
        [str(PROGRAMS / command[0]), *command[1:]],
        cwd=cwd,
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def _lost(command):
    """Nobody may take the answer to this command for that to the next one."""
    _running.pop().close()
    raise RuntimeError(f"no answer came to {command}: it took too long, or ended the server")


_started_with = environment()
_running: list[socket.socket] = []


def _server():
    if not _running:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        _running.append(ours)
        atexit.register(lambda: (ours.close(), process.wait(30)))
    return _running[0]


# ------------------------------------------------------------------------------------ the server


def _serve(line):
    from attncourse.instructor.referee.launching import NurseryProcess

    _load()
    nursery = NurseryProcess()
    nursery.ready()
    while True:
        request, descriptors, _, _ = socket.recv_fds(line, 1 << 20, 2)
        if not request:
            nursery.close()
            return
        command = os.fork()
        if not command:
            line.close()
            _become(json.loads(request), descriptors, nursery)
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        line.send(str(status).encode())


def _load():
    import torch

    import attncourse.cli
    import attncourse.instructor.batch.job
    import attncourse.instructor.batch.running
    import attncourse.instructor.batch.summary
    import attncourse.instructor.pipeline.exporter
    import attncourse.instructor.pipeline.markdown
    import attncourse.instructor.pipeline.save_scores  # noqa: F401

    torch.set_num_threads(1)


def _become(request, descriptors, nursery):
    """Run the command in this process. Does not return."""
    from attncourse.instructor.batch import local
    from attncourse.instructor.referee import workers

    status = 1
    try:
        for number, descriptor in enumerate(descriptors, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        program, *arguments = request["command"]
        sys.argv = [str(PROGRAMS / program), *arguments]
        workers.NurseryProcess = local.NurseryProcess = _nurseries(nursery)
        # Jobs are forked from this process, which has all that the fork server would load.
        local.multiprocessing = types.SimpleNamespace(
            get_context=lambda _: multiprocessing.get_context("fork")
        )
        status = _run(program, arguments)
        atexit._run_exitfuncs()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _run(program, arguments):
    try:
        if program == "attncourse":
            from attncourse.cli import main

            return main(arguments)
        from nbgrader.apps.nbgraderapp import main

        sys.argv[1:] = arguments
        main()
    except SystemExit as ends:
        return ends.code if isinstance(ends.code, int) else int(ends.code is not None)
    return 0


def _nurseries(shared):
    """Stands for `NurseryProcess`: the shared one where its workers are those that are asked for."""
    from attncourse.instructor.limits import DEFAULT_LIMITS
    from attncourse.instructor.referee.launching import NurseryProcess

    class Shared:
        alive = True
        branch, ready = shared.branch, shared.ready

        def close(self):
            """It is not this command's to end; its branches end with the command."""
            return ""

    def of_workers(limits):
        return limits.memory, limits.processes, limits.scratch

    def nursery_process(limits=DEFAULT_LIMITS, *, sandboxed=True):
        if sandboxed and of_workers(limits) == of_workers(DEFAULT_LIMITS):
            return Shared()
        return NurseryProcess(limits, sandboxed=sandboxed)

    return nursery_process


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as end:
        _serve(end)
    os._exit(0)
