"""A batch from its beginning to its end: what is to be graded, by what, and written down by one."""

from __future__ import annotations

import contextlib
import fcntl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from attncourse.instructor.batch.fingerprint import version
from attncourse.instructor.batch.grading import FAILED, Graded, failed, in_short
from attncourse.instructor.batch.records import FOLDER, Record, Records
from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.batch.writer import Writer, ends_the_batch
from attncourse.instructor.course.configuration import CONFIG, Course, GradeError
from attncourse.instructor.course.gradebook import open_gradebook, read_assignment
from attncourse.instructor.course.moment import has_no_time
from attncourse.instructor.course.private_places import private_places
from attncourse.instructor.course.release import problem_set_names
from attncourse.instructor.course.secret import SecretError
from attncourse.instructor.course.sharing import advice, share_file, share_folder
from attncourse.instructor.course.submissions import (
    HIDDEN,
    LeftOut,
    Submission,
    find,
    printable,
    read,
)


class Backend(Protocol):
    """What grades the submissions: jobs on this machine, or a cluster."""

    @property
    def sandboxed(self) -> bool:
        """Whether students' code is confined."""

    def grade_all(
        self, waiting: list[Submission], settings: BatchSettings
    ) -> Iterator[tuple[Submission, Graded]]:
        """Every submission as it is graded, in whatever order; none is missing.

        One that could not be graded has a problem of the kind `FAILED`.

        Raises:
            GradeError: nothing can be graded; the message says why and what to do.
        """


@dataclass(frozen=True)
class Batch:
    """What has been graded, and what was there to be graded."""

    problem_set: str
    records: list[Record]
    """Of every submission, by student."""
    graded: int
    """How many of them in this run; the others were graded before."""
    left_out: list[LeftOut]
    """What lies there and was not graded."""
    without_time: list[str]
    """Students with a timestamp that gives no time."""
    points: float
    """The most that the checks give."""

    @property
    def is_complete(self) -> bool:
        """Whether everybody who has handed in is graded. A hidden folder is nobody's."""
        return all(each.kind == HIDDEN for each in self.left_out)


def grade_problem_set(course: Course, name: str, backend: Backend) -> Batch:
    """Grade every submission of a problem set that is new or changed.

    All of them are graded again if what grades them has changed. A submission whose grading failed
    is tried again too.

    Raises:
        GradeError: nothing can be graded; the message says why and what to do.
    """
    submissions, left_out = _found(course, name)
    groupshared = course.directory.groupshared
    locked = _locked(course.root, name, groupshared=groupshared)
    with locked, open_gradebook(course) as gradebook:
        assignment = read_assignment(course, gradebook, name)
        try:
            now = version(course.root, groupshared=groupshared)
        except SecretError as error:
            raise GradeError(str(error)) from None
        private = private_places(course, course.config)
        settings = BatchSettings(
            assignment, course.root, course.limits, backend.sandboxed, private, now
        )
        writer = Writer(course, gradebook, assignment)
        records = Records(course.root, name, groupshared=groupshared)
        if not course.creates_students:
            submissions, unknown = _known(submissions, writer)
            left_out += unknown
        done, waiting = _done_and_to_do(submissions, settings, writer, records)
        progress = tqdm(
            backend.grade_all(waiting, settings) if waiting else (),
            total=len(waiting),
            unit="submission",
            desc=name,
            file=sys.stderr,
            dynamic_ncols=True,
            disable=not waiting,
        )
        for submission, graded in progress:
            try:
                record = _written(submission, graded, settings, writer)
                records[submission.student] = record
            except OSError as error:
                raise GradeError(
                    f"what was graded cannot be written: {error}. Once that is mended, the "
                    "same command goes on where it stopped"
                ) from None
            done[submission.student] = record
    ordered = [done[submission.student] for submission in submissions]
    without_time = [each.student for each in submissions if has_no_time(each.folder)]
    return Batch(name, ordered, len(waiting), left_out, without_time, assignment.points)


def _written(
    submission: Submission, graded: Graded, settings: BatchSettings, writer: Writer
) -> Record:
    """Write down what was graded; or if no more than that is wrong, that it could not be."""
    try:
        return writer.write(graded, submission.folder, sandboxed=settings.sandboxed)
    except Exception as error:
        if ends_the_batch(error):
            raise
        why = f"Its result cannot be recorded: {printable(in_short(error))}."
    try:
        graded = failed(submission, settings, why)
        return writer.write(graded, submission.folder, sandboxed=settings.sandboxed)
    except Exception as error:
        if ends_the_batch(error):
            raise
        raise GradeError(
            f"nothing can be recorded for the submission of {submission.student}: "
            f"{printable(in_short(error))}. Move it elsewhere, and the same command grades the "
            "others"
        ) from None


def _found(course: Course, name: str) -> tuple[list[Submission], list[LeftOut]]:
    known = problem_set_names(course.root)
    if name not in known:
        raise GradeError(
            f"there is no problem set {name!r} in solutions/; there is {', '.join(known) or 'none'}"
        )
    submissions, left_out = find(course, name)
    if not submissions:
        place, directory = course.folder("submitted", "STUDENT", name), course.directory
        why = f"nothing is submitted for {name}; submissions go to {place}/"
        if left_out:
            why += f". Left out: {'; '.join(f'{each.name}: {each.reason}' for each in left_out)}"
        if directory.student_id != "*" or directory.student_id_exclude:
            why += f". In {CONFIG}, student_id and student_id_exclude say who is graded"
        raise GradeError(why)
    return submissions, left_out


def _known(submissions: list[Submission], writer: Writer) -> tuple[list[Submission], list[LeftOut]]:
    """Those of students in the gradebook, and the others."""
    students = writer.students()
    known = [each for each in submissions if each.student in students]
    reason = (
        "The gradebook does not know this student, and the configuration says not to create any "
        "(create_student). Enter the student by `nbgrader db student add`."
    )
    unknown = [
        LeftOut(each.student, "not in the gradebook", reason)
        for each in submissions
        if each.student not in students
    ]
    if not known:
        names = ", ".join(each.name for each in unknown)
        raise GradeError(f"of {names}, nothing can be graded. {reason.removesuffix('.')}")
    return known, unknown


@contextlib.contextmanager
def _locked(root: Path, name: str, *, groupshared: bool) -> Iterator[None]:
    """There is one writer: a second batch of the same problem set is refused."""
    folder = root / FOLDER
    path = folder / f"{name}.lock"
    try:
        folder.mkdir(exist_ok=True)
        if groupshared:
            share_folder(folder)
        lock = open(path, "w")  # noqa: SIM115 - it is closed below
        if groupshared:
            share_file(path)
    except OSError as error:
        why = f"the records of {name} cannot be kept in {folder}: {error}"
        if isinstance(error, PermissionError) and folder.exists():
            why += advice(folder, "-R g+rwX")
        raise GradeError(why) from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GradeError(f"{name} is being graded already; wait until that has ended") from None
        yield


def _done_and_to_do(
    submissions: list[Submission], settings: BatchSettings, writer: Writer, records: Records
) -> tuple[dict[str, Record], list[Submission]]:
    names = settings.assignment.names
    scores = writer.scores()
    done, to_do = {}, []
    for submission in submissions:
        record = records[submission.student]
        if (
            record is not None
            and not any(book.problem and book.problem.kind == FAILED for book in record.notebooks)
            and record.key == settings.key(read(submission, names).digest)
            and writer.holds(record, scores.get(submission.student, {}))
        ):
            done[submission.student] = record
        else:
            to_do.append(submission)
    return done, to_do
