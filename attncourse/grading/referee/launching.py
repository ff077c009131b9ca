"""Start the nursery, without loading anything of what it loads."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from typing import Self

from attncourse.grading.referee import confinement
from attncourse.grading.referee.confinement import NoSandbox

START = 120.0
"""Seconds that a nursery has until torch is loaded, on a slow disk."""


class NurseryProcess:
    """The warm process that workers are forked from, in its sandbox. A context manager.

    It warms itself while its parent does something else. The thread that starts it has to live as
    long as it does, because Linux takes the end of the thread that started a process for the end
    of its parent.
    """

    def __init__(self, *, sandboxed: bool = True) -> None:
        """Start it.

        Raises:
            NoSandbox: bubblewrap is not installed.
        """
        self._sandboxed = sandboxed
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START)
        program = [
            confinement.program(),
            "-m",
            "attncourse.grading.referee.nursery",
            str(theirs.fileno()),
        ]
        if sandboxed:
            try:
                program = confinement.command(program)
            except NoSandbox:
                self._control.close()
                theirs.close()
                raise
        else:
            program.append("--unsandboxed")
        # A file, not a pipe: a pipe that nobody reads blocks its writer once it is full.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed in `close`
        with theirs:
            self._process = subprocess.Popen(
                program,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
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
            said = self.close()
            if self._sandboxed and said.startswith("bwrap:"):
                raise NoSandbox(confinement.refused(said))
            ended = f"it ended with status {self._process.returncode}"
            raise RuntimeError(f"the nursery did not start: {ended}{said and f': {said}'}")
        self._is_ready = True

    def branch(self) -> socket.socket:
        """The end of a socket at which a fork of the nursery will answer; for `judge.Workers`.

        It can be asked for at once: the branch comes to life when the nursery is warm. If there
        is no nursery any more, nobody answers.
        """
        ours, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):
            if self._sandboxed:
                core, claim = confinement.claim_core()
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
        """End it, its branches and every worker; the last that it said."""
        if self._said.closed:
            return ""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._said.seek(0)
        said = self._said.read()[-800:].decode(errors="replace").strip()
        self._said.close()
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
