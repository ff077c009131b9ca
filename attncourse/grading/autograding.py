"""The referee's places inside stock nbgrader; `nbgrader_config.py` puts them there.

`Submissions` reads what was handed in, `Referee` stands where nbgrader's own `Execute` would run
the cells, and `SaveScores` adds to `SaveAutoGrades` what nbgrader has no rule for. Everything
before, between and after is nbgrader's.
"""

from __future__ import annotations

import atexit
import functools
import glob
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]
from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]
from nbgrader.preprocessors import (  # type: ignore[import-untyped]
    NbGraderPreprocessor,
    SaveAutoGrades,
)
from traitlets import Bool
from traitlets.utils.importstring import import_item

from attncourse.grading.course import configuration, submissions
from attncourse.grading.course.configuration import Course, GradeError
from attncourse.grading.course.gradebook import opened, read_problem_set
from attncourse.grading.course.problem_set import ProblemSet
from attncourse.grading.course.sanitising import (
    can_be_run,
    mended_in,
    problem_with,
    refuse,
    sanitised,
)
from attncourse.grading.course.scoring import enter, scores_in
from attncourse.grading.course.secret import SecretError, course_seed
from attncourse.grading.course.submissions import Submission
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.judge import Nursery
from attncourse.grading.referee.notebook import (
    CheckError,
    NoWorker,
    referee,
    see_that_checks_can_be_made,
)


class Submissions(NotebookExporter):
    """Reads a submission however it is broken, and puts the problem set's own cells back in."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        # Here nothing has been touched yet, and an exception ends the run. From the first
        # submission on, nbgrader would take it for that student's fault and go on to the next.
        try:
            self._problem_set = _problem_set(_directory(self))
            if Referee in _planned(self):
                checks = self._problem_set.checks
                see_that_checks_can_be_made((place, cell.source) for place, cell in checks)
                Referee(parent=self).prepare()
        except (GradeError, NoSandbox, RuntimeError, SecretError, CheckError) as reason:
            advice = " (here: --Referee.sandboxed=False)" if isinstance(reason, NoSandbox) else ""
            self.log.error("Nothing was graded: %s%s", reason, advice)
            raise NbGraderException(str(reason)) from None
        if self.parent is not None:
            _plan_every_notebook(self.parent, self._problem_set)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[Any, dict[str, Any]]:
        """As nbconvert's; a notebook that was handed in is sanitised."""
        path, about = Path(filename), (resources or {})["nbgrader"]
        directory = _directory(self)
        submitted = directory.format_path(
            directory.submitted_directory, about["student"], about["assignment"]
        )
        if path.parent != Path(submitted):  # it is in autograded/, and has been read before
            return super().from_filename(filename, resources, **settings)
        names = [each.name for each in self._problem_set.notebooks]
        handed_in = submissions.read(Submission(about["student"], path.parent), [path.stem], names)
        [source] = [each for each in self._problem_set.notebooks if each.name == path.stem]
        notebook = sanitised(handed_in.notebooks[path.stem], source)
        problem = problem_with(notebook)
        if told := mended_in(notebook) if problem is None else problem.reason:
            self.log.warning("%s, %s: %s", about["student"], path.name, told)
        metadata = {"name": path.stem, "path": str(path.parent)}
        given = {**(resources or {}), "metadata": metadata}
        return self.from_notebook_node(notebook, given, **settings)  # type: ignore[no-untyped-call]


class Referee(NbGraderPreprocessor, configuration.Referee):  # type: ignore[misc]
    """Runs the cells in a sandboxed worker, and lets the judge make the checks."""

    sandboxed = Bool(
        True,
        help="Whether students' code is confined. Without the sandbox it runs with your rights, "
        "and can read and write what you can: only for work that you have read, or on a machine "
        "that is thrown away. The autograded notebooks say so.",
    ).tag(config=True)

    def prepare(self) -> None:
        """See that a run can begin.

        Raises:
            NoSandbox: students' code cannot be confined here.
            RuntimeError: the nursery does not start, for any other reason.
            SecretError: the course's secret cannot be used.
        """
        course_seed(Path(_directory(self).root))
        _nursery(self.sandboxed)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Run and judge the notebook."""
        problem = problem_with(nb)
        if problem is not None and not can_be_run(nb):
            refuse(nb, problem)
            return nb, resources
        seed = functools.partial(
            course_seed(Path(_directory(self).root)), resources["nbgrader"]["student"]
        )
        try:
            self._referee(nb, seed)
        except NoWorker:  # the nursery has died, which is no student's doing
            _forget_nursery(self.sandboxed)
            self._referee(nb, seed)
        return nb, resources

    def _referee(self, nb: NotebookNode, seed: functools.partial[str]) -> None:
        referee(
            nb,
            _nursery(self.sandboxed),
            seed=seed,
            seconds=self.seconds,
            total_seconds=self.total_seconds,
        )


class SaveScores(SaveAutoGrades):  # type: ignore[misc]
    """nbgrader's own, and then the score by the rules that `attncourse grade` has too."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Enter the scores and comments of the notebook in the gradebook."""
        self._scores = scores_in(nb)
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Enter those of a cell."""
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in self._scores:
            place = (name, self.notebook_id, self.assignment_id, self.student_id)
            enter(self.gradebook.find_grade(*place), self._scores[name])
            self.gradebook.db.commit()
        return cell, resources


def _plan_every_notebook(converter: Any, problem_set: ProblemSet) -> None:
    """Let nbgrader also convert the notebooks that a student has not handed in.

    It would leave out who has handed in none, and fail on who has only others: neither would have
    a score, or be told why.
    """
    directory = converter.coursedir
    wanted = [f"{notebook.name}.ipynb" for notebook in problem_set.notebooks]
    if directory.notebook_id != "*":
        wanted = [name for name in wanted if name == f"{directory.notebook_id}.ipynb"]
    place = directory.format_path(
        directory.submitted_directory, directory.student_id, directory.assignment_id
    )
    for folder in glob.glob(place):
        found = converter.assignments.get(folder, [])
        missing = {str(Path(folder) / name) for name in wanted} - set(found)
        converter.assignments[folder] = [*found, *missing]


def _planned(exporter: NotebookExporter) -> list[Any]:
    """The preprocessors that will run or replace the cells."""
    planned = getattr(exporter.parent, "autograde_preprocessors", [])
    return [import_item(each) if isinstance(each, str) else each for each in planned]


def _directory(configurable: Any) -> Any:
    """The folders of the course that a converter, or something that belongs to one, works on."""
    while not isinstance(getattr(configurable, "coursedir", None), CourseDirectory):
        configurable = configurable.parent
    return configurable.coursedir


class _RunningCourse(Course):
    """The course of the nbgrader command that is running, with what its command line said."""

    def __init__(self, directory: Any) -> None:
        self.root, self.directory, self.config = Path(directory.root), directory, directory.config


def _problem_set(directory: Any) -> ProblemSet:
    course = _RunningCourse(directory)
    with opened(course) as gradebook:
        return read_problem_set(course, gradebook, directory.assignment_id)


_nurseries: dict[bool, Nursery] = {}


def _nursery(sandboxed: bool) -> Nursery:
    """The nursery of this process, started when it is first needed."""
    if sandboxed not in _nurseries:
        nursery = Nursery(sandboxed=sandboxed)
        nursery.ready()
        _nurseries[sandboxed] = nursery
    return _nurseries[sandboxed]


def _forget_nursery(sandboxed: bool) -> None:
    _nurseries.pop(sandboxed).close()


@atexit.register
def _close_nurseries() -> None:
    for sandboxed in list(_nurseries):
        _forget_nursery(sandboxed)
