"""A job: a process that grades one submission after another with workers of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

import attncourse.instructor.referee.notebook  # noqa: F401  once, where jobs are forked from
from attncourse.instructor.batch.grading import (
    AttemptFailed,
    CannotGrade,
    Ready,
    grade,
    in_short,
)
from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.course.assignment import require_gradable
from attncourse.instructor.course.configuration import GradeError
from attncourse.instructor.course.secret import course_seed
from attncourse.instructor.course.submissions import Submission, read
from attncourse.instructor.referee.graded_cell import CheckError, require_valid_checks
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.workers import Workers


def serve(connection: Connection, nursery: socket.socket, sandboxed: bool) -> None:
    """Receive the `BatchSettings`, then grade one `Submission` after the other, until killed.

    Args:
        nursery: where a branch of it answers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Nobody sends anything any more: the parent is gone, and `_end_with_parent` may be later.
    over = contextlib.suppress(EOFError)
    with over, Workers(nursery, sandboxed=sandboxed) as workers:
        settings: BatchSettings = connection.recv()
        try:
            workers.ready()
            require_gradable(settings.assignment)
            require_valid_checks((p, cell.source) for p, cell in settings.assignment.checks)
        except (NoSandbox, RuntimeError, CheckError, GradeError) as error:
            connection.send(CannotGrade(str(error)))
            return
        seed = course_seed(settings.root)
        connection.send(Ready())
        while True:
            submission: Submission = connection.recv()
            try:
                handed_in = read(submission, settings.assignment.names)
                graded = grade(handed_in, settings, workers, seed)
            except Exception as error:
                connection.send(AttemptFailed(in_short(error)))
                return
            connection.send(graded)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # in the midst of whatever: its workers end when their socket closes
