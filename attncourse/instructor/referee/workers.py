"""Workers as the judge sees them: start one, ask it for something, believe nothing, end it."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Mapping
from typing import Any, Self

from attncourse.instructor.limits import DEFAULT_LIMITS, Limits
from attncourse.instructor.referee import sandbox
from attncourse.instructor.referee.allowance import Allowance, Patience, PatientSocket
from attncourse.instructor.referee.family import KILLED_FROM_OUTSIDE
from attncourse.instructor.referee.launching import START_TIMEOUT, NurseryProcess
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.wire import Channel, WireError
from attncourse.instructor.referee.worker_outputs import readable


class WorkerLost(Exception):
    """The worker ended, did not answer in time, or sent what makes no sense."""


class WorkerKilled(WorkerLost):
    """It was ended by the machine, which nothing that ran in it has brought about."""


class Workers:
    """Where workers come from: the nursery, or a branch of it, at the other end of a socket.

    Not for more than one thread.
    """

    def __init__(self, control: socket.socket, *, sandboxed: bool) -> None:
        self.sandboxed = sandboxed
        self._control = control
        self._control.settimeout(START_TIMEOUT)
        self._numbers = itertools.count()  # of workers: none twice, so that none is mistaken
        self._is_ready = False

    def ready(self) -> None:
        """Wait until there can be workers; the first that asks for one waits anyway.

        Raises:
            NoSandbox: this machine cannot confine students' code.
            RuntimeError: there will be none, for any other reason.
        """
        if self._is_ready:
            return
        if self._answer() != "ready":
            self.close()
            raise RuntimeError("the nursery did not start")
        self._is_ready = True
        try:
            with self.start() as worker:
                worker.run("pass", START_TIMEOUT)
        except WorkerLost as lost:
            self.close()
            if self.sandboxed:
                raise NoSandbox(sandbox.refused(str(lost))) from None
            raise RuntimeError(str(lost)) from None

    def start(self) -> Worker:
        """A fresh worker, which has run nothing.

        Raises:
            WorkerLost: none could be started.
            NoSandbox, RuntimeError: as `ready` says.
        """
        self.ready()
        ours, theirs = socket.socketpair()
        with theirs:
            number = next(self._numbers)
            answer = self._ask(f"start {number}", theirs)
        if answer != "started":
            ours.close()
            raise WorkerLost(f"no worker could be started: {answer or 'the nursery has ended'}")
        return Worker(self, number, PatientSocket(fileno=ours.detach()))

    def kill(self, number: int) -> str:
        """End a worker with all that it has started; how it had ended before, if it had."""
        # Where there is no nursery any more, its workers were ended with it.
        answer = self._ask(f"kill {number}") or KILLED_FROM_OUTSIDE
        return "" if answer == "killed" else answer

    def time(self, number: int, since: float) -> float | None:
        """The seconds of its own that a worker has used since a time by `time.monotonic()`.

        None if nobody knows: the worker, or who watches it, has ended.
        """
        with contextlib.suppress(ValueError):
            return float(self._ask(f"time {number} {since:.3f}"))
        return None

    def _ask(self, request: str, *descriptors: socket.socket) -> str:
        """The nursery's answer; empty if there is none, and never will be."""
        return self._answer() if self._send(request, *descriptors) else ""

    def _send(self, request: str, *descriptors: socket.socket) -> bool:
        try:
            numbers = [each.fileno() for each in descriptors]
            socket.send_fds(self._control, [request.encode()], numbers)
        except OSError:
            self.close()
            return False
        return True

    def _answer(self) -> str:
        answer = b""
        with contextlib.suppress(OSError):
            answer = self._control.recv(1000)
        if not answer:
            self.close()
        return answer.decode(errors="replace")

    def close(self) -> None:
        """End every worker, and what they come from."""
        self._control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Nursery(Workers):
    """Workers from a nursery of one's own, which ends with this. A context manager.

    It warms itself while the caller does something else, until the first worker is asked for.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, sandboxed: bool = True) -> None:
        """Start it.

        Args:
            limits: of its workers.

        Raises:
            NoSandbox: bubblewrap is not installed.
        """
        self.limits = limits
        self._process = NurseryProcess(limits, sandboxed=sandboxed)
        super().__init__(self._process.branch(), sandboxed=sandboxed)

    def ready(self) -> None:
        self._process.ready()
        super().ready()

    def close(self) -> None:
        super().close()
        self._process.close()


class Worker:
    """One worker, seen from outside. After `WorkerLost` it answers nothing any more."""

    def __init__(self, workers: Workers, number: int, end: PatientSocket) -> None:
        self._workers, self._number, self._end = workers, number, end
        self._channel = Channel(end)
        self._requests = itertools.count()
        self.value: float | None = None
        """The number in which the last cell that was run has ended; None if it was not one."""
        self._lost: WorkerLost | None = None

    @property
    def lost(self) -> bool:
        """Whether it is of no more use."""
        return self._lost is not None

    def run(self, source: str, seconds: float | Allowance) -> list[dict[str, Any]]:
        """Run a cell; its outputs as a notebook keeps them, harmless and within limits.

        Raises:
            WorkerLost: it did not end in time, or took the worker with it.
        """
        allowance = seconds if isinstance(seconds, Allowance) else Allowance(seconds)
        answer = self.ask({"do": "run", "source": source}, allowance)
        value = answer.get("value")
        self.value = value if type(value) is float else None
        return readable(answer)

    def ask(self, request: Mapping[str, Any], allowance: Allowance) -> Mapping[str, Any]:
        """Send a request and give back the answer, which is anything that the wire allows.

        Args:
            allowance: what the worker has left; what it uses is booked there.

        Raises:
            WorkerLost: as the class says.
        """
        if self._lost:
            raise self._lost
        patience = Patience(allowance, lambda since: self._workers.time(self._number, since))
        self._end.patience = patience
        try:
            number = next(self._requests)
            self._channel.send({**request, "number": number})
            answer = self._channel.receive()
            # An answer to another request is one that a student's code has put on the wire.
            if not isinstance(answer, Mapping) or answer.get("number") != number:
                raise WireError("that is not an answer to the request")
            patience.end()
            return answer
        except WireError as error:
            patience.end()
            raise self._ended(str(error)) from None

    def close(self, reason: str = "it was closed") -> None:
        """End it with all that it has started."""
        self._ended(reason)

    def _ended(self, reason: str) -> WorkerLost:
        if not self._lost:
            how = self._workers.kill(self._number)
            self._channel.close()
            kind = WorkerKilled if how == KILLED_FROM_OUTSIDE else WorkerLost
            self._lost = kind(f"{reason}: {how}" if how else reason)
        return self._lost

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
