"""The judge's side: start workers, run cells in them, call what they define, believe nothing."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from torch import Tensor

from attncourse.grading.caller import Failed, Outcome, Returned
from attncourse.grading.referee import confinement
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.launching import START, NurseryProcess
from attncourse.grading.referee.wire import Channel, WireError
from attncourse.grading.referee.worker_outputs import readable
from attncourse.grading.values import Foreign, Value
from attncourse.grading.verdict import STOPPED

_NO_SENSE = "the answer makes no sense"


class WorkerLost(Exception):
    """The worker ended, did not answer in time, or sent what makes no sense."""


class Workers:
    """Where workers come from: the nursery, or a branch of it, at the other end of a socket.

    Not for more than one thread.
    """

    def __init__(self, control: socket.socket, *, sandboxed: bool) -> None:
        self.sandboxed = sandboxed
        self._control = control
        self._control.settimeout(START)
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
        if self._heard() != "ready":
            self.close()
            raise RuntimeError("the nursery did not start")
        self._is_ready = True
        try:
            with self.start() as worker:
                worker.run("pass", START)
        except WorkerLost as lost:
            self.close()
            if self.sandboxed:
                raise NoSandbox(confinement.refused(str(lost))) from None
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
            said = self._ask(f"start {number}", theirs)
        if said != "started":
            ours.close()
            raise WorkerLost(f"no worker could be started: {said or 'the nursery has ended'}")
        return Worker(self, number, Channel(ours))

    def kill(self, number: int) -> str:
        """End a worker with all that it has started; how it had ended before, if it had."""
        said = self._ask(f"kill {number}")
        return "" if said == "killed" else said

    def _ask(self, request: str, *descriptors: socket.socket) -> str:
        """The nursery's answer; empty if there is none, and never will be."""
        return self._heard() if self._told(request, *descriptors) else ""

    def _told(self, request: str, *descriptors: socket.socket) -> bool:
        try:
            numbers = [each.fileno() for each in descriptors]
            socket.send_fds(self._control, [request.encode()], numbers)
        except OSError:
            self.close()
            return False
        return True

    def _heard(self) -> str:
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

    def __init__(self, *, sandboxed: bool = True) -> None:
        """Start it.

        Raises:
            NoSandbox: bubblewrap is not installed.
        """
        self._process = NurseryProcess(sandboxed=sandboxed)
        super().__init__(self._process.branch(), sandboxed=sandboxed)

    def ready(self) -> None:
        self._process.ready()
        super().ready()

    def close(self) -> None:
        super().close()
        self._process.close()


class Worker:
    """One worker, seen from outside. After `WorkerLost` it answers nothing any more."""

    def __init__(self, workers: Workers, number: int, channel: Channel) -> None:
        self._workers, self._number, self._channel = workers, number, channel
        self._requests = itertools.count()
        self._lost = ""

    @property
    def lost(self) -> bool:
        """Whether it is of no more use."""
        return bool(self._lost)

    def run(self, source: str, seconds: float) -> list[dict[str, Any]]:
        """Run a cell; its outputs as a notebook keeps them, harmless and within limits.

        Raises:
            WorkerLost: it did not end in time, or took the worker with it.
        """
        return readable(self.ask({"do": "run", "source": source}, time.monotonic() + seconds))

    def ask(self, request: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """Send a request and give back the answer, which is anything that the wire allows.

        Raises:
            WorkerLost: as the class says.
        """
        if self._lost:
            raise WorkerLost(self._lost)
        try:
            number = next(self._requests)
            self._channel.send({**request, "number": number}, deadline)
            answer = self._channel.receive(deadline)
            # An answer to another request is one that a student's code has put on the wire.
            if not isinstance(answer, Mapping) or answer.get("number") != number:
                raise WireError("the answer is no answer")
            return answer
        except WireError as error:
            self.close(str(error))
            raise WorkerLost(self._lost) from None

    def close(self, reason: str = "it was closed") -> None:
        """End it with all that it has started."""
        if not self._lost:
            self._channel.close()
            how = self._workers.kill(self._number)
            self._lost = f"{reason}: {how}" if how else reason

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RemoteCaller:
    """Calls a student's function in its worker; a `Caller`.

    Args:
        seconds: for all calls together. After that, each of them fails at once.
    """

    def __init__(self, worker: Worker, name: str, seconds: float) -> None:
        self._worker, self._name, self._seconds = worker, name, seconds
        self._deadline = time.monotonic() + seconds
        self.stopped = ""
        """Why the worker was lost in a call, if it was."""

    def look(self) -> Mapping[str, Any]:
        """What the name stands for: `missing`, `callable`, `kind`.

        Raises:
            WorkerLost: as the worker says.
        """
        found = self._worker.ask({"do": "look", "name": self._name}, self._deadline)
        if not isinstance(found.get("missing"), bool) or not isinstance(
            found.get("callable"), bool
        ):
            self._worker.close(_NO_SENSE)
            raise WorkerLost(_NO_SENSE)
        return found

    def call(
        self, args: Sequence[Value], kwargs: Mapping[str, Value], cotangent: Tensor | None = None
    ) -> Outcome:
        request = {
            "do": "call",
            "name": self._name,
            "args": list(args),
            "kwargs": dict(kwargs),
            "cotangent": cotangent,
        }
        try:
            answer = self._worker.ask(request, self._deadline)
            return _outcome(answer, [*args, *kwargs.values()], cotangent is not None)
        except (WorkerLost, WireError) as lost:
            self._worker.close(str(lost))  # if it made no sense, nothing that follows would
            late = time.monotonic() >= self._deadline
            reason = f"no answer within {self._seconds:g} seconds" if late else str(lost)
            self.stopped = self.stopped or reason
            return Failed(STOPPED, reason, None, "", "", "", False)


def _outcome(answer: Mapping[str, Any], given: Sequence[Value], graded: bool) -> Outcome:
    """The answer to a call as an outcome, if it has the form of one; what it says may be a lie.

    Raises:
        WireError: it does not have the form.
    """
    said = _text(answer.get("said"), 4000)
    if answer.get("outcome") == "failed":
        line = answer.get("line")
        return Failed(
            error=_text(answer.get("error"), 200),
            message=_text(answer.get("message"), 1000),
            line=line if type(line) is int else None,
            code=_text(answer.get("code"), 400),
            helper=_text(answer.get("helper"), 200),
            said=said,
            used_the_course=answer.get("used_the_course") is True,
        )
    inputs, gradients = answer.get("inputs"), answer.get("gradients")
    if "unsent" in answer:
        return Returned(Foreign("result too large to be looked at"), _as_given(given), None, said)
    if not isinstance(inputs, tuple) or len(inputs) != len(given):
        raise WireError(_NO_SENSE)
    wanted = [v for v in given if isinstance(v, Tensor) and v.is_floating_point()]
    fits = (
        isinstance(gradients, tuple)
        and len(gradients) == len(wanted)
        and all(
            got is None
            or (isinstance(got, Tensor) and (got.dtype, got.shape) == (v.dtype, v.shape))
            for got, v in zip(gradients, wanted, strict=True)
        )
    )
    taken = gradients if graded and fits else None
    return Returned(_flat(answer.get("value")), tuple(map(_flat, inputs)), taken, said)


def _as_given(given: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in given)


def _flat(value: Value) -> Value:
    """A value, or a tuple of such; anything deeper is foreign."""
    if isinstance(value, tuple):
        return tuple(each if _single(each) else Foreign(type(each).__name__) for each in value)
    return value if _single(value) else Foreign(type(value).__name__)


def _single(value: Value) -> bool:
    return value is None or isinstance(value, (Tensor, bool, int, float, str, Foreign))


def _text(value: Value, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""
