"""Hand submissions to jobs and what they give to the writer; lose nobody, whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from attncourse.grading.batch import job
from attncourse.grading.batch.course import Course, GradeError, Terms, version
from attncourse.grading.batch.gradebook import Gradebook
from attncourse.grading.batch.grading import not_graded
from attncourse.grading.batch.records import FOLDER, Graded, Record, Records
from attncourse.grading.batch.submissions import Problem, Submission, find, read
from attncourse.grading.referee.confinement import NoSandbox, check
from attncourse.grading.referee.secret import SecretError
from attncourse.grading.release import problem_sets

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_FAILED = "grading failed"  # the kind of problem that is no matter of the submission alone
_TURNS = 2  # that a submission gets before it is recorded as failed
_START = 180.0  # seconds that a job has to warm its nursery
_MOST_CELLS = 12  # cells at their time limit that a turn has time for


@dataclass(frozen=True)
class Batch:
    """What has been graded, and what was there to be graded."""

    problem_set: str
    records: list[Record]
    """Of every submission, by student."""
    graded: int
    """How many of them in this run; the others were graded before."""
    misnamed: list[str]
    """Folders whose names can be no student's."""
    points: float
    """The most that the checks give."""


def grade_problem_set(course: Course, name: str, *, jobs: int, sandboxed: bool) -> Batch:
    """Grade every submission of a problem set that is new or changed, or whose item changed.

    A submission whose grading failed is tried again too.

    Raises:
        GradeError: nothing can be graded; the message says why and what to do.
    """
    known = problem_sets(course.root)
    if name not in known:
        raise GradeError(
            f"there is no problem set {name!r} in solutions/; there is {', '.join(known) or 'none'}"
        )
    submissions, misnamed = find(course, name)
    if not submissions:
        place = course.folder("submitted", "STUDENT", name)
        raise GradeError(f"nothing is submitted for {name}; submissions go to {place}/")
    if sandboxed:
        try:
            check()
        except NoSandbox as error:
            raise GradeError(str(error)) from None
    with _alone(course.root, name), Gradebook(course, name) as gradebook:
        try:
            now = version(course.root)
        except SecretError as error:
            raise GradeError(str(error)) from None
        terms = Terms(gradebook.problem_set, course.root, course.seconds, sandboxed, now)
        records = Records(course.root, name)
        found, waiting = _done_and_to_do(submissions, terms, gradebook, records)
        progress = tqdm(
            total=len(waiting),
            unit="submission",
            desc=name,
            file=sys.stderr,
            dynamic_ncols=True,
            disable=not waiting,
        )
        with progress:
            for submission, graded in _graded(waiting, terms, jobs):
                try:
                    record = gradebook.write(graded, submission.folder)
                    records[submission.student] = record
                except OSError as error:
                    raise GradeError(
                        f"what was graded cannot be written: {error}. Once that is mended, the "
                        "same command goes on where it stopped"
                    ) from None
                found[submission.student] = record
                progress.update()
    points = sum(
        cell.points or 0.0
        for notebook in terms.problem_set.notebooks
        for cell in notebook.cells
        if cell.grade and not cell.solution
    )
    ordered = [found[submission.student] for submission in submissions]
    return Batch(name, ordered, len(waiting), misnamed, points)


@contextlib.contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    """There is one writer: a second batch of the same problem set is refused."""
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GradeError(f"{name} is being graded already; wait until that has ended") from None
        yield


def _done_and_to_do(
    submissions: list[Submission], terms: Terms, gradebook: Gradebook, records: Records
) -> tuple[dict[str, Record], list[Submission]]:
    names = [notebook.name for notebook in terms.problem_set.notebooks]
    scores = gradebook.scores()
    done, to_do = {}, []
    for submission in submissions:
        record = records[submission.student]
        if (
            record is not None
            and not any(book.problem and book.problem.kind == _FAILED for book in record.notebooks)
            and record.key == terms.key(read(submission, names).digest)
            and gradebook.holds(record, scores.get(submission.student, {}))
        ):
            done[submission.student] = record
        else:
            to_do.append(submission)
    return done, to_do


@dataclass
class _Job:
    process: BaseProcess
    connection: Connection
    deadline: float
    submission: Submission | None = None
    ready: bool = False

    def end(self) -> None:
        """Ask it to end, and see to it that it does."""
        with contextlib.suppress(OSError):
            if self.ready and self.submission is None:
                self.connection.send(None)
                self.process.join(10)
        self.process.kill()
        self.process.join()
        self.connection.close()


@dataclass
class _Jobs:
    terms: Terms
    running: list[_Job] = field(default_factory=list)

    def start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        process = context.Process(target=job.serve, args=(theirs, self.terms), daemon=False)
        process.start()
        theirs.close()
        self.running.append(_Job(process, ours, time.monotonic() + _START))

    def heard(self) -> Iterator[tuple[_Job, job.Message]]:
        """What jobs say, or is to be said of those that died or did not answer in time."""
        soonest = min(each.deadline for each in self.running)
        ends = {each.connection: each for each in self.running}
        for end in wait(list(ends), max(0.0, soonest - time.monotonic())):
            assert isinstance(end, Connection)
            try:
                yield ends[end], end.recv()
            except (EOFError, OSError):
                ends[end].process.join(10)
                status = ends[end].process.exitcode
                yield ends[end], job.Broken(f"the job ended with status {status}")
        for each in list(self.running):
            if time.monotonic() > each.deadline:
                yield each, job.Broken("the job did not answer in time")

    def drop(self, ended: _Job) -> None:
        self.running.remove(ended)
        ended.end()


def _graded(
    waiting: list[Submission], terms: Terms, count: int
) -> Iterator[tuple[Submission, Graded]]:
    """Every submission as it is graded, in whatever order."""
    if not waiting:
        return
    multiprocessing.set_forkserver_preload([job.__name__])
    queue = deque((submission, 1) for submission in waiting)
    turns: dict[str, int] = {}
    jobs = _Jobs(terms)
    try:
        while queue or any(each.submission for each in jobs.running):
            while len(jobs.running) < min(count, len(queue) + _busy(jobs)):
                jobs.start()
            for each, message in jobs.heard():
                submission = each.submission
                if isinstance(message, job.Unfit):
                    raise GradeError(message.reason)
                if isinstance(message, job.Broken):
                    jobs.drop(each)
                    if submission is None and each.ready:
                        continue  # it was idle: nothing is lost
                    if submission is None:
                        raise GradeError(f"no job could be started: {message.reason}")
                    if turns[submission.student] < _TURNS:
                        queue.append((submission, turns[submission.student] + 1))
                    else:
                        yield submission, _failed(submission, terms, message.reason)
                    continue
                each.ready, each.submission = True, None
                if queue:
                    each.submission, turn = queue.popleft()
                    turns[each.submission.student] = turn
                    each.deadline = time.monotonic() + _MOST_CELLS * terms.seconds
                    each.connection.send(each.submission)
                else:
                    each.deadline = float("inf")
                if isinstance(message, Graded):
                    assert submission is not None
                    yield submission, message
    finally:
        for each in jobs.running:
            each.end()


def _busy(jobs: _Jobs) -> int:
    return sum(each.submission is not None for each in jobs.running)


def _failed(submission: Submission, terms: Terms, reason: str) -> Graded:
    handed_in = read(submission, [notebook.name for notebook in terms.problem_set.notebooks])
    problem = Problem(_FAILED, f"Grading it failed twice: {reason}.")
    return not_graded(handed_in, terms, problem)
