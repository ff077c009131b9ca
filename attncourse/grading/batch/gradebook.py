"""The one writer: autograded/ and nbgrader's gradebook, as `nbgrader autograde` leaves them."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat
import sqlalchemy
from nbformat import NotebookNode
from nbgrader import api  # type: ignore[import-untyped]
from nbgrader.preprocessors import AssignLatePenalties  # type: ignore[import-untyped]
from nbgrader.utils import find_all_files, parse_utc  # type: ignore[import-untyped]

from attncourse.grading.batch.course import (
    Course,
    GradeError,
    ProblemSet,
    SourceCell,
    SourceNotebook,
)
from attncourse.grading.batch.records import Graded, Record
from attncourse.grading.release import own_programs_on_path

_READ_ONLY, _SHARED = 0o444, 0o664  # as nbgrader leaves the files


class Gradebook:
    """nbgrader's gradebook, open for one problem set. A context manager."""

    def __init__(self, course: Course, problem_set: str) -> None:
        """Open it.

        Raises:
            GradeError: the database cannot be used, or does not know the problem set.
        """
        self._course, self._name = course, problem_set
        url = course.directory.db_url
        try:
            with own_programs_on_path():
                self._gradebook = api.Gradebook(url, course.directory.course_id)
            self.problem_set = self._read_problem_set()
        except sqlalchemy.exc.SQLAlchemyError as error:
            shown = sqlalchemy.make_url(url).render_as_string(hide_password=True)
            raise GradeError(
                f"the gradebook {shown} cannot be used: {str(error).splitlines()[0][:300]}. If "
                "nbgrader was upgraded, copy the gradebook and run `nbgrader db upgrade`"
            ) from None

    def _read_problem_set(self) -> ProblemSet:
        try:
            assignment = self._gradebook.find_assignment(self._name)
            if not assignment.notebooks:
                raise api.MissingEntry
        except api.MissingEntry:
            raise GradeError(
                f"the gradebook does not know {self._name}; "
                f"run `nbgrader generate_assignment {self._name} --force` first"
            ) from None
        return ProblemSet(
            self._name,
            tuple(map(self._notebook, sorted(assignment.notebooks, key=lambda book: book.name))),
        )

    def _notebook(self, entry: Any) -> SourceNotebook:
        points = {cell.name: cell.max_score for cell in (*entry.grade_cells, *entry.task_cells)}
        graded, tasks, solutions = (
            {cell.name for cell in cells}
            for cells in (entry.grade_cells, entry.task_cells, entry.solution_cells)
        )
        cells = {
            cell.name: SourceCell(
                name=cell.name,
                cell_type=cell.cell_type,
                source=cell.source,
                checksum=cell.checksum,
                grade=cell.name in graded,
                solution=cell.name in solutions,
                task=cell.name in tasks,
                locked=cell.locked,
                points=points.get(cell.name),
            )
            for cell in entry.source_cells
        }
        order = self._order(entry.name)
        if set(order) != cells.keys():
            raise GradeError(
                f"solutions/{self._name}/{entry.name}.ipynb and the gradebook do not have the same "
                f"cells; run `nbgrader generate_assignment {self._name} --force`"
            )
        kernelspec = json.loads(entry.kernelspec) if entry.kernelspec else {}
        return SourceNotebook(entry.name, kernelspec, tuple(cells[name] for name in order))

    def _order(self, notebook: str) -> list[str]:
        """Names of the cells as they stand in the source: the gradebook does not keep the order."""
        path = self._course.folder("source", ".", self._name) / f"{notebook}.ipynb"
        try:
            cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise GradeError(f"{path} cannot be read: {error}") from None
        marks = (cell.metadata.get("nbgrader", {}) for cell in cells)
        named = ("grade", "solution", "locked", "task")
        return [mark["grade_id"] for mark in marks if any(mark.get(kind) for kind in named)]

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
            (book.name, cell): score
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

    def write(self, graded: Graded, handed_in: Path) -> Record:
        """Enter a submission in the gradebook and in autograded/; its record, with what is there.

        Scores and comments that a person gave are left as they are.
        """
        record = graded.record
        try:
            self._enter(record)
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise GradeError(
                f"the gradebook cannot be written: {str(error).splitlines()[0][:300]}. Once that "
                "is mended, the same command goes on where it stopped"
            ) from None
        self._write_notebooks(graded, handed_in)
        digests = {
            name: sha256(text.encode()).hexdigest() for name, text in graded.notebooks.items()
        }
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
        tasks = {
            cell.name for source in self.problem_set.notebooks for cell in source.cells if cell.task
        }
        for notebook in record.notebooks:
            entry = found[notebook.name]
            for grade in entry.grades:
                before, grade.auto_score = grade.auto_score, notebook.scores[grade.name]
                if grade.name in tasks and before is grade.auto_score is None:
                    continue  # nbgrader too leaves it to the person who read it
                by_hand = grade.manual_score is not None or grade.auto_score is None
                grade.needs_manual_grade = by_hand
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
        folder = course.folder("autograded", graded.record.student, self._name)
        new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
        for left_over in (new, old):
            shutil.rmtree(left_over, ignore_errors=True)
        new.mkdir(parents=True)
        for origin in (handed_in, course.folder("source", ".", self._name)):
            self._copy_files(origin, new)
        for name, text in graded.notebooks.items():
            (new / f"{name}.ipynb").write_text(text, encoding="utf-8")
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

    def __enter__(self) -> Gradebook:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gradebook.close()


def _timestamp(text: str | None) -> dict[str, Any]:
    """When the work was handed in; nothing if that was not written down, or cannot be read."""
    try:
        return {"timestamp": parse_utc(text)} if text else {}
    except (ValueError, OverflowError):
        return {}
