"""Reads a submission however it is broken: in the place of nbgrader's own exporter."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbgrader import utils  # type: ignore[import-untyped]
from nbgrader.converters import base  # type: ignore[import-untyped]
from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]
from traitlets.utils.importstring import import_item

from attncourse.instructor.course import submissions
from attncourse.instructor.course.assignment import Assignment, require_gradable
from attncourse.instructor.course.configuration import GradeError
from attncourse.instructor.course.files_beside import (
    Copying,
    copy_files,
    copying,
    remove_copies,
)
from attncourse.instructor.course.sanitising import mended_in, problem_with, sanitised
from attncourse.instructor.course.secret import SecretError
from attncourse.instructor.course.submissions import Submission
from attncourse.instructor.pipeline.referee import Referee
from attncourse.instructor.pipeline.running_course import (
    RunningCourse,
    course_directory,
    running_assignment,
)
from attncourse.instructor.pipeline.timestamps import read_timestamps_within_limits
from attncourse.instructor.referee.graded_cell import CheckError, require_valid_checks
from attncourse.instructor.referee.sandbox import Exposed, NoLinux, NoSandbox


class Submissions(NotebookExporter):
    """Reads a submission however it is broken, and puts the problem set's own cells back in."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        # Here nothing has been touched yet, and an exception ends the run. From the first
        # submission on, nbgrader would take it for that student's fault and go on to the next.
        try:
            self._assignment = running_assignment(self)
            if Referee in _planned(self):
                require_gradable(self._assignment)
                checks = self._assignment.checks
                require_valid_checks((place, cell.source) for place, cell in checks)
                Referee(parent=self).prepare()
        except (GradeError, NoSandbox, RuntimeError, SecretError, CheckError) as reason:
            unconfined = isinstance(reason, NoSandbox) and not isinstance(
                reason, (NoLinux, Exposed)
            )
            advice = " (here: --Referee.sandboxed=False)" if unconfined else ""
            self.log.error("Nothing was graded: %s%s", reason, advice)
            raise NbGraderException(str(reason)) from None
        if self.parent is not None:
            _plan_every_notebook(self.parent, self._assignment)
            _copy_what_is_harmless(self.parent)
            read_timestamps_within_limits(self.parent.coursedir)
            self._tell_what_is_hidden()

    def _tell_what_is_hidden(self) -> None:
        course = RunningCourse(self)
        for each in submissions.find(course, self._assignment.name)[1]:
            if each.kind == submissions.HIDDEN:
                self.log.warning("%s: %s", each.name, each.reason)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[Any, dict[str, Any]]:
        """As nbconvert's; a notebook that was handed in is sanitised."""
        path, about = Path(filename), (resources or {})["nbgrader"]
        directory = course_directory(self)
        submitted = directory.format_path(
            directory.submitted_directory, about["student"], about["assignment"]
        )
        if path.parent != Path(submitted):  # it is in autograded/, and has been read before
            return super().from_filename(filename, resources, **settings)
        names = [each.name for each in self._assignment.notebooks]
        rules = _copying(self.parent, about["assignment"])
        submission = Submission(about["student"], path.parent, rules)
        handed_in = submissions.read(submission, [path.stem], names)
        [source] = [each for each in self._assignment.notebooks if each.name == path.stem]
        notebook = sanitised(handed_in.notebooks[path.stem], source, handed_in.beside)
        problem = problem_with(notebook)
        said = [problem.reason if problem else "", mended_in(notebook)]
        if remark := " ".join(filter(None, said)):
            self.log.warning("%s, %s: %s", about["student"], path.name, remark)
        metadata = {"name": path.stem, "path": str(path.parent)}
        given = {**(resources or {}), "metadata": metadata}
        return self.from_notebook_node(notebook, given, **settings)  # type: ignore[no-untyped-call]


def _plan_every_notebook(converter: Any, assignment: Assignment) -> None:
    """Let nbgrader also convert the notebooks that a student has not handed in.

    It would leave out who has handed in none, and fail on who has only others: neither would have
    a score, or be told why.
    """
    directory = converter.coursedir
    wanted = [f"{notebook.name}.ipynb" for notebook in assignment.notebooks]
    if directory.notebook_id != "*":
        wanted = [name for name in wanted if name == f"{directory.notebook_id}.ipynb"]
    place = directory.format_path(
        directory.submitted_directory, directory.student_id, directory.assignment_id
    )
    for folder in glob.glob(place):  # by the pattern, brackets and all, that nbgrader looks by
        found = converter.assignments.get(folder, [])
        missing = {str(Path(folder) / name) for name in wanted} - set(found)
        converter.assignments[folder] = [*found, *missing]


def _copy_what_is_harmless(converter: Any) -> None:
    """Put our own copying of what lies beside a notebook in the place of nbgrader's.

    It follows links, with the instructor's rights, and keeps names that a browser runs.
    """
    stock = converter.init_assignment

    def init_assignment(assignment_id: str, student_id: str) -> None:
        with _nothing_found_to_copy():
            stock(assignment_id, student_id)
        course = RunningCourse(converter)
        target = course.folder("autograded", student_id, assignment_id)
        remove_copies(target)
        copy_files(
            course.folder("source", ".", assignment_id),
            course.folder("submitted", student_id, assignment_id),
            target,
            _copying(converter, assignment_id),
        )

    converter.init_assignment = init_assignment


def _copying(converter: Any, assignment: str) -> Copying:
    """The rules of the course, with what the command line set."""
    may_replace = getattr(converter, "exclude_overwriting", {}).get(assignment, ())
    source = RunningCourse(converter).folder("source", ".", assignment)
    return copying(converter.coursedir, source, student_may_replace=may_replace)


@contextlib.contextmanager
def _nothing_found_to_copy() -> Iterator[None]:
    """nbgrader copies what its functions of this name find."""
    kept = base.find_all_files, utils.find_all_files
    base.find_all_files = utils.find_all_files = lambda *_: []
    try:
        yield
    finally:
        base.find_all_files, utils.find_all_files = kept


def _planned(exporter: NotebookExporter) -> list[Any]:
    """The preprocessors that will run or replace the cells."""
    planned = getattr(exporter.parent, "autograde_preprocessors", [])
    return [import_item(each) if isinstance(each, str) else each for each in planned]
