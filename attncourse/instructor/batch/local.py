"""Jobs on this machine: hand submissions to them, and lose nobody, whatever happens to a job."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Self

from attncourse.instructor.batch.grading import (
    MAX_ATTEMPTS,
    AttemptFailed,
    CannotGrade,
    Graded,
    Message,
    failed,
)
from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.course.configuration import GradeError
from attncourse.instructor.course.submissions import Submission
from attncourse.instructor.limits import CLOCK_MULTIPLE, Limits
from attncourse.instructor.referee.launching import NurseryProcess
from attncourse.instructor.referee.sandbox import NoSandbox, require_hidden

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_START_TIMEOUT = 180.0  # seconds that a job has until it can be given work
_ATTEMPT_MARGIN = 180.0  # seconds that an attempt has beyond those of its notebooks
_MAX_WAIT = 3600.0  # seconds at a time: the system refuses to wait for any number of them
_LOADED = "attncourse.instructor.batch.job"  # once, by the process that jobs are forked from


@dataclass
class _Job:
    process: BaseProcess
    connection: Connection
    deadline: float
    submission: Submission | None = None
    ready: bool = False

    def end(self) -> None:
        """End it. It holds nothing that could get lost, and its workers end with it."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class Jobs:
    """Processes that grade, and the nursery that they share. A context manager.

    They start at once, and get ready while the caller opens the course and its gradebook.
    """

    def __init__(self, count: int, *, limits: Limits, sandboxed: bool) -> None:
        """Start them.

        Raises:
            GradeError: students' code cannot be confined here.
        """
        self.sandboxed, self._limits = sandboxed, limits
        self._count = count
        self._running: list[_Job] = []
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_LOADED])
        self._nursery = self._new_nursery()
        for _ in range(count):
            self._start()

    def _new_nursery(self) -> NurseryProcess:
        try:
            return NurseryProcess(self._limits, sandboxed=self.sandboxed)
        except NoSandbox as error:
            raise GradeError(str(error)) from None

    def _start(self) -> _Job:
        if not self._nursery.alive:
            self._nursery.close()
            self._nursery = self._new_nursery()
        ours, theirs = self._context.Pipe()
        with self._nursery.branch() as branch:
            process = self._context.Process(
                target=_serve, args=(theirs, branch, self.sandboxed), daemon=False
            )
            process.start()
        theirs.close()
        started = _Job(process, ours, time.monotonic() + _START_TIMEOUT)
        self._running.append(started)
        return started

    def grade_all(
        self, waiting: list[Submission], settings: BatchSettings
    ) -> Iterator[tuple[Submission, Graded]]:
        """As `running.Backend` says."""
        try:
            require_hidden(settings.private if self.sandboxed else ())
        except NoSandbox as error:
            raise GradeError(str(error)) from None
        queue = deque((submission, 1) for submission in waiting)
        attempts: dict[str, int] = {}
        for each in self._running:
            _send(each, settings)
        while queue or self._busy:
            while len(self._running) < min(self._count, len(queue) + self._busy):
                _send(self._start(), settings)
            for each, message in self._messages():
                submission = each.submission
                if isinstance(message, CannotGrade):
                    raise GradeError(self._why_not(message))
                if isinstance(message, AttemptFailed):
                    self._drop(each)
                    if submission is None and each.ready:
                        continue  # it was idle: nothing is lost
                    if submission is None:
                        raise GradeError(f"no job could be started: {message.reason}")
                    if attempts[submission.student] < MAX_ATTEMPTS:
                        queue.append((submission, attempts[submission.student] + 1))
                    else:
                        why = f"Grading it failed twice: {message.reason}."
                        yield submission, failed(submission, settings, why)
                    continue
                each.ready, each.submission = True, None
                if queue:
                    each.submission, attempt = queue.popleft()
                    attempts[each.submission.student] = attempt
                    its = len(settings.assignment.notebooks) * settings.limits.total_seconds
                    each.deadline = time.monotonic() + CLOCK_MULTIPLE * its + _ATTEMPT_MARGIN
                    _send(each, each.submission)
                else:
                    each.deadline = float("inf")
                if isinstance(message, Graded):
                    assert submission is not None
                    yield submission, message

    @property
    def _busy(self) -> int:
        return sum(each.submission is not None for each in self._running)

    def _messages(self) -> Iterator[tuple[_Job, Message]]:
        """What jobs answer, and `AttemptFailed` of those that died or did not answer in time."""
        soonest = min(each.deadline for each in self._running)
        seconds = min(_MAX_WAIT, max(0.0, soonest - time.monotonic()))
        ends = {each.connection: each for each in self._running}
        for end in wait(list(ends), seconds):
            assert isinstance(end, Connection)
            try:
                yield ends[end], end.recv()
            except (EOFError, OSError):
                ends[end].process.join(10)
                status = ends[end].process.exitcode
                yield ends[end], AttemptFailed(f"the job ended with status {status}")
        for each in list(self._running):
            if time.monotonic() > each.deadline:
                yield each, AttemptFailed("the job did not answer in time")

    def _why_not(self, message: CannotGrade) -> str:
        try:
            self._nursery.ready()  # it knows more than a job that has waited for it
        except (NoSandbox, RuntimeError) as error:
            return str(error)
        return message.reason

    def _drop(self, ended: _Job) -> None:
        self._running.remove(ended)
        ended.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._running:
            each.end()
        self._nursery.close()


def _serve(connection: Connection, nursery: socket.socket, sandboxed: bool) -> None:
    # Imported here: the process that jobs are forked from has loaded it, this one has not.
    from attncourse.instructor.batch.job import serve

    serve(connection, nursery, sandboxed)


def _send(job: _Job, what: object) -> None:
    with contextlib.suppress(OSError):  # it has ended, which `_messages` will say
        job.connection.send(what)
