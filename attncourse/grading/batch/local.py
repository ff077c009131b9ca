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

from attncourse.grading.batch.grading import TURNS, Graded, failed
from attncourse.grading.batch.messages import Broken, Message, Unfit
from attncourse.grading.batch.terms import Terms
from attncourse.grading.course.configuration import GradeError
from attncourse.grading.course.submissions import Submission
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.launching import NurseryProcess

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_START = 180.0  # seconds that a job has until it can be given work
_TO_SPARE = 180.0  # seconds that a turn has beyond those of its notebooks
_LOOKS = 3600.0  # seconds that are waited for a word: the system does not wait for any number
_LOADED = "attncourse.grading.batch.job"  # once, by the process that jobs are forked from


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

    def __init__(self, count: int, *, sandboxed: bool) -> None:
        """Start them.

        Raises:
            GradeError: students' code cannot be confined here.
        """
        self.sandboxed = sandboxed
        self._count = count
        self._running: list[_Job] = []
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_LOADED])
        self._nursery = self._new_nursery()
        for _ in range(count):
            self._start()

    def _new_nursery(self) -> NurseryProcess:
        try:
            return NurseryProcess(sandboxed=self.sandboxed)
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
        started = _Job(process, ours, time.monotonic() + _START)
        self._running.append(started)
        return started

    def graded(
        self, waiting: list[Submission], terms: Terms
    ) -> Iterator[tuple[Submission, Graded]]:
        """As `running.Graders` says."""
        queue = deque((submission, 1) for submission in waiting)
        turns: dict[str, int] = {}
        for each in self._running:
            _tell(each, terms)
        while queue or self._busy:
            while len(self._running) < min(self._count, len(queue) + self._busy):
                _tell(self._start(), terms)
            for each, message in self._heard():
                submission = each.submission
                if isinstance(message, Unfit):
                    raise GradeError(self._why_unfit(message))
                if isinstance(message, Broken):
                    self._drop(each)
                    if submission is None and each.ready:
                        continue  # it was idle: nothing is lost
                    if submission is None:
                        raise GradeError(f"no job could be started: {message.reason}")
                    if turns[submission.student] < TURNS:
                        queue.append((submission, turns[submission.student] + 1))
                    else:
                        why = f"Grading it failed twice: {message.reason}."
                        yield submission, failed(submission, terms, why)
                    continue
                each.ready, each.submission = True, None
                if queue:
                    each.submission, turn = queue.popleft()
                    turns[each.submission.student] = turn
                    its = len(terms.problem_set.notebooks) * terms.total_seconds
                    each.deadline = time.monotonic() + its + _TO_SPARE
                    _tell(each, each.submission)
                else:
                    each.deadline = float("inf")
                if isinstance(message, Graded):
                    assert submission is not None
                    yield submission, message

    @property
    def _busy(self) -> int:
        return sum(each.submission is not None for each in self._running)

    def _heard(self) -> Iterator[tuple[_Job, Message]]:
        """What jobs say, or is to be said of those that died or did not answer in time."""
        soonest = min(each.deadline for each in self._running)
        seconds = min(_LOOKS, max(0.0, soonest - time.monotonic()))
        ends = {each.connection: each for each in self._running}
        for end in wait(list(ends), seconds):
            assert isinstance(end, Connection)
            try:
                yield ends[end], end.recv()
            except (EOFError, OSError):
                ends[end].process.join(10)
                status = ends[end].process.exitcode
                yield ends[end], Broken(f"the job ended with status {status}")
        for each in list(self._running):
            if time.monotonic() > each.deadline:
                yield each, Broken("the job did not answer in time")

    def _why_unfit(self, message: Unfit) -> str:
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
    from attncourse.grading.batch.job import serve

    serve(connection, nursery, sandboxed)


def _tell(job: _Job, what: object) -> None:
    with contextlib.suppress(OSError):  # it has ended, which `_heard` will say
        job.connection.send(what)
