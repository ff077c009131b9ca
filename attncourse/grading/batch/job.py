"""A job: a process with a warm nursery that grades one submission after another."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

from attncourse.grading.batch.course import Terms
from attncourse.grading.batch.grading import grade
from attncourse.grading.batch.records import Graded
from attncourse.grading.batch.submissions import Submission, read
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.judge import Nursery
from attncourse.grading.referee.secret import course_seed


@dataclass(frozen=True)
class Ready:
    """The job has its nursery and can be given submissions."""


@dataclass(frozen=True)
class Unfit:
    """The job cannot work on this machine."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """The turn failed, and the job has ended."""

    reason: str


Message = Ready | Unfit | Broken | Graded


def serve(connection: Connection, terms: Terms) -> None:
    """Grade what is sent, a `Submission` at a time, until None comes or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        nursery = Nursery(sandboxed=terms.sandboxed)
    except (NoSandbox, RuntimeError) as error:
        connection.send(Unfit(str(error)))
        return
    names = [notebook.name for notebook in terms.problem_set.notebooks]
    seed = course_seed(terms.root)
    with nursery:
        connection.send(Ready())
        while isinstance(submission := connection.recv(), Submission):
            try:
                graded = grade(read(submission, names), terms, nursery, seed)
            except Exception as error:
                connection.send(Broken(f"{type(error).__name__}: {str(error)[:300]}"))
                return
            connection.send(graded)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # in the midst of whatever: the nursery ends when its socket closes
