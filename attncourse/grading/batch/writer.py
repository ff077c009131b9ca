"""The one writer: autograded/ and nbgrader's gradebook, as `nbgrader autograde` leaves them."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy
from nbformat import NotebookNode
from nbgrader import api  # type: ignore[import-untyped]
from nbgrader.preprocessors import AssignLatePenalties  # type: ignore[import-untyped]
from nbgrader.utils import find_all_files, parse_utc  # type: ignore[import-untyped]

from attncourse.grading.batch.grading import Graded
from attncourse.grading.batch.recording import recorded
from attncourse.grading.batch.records import Record
from attncourse.grading.course.configuration import Course
from attncourse.grading.course.problem_set import ProblemSet
from attncourse.grading.course.scoring import enter

_READ_ONLY, _SHARED = 0o444, 0o664  # as nbgrader leaves the files


class Writer:
    """Writes what jobs have graded; there is one of it for a problem set."""

    def __init__(self, course: Course, gradebook: api.Gradebook, problem_set: ProblemSet) -> None:
        self._course, self._gradebook = course, gradebook
        self._name = problem_set.name

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
        record = recorded(graded, sandboxed=sandboxed)
        self._enter(record)
        self._write_notebooks(graded, handed_in)
        digests = {book.name: sha256(book.text.encode()).hexdigest() for book in graded.notebooks}
        return replace(record, written=digests)

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
        resources = {"nbgrader": {**marks, "db_url": self._course.directory.db_url}}
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
        for origin in (handed_in, course.folder("source", ".", self._name)):
            self._copy_files(origin, new)
        for book in graded.notebooks:
            (new / f"{book.name}.ipynb").write_text(book.text, encoding="utf-8")
        mode = _SHARED if course.directory.groupshared else _READ_ONLY
        for path in new.rglob("*"):
            if path.is_file():
                path.chmod(mode)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    def _copy_files(self, origin: Path, target: Path) -> None:
        """What lies beside the notebooks. Not links: they may lead to somebody else's work."""
        if origin.is_symlink():
            return
        most = self._course.directory.max_file_size * 1000
        ignored = [*self._course.directory.ignore, "*.ipynb"]
        for path in map(Path, find_all_files(str(origin), ignored)):
            inside = path.relative_to(origin)
            linked = any((origin / part).is_symlink() for part in (inside, *inside.parents))
            if linked or not path.is_file() or path.stat().st_size > most:
                continue
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / inside)


def _timestamp(text: str | None) -> dict[str, Any]:
    """When the work was handed in; nothing if that was not written down, or cannot be read."""
    try:
        return {"timestamp": parse_utc(text)} if text else {}
    except (ValueError, OverflowError):
        return {}
