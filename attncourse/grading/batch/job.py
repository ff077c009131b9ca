"""A job: a process that grades one submission after another with workers of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

import attncourse.grading.problem_sets  # noqa: F401  once, where jobs are forked from
from attncourse.grading.batch.grading import grade
from attncourse.grading.batch.messages import Broken, Ready, Unfit, in_short
from attncourse.grading.batch.terms import Terms
from attncourse.grading.course.secret import course_seed
from attncourse.grading.course.submissions import Submission, read
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.judge import Workers
from attncourse.grading.referee.notebook import CheckError, see_that_checks_can_be_made


def serve(connection: Connection, nursery: socket.socket, sandboxed: bool) -> None:
    """Hear the `Terms`, then grade what is sent, a `Submission` at a time, until it is killed.

    Args:
        nursery: where a branch of it answers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Nobody sends anything any more: the parent is gone, and `_end_with_parent` may be later.
    over = contextlib.suppress(EOFError)
    with over, Workers(nursery, sandboxed=sandboxed) as workers:
        terms: Terms = connection.recv()
        try:
            workers.ready()
            see_that_checks_can_be_made((p, cell.source) for p, cell in terms.problem_set.checks)
        except (NoSandbox, RuntimeError, CheckError) as error:
            connection.send(Unfit(str(error)))
            return
        seed = course_seed(terms.root)
        connection.send(Ready())
        while True:
            submission: Submission = connection.recv()
            try:
                graded = grade(read(submission, terms.problem_set.names), terms, workers, seed)
            except Exception as error:
                connection.send(Broken(in_short(error)))
                return
            connection.send(graded)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # in the midst of whatever: its workers end when their socket closes
