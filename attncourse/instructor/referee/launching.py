"""Start the nursery, without loading anything of what it loads."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
from typing import Self

from attncourse.instructor.limits import DEFAULT_LIMITS, Limits
from attncourse.instructor.referee import sandbox
from attncourse.instructor.referee.sandbox import NoSandbox

START_TIMEOUT = 120.0
"""Seconds that a nursery has until torch is loaded, on a slow disk."""


class NurseryProcess:
    """The warm process that workers are forked from, in its sandbox. A context manager.

    It warms itself while its parent does something else. The thread that starts it has to live as
    long as it does, because Linux takes the end of the thread that started a process for the end
    of its parent.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, sandboxed: bool = True) -> None:
        """Start it.

        Args:
            limits: of its workers.

        Raises:
            NoSandbox: bubblewrap is not installed, or this system is no Linux.
        """
        sandbox.require_linux()
        self._sandboxed = sandboxed
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_TIMEOUT)
        program = [
            sandbox.program(),
            "-m",
            "attncourse.instructor.referee.nursery",
            str(theirs.fileno()),
            json.dumps(limits.as_dict()),
        ]
        if sandboxed:
            try:
                program = sandbox.command(program)
            except NoSandbox:
                self._control.close()
                theirs.close()
                raise
        else:
            program.append("--unsandboxed")
        # A file, not a pipe: a pipe that nobody reads blocks its writer once it is full.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed in `close`
        with theirs:
            self._process = subprocess.Popen(
                program,
                pass_fds=[theirs.fileno()],
                env=os.environ | sandbox.SAME_EACH_TIME,  # bubblewrap hands on none of it
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
            )
        self._is_ready = False

    def ready(self) -> None:
        """Wait until it is warm.

        Raises:
            NoSandbox: this machine cannot confine a process.
            RuntimeError: it did not start, for any other reason.
        """
        if self._is_ready:
            return
        answer = b""
        with contextlib.suppress(OSError):
            answer = self._control.recv(100)
        if answer != b"ready":
            reason = self.close()
            if self._sandboxed and reason.startswith("bwrap:"):
                raise NoSandbox(sandbox.refused(reason))
            ended = f"it ended with status {self._process.returncode}"
            raise RuntimeError(f"the nursery did not start: {ended}{reason and f': {reason}'}")
        self._is_ready = True

    def branch(self) -> socket.socket:
        """The end of a socket at which a fork of the nursery will answer; for `workers.Workers`.

        It can be asked for at once: the branch comes to life when the nursery is warm. If there
        is no nursery any more, nobody answers.
        """
        ours, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):
            if self._sandboxed:
                core, claim = sandbox.claim_core()
                with claim:
                    ends = [theirs.fileno(), claim.fileno()]
                    socket.send_fds(self._control, [b"branch %d" % core], ends)
            else:
                socket.send_fds(self._control, [b"branch"], [theirs.fileno()])
        return ours

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def close(self) -> str:
        """End it, its branches and every worker; the last that it wrote on stderr."""
        if self._stderr.closed:
            return ""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._stderr.seek(0)
        written = self._stderr.read()[-800:].decode(errors="replace").strip()
        self._stderr.close()
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
