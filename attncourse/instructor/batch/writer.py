"""The one writer: autograded/ and nbgrader's gradebook, as `nbgrader autograde` leaves them."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy
from nbformat import NotebookNode
from nbgrader import api  # type: ignore[import-untyped]
from nbgrader.preprocessors import AssignLatePenalties  # type: ignore[import-untyped]

from attncourse.instructor.batch.grading import Graded
from attncourse.instructor.batch.records import FOLDER, Record, record_of
from attncourse.instructor.course.assignment import Assignment
from attncourse.instructor.course.configuration import Course
from attncourse.instructor.course.files_beside import copy_files
from attncourse.instructor.course.gradebook import FAILURES, database_url, refuses_an_entry
from attncourse.instructor.course.moment import moment
from attncourse.instructor.course.scoring import enter
from attncourse.instructor.course.sharing import FILE_RIGHTS, share_file, share_folder
from attncourse.instructor.course.submissions import copying_rules

_READ_ONLY = 0o444  # as nbgrader leaves them


class Writer:
    """Writes what jobs have graded; there is one of it for a problem set."""

    def __init__(self, course: Course, gradebook: api.Gradebook, assignment: Assignment) -> None:
        self._course, self._gradebook = course, gradebook
        self._name = assignment.name

    def scores(self) -> dict[str, dict[tuple[str, str], float | None]]:
        """By student, the score that every graded cell of a notebook has from the checks."""
        rows = self._gradebook.db.execute(
            sqlalchemy.select(
                api.SubmittedAssignment.student_id,
                api.Notebook.name,
                api.BaseCell.name,
                api.Grade.auto_score,
            )
            .join(api.SubmittedNotebook, api.SubmittedNotebook.id == api.Grade.notebook_id)
            .join(api.Notebook, api.Notebook.id == api.SubmittedNotebook.notebook_id)
            .join(
                api.SubmittedAssignment,
                api.SubmittedAssignment.id == api.SubmittedNotebook.assignment_id,
            )
            .join(api.Assignment, api.Assignment.id == api.SubmittedAssignment.assignment_id)
            .join(api.BaseCell, api.BaseCell.id == api.Grade.cell_id)
            .where(api.Assignment.name == self._name)
        )
        found: dict[str, dict[tuple[str, str], float | None]] = defaultdict(dict)
        for student, notebook, cell, score in rows:
            found[student][notebook, cell] = score
        return found

    def students(self) -> set[str]:
        """Whom the gradebook knows."""
        return set(self._gradebook.db.scalars(sqlalchemy.select(api.Student.id)))

    def holds(self, record: Record, scores: dict[tuple[str, str], float | None]) -> bool:
        """Whether what the record says still stands, in the gradebook and in autograded/."""
        wanted = {
            (book.name, cell): score.points
            for book in record.notebooks
            for cell, score in book.scores.items()
        }
        folder = self._course.folder("autograded", record.student, self._name)
        try:
            return scores == wanted and all(
                sha256((folder / f"{name}.ipynb").read_bytes()).hexdigest() == digest
                for name, digest in record.written.items()
            )
        except OSError:
            return False

    def write(self, graded: Graded, handed_in: Path, *, sandboxed: bool) -> Record:
        """Enter a submission in the gradebook and in autograded/; its record, with what is there.

        Scores and comments that a person gave are left as they are.
        """
        record = record_of(graded, sandboxed=sandboxed)
        with self._gradebook_lock():
            try:
                self._enter(record)
            except FAILURES:  # once more: somebody else may have entered the same student
                self._gradebook.db.remove()
                self._enter(record)
        self._write_notebooks(graded, handed_in)
        digests = {book.name: sha256(book.text.encode()).hexdigest() for book in graded.notebooks}
        return replace(record, written=digests)

    @contextlib.contextmanager
    def _gradebook_lock(self) -> Iterator[None]:
        """Batches of different problem sets enter one submission each, in turn.

        No problem set, whatever its name, has this file for itself.
        """
        path = self._course.root / FOLDER / ".lock"
        with open(path, "w") as file:
            if self._course.directory.groupshared:
                share_file(path)
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                self._gradebook.db.remove()  # what was begun is taken back

    def _enter(self, record: Record) -> None:
        book, name = self._gradebook, self._name
        book.update_or_create_student(record.student)
        with book.db.no_autoflush:  # nbgrader's own order of building a submission makes it warn
            submission = book.update_or_create_submission(
                name, record.student, **_timestamp(record.timestamp)
            )
        late = submission.total_seconds_late > 0
        found = {notebook.name: notebook for notebook in submission.notebooks}
        for notebook in record.notebooks:
            entry = found[notebook.name]
            for grade in entry.grades:
                enter(grade, notebook.scores[grade.name])
            for comment in entry.comments:
                comment.auto_comment = notebook.comments.get(comment.name)
            if not late:
                entry.late_submission_penalty = None
        book.db.commit()
        book.db.remove()  # or every student of the class would stay in memory
        if late:
            for notebook in record.notebooks:
                self._penalise(record.student, notebook.name)

    def _penalise(self, student: str, notebook: str) -> None:
        marks = {"student": student, "assignment": self._name, "notebook": notebook}
        resources = {"nbgrader": {**marks, "db_url": database_url(self._course)}}
        empty = NotebookNode(cells=[])  # type: ignore[no-untyped-call]
        AssignLatePenalties(config=self._course.config).preprocess(empty, resources)

    def _write_notebooks(self, graded: Graded, handed_in: Path) -> None:
        """The whole folder at once: it is made aside and then takes its place."""
        course = self._course
        folder = course.folder("autograded", graded.student, self._name)
        new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
        for left_over in (new, old):
            shutil.rmtree(left_over, ignore_errors=True)
        new.mkdir(parents=True)
        self._copy_files(handed_in, new)
        for book in graded.notebooks:
            (new / f"{book.name}.ipynb").write_text(book.text, encoding="utf-8")
        shared = course.directory.groupshared
        for path in new.rglob("*"):
            if path.is_file():
                path.chmod(FILE_RIGHTS if shared else _READ_ONLY)
            elif shared:
                share_folder(path)
        if shared:
            for path in (new, folder.parent, course.folder("autograded", ".", ".")):
                share_folder(path)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    def _copy_files(self, handed_in: Path, target: Path) -> None:
        source = self._course.folder("source", ".", self._name)
        copy_files(source, handed_in, target, copying_rules(self._course, self._name))


def ends_the_batch(error: Exception) -> bool:
    """Whether the disk or the database fails, which does not concern one submission alone."""
    return isinstance(error, (OSError, *FAILURES)) and not refuses_an_entry(error)


def _timestamp(text: str | None) -> dict[str, Any]:
    """When the work was handed in; nothing if that was not written down, or cannot be read."""
    when = moment(text)
    return {} if when is None else {"timestamp": when}
