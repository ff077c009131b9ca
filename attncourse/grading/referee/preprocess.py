"""The referee's places inside stock nbgrader; `nbgrader_config.py` puts them there.

`Submissions` reads what was handed in, and `Referee` stands where nbgrader's own `Execute` would
run the cells. Everything before, between and after is nbgrader's.
"""

from __future__ import annotations

import atexit
import functools
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]
from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]
from nbgrader.preprocessors import NbGraderPreprocessor  # type: ignore[import-untyped]
from traitlets import Bool, Float
from traitlets.utils.importstring import import_item

from attncourse.grading.batch import submissions
from attncourse.grading.batch.course import Course, GradeError, ProblemSet
from attncourse.grading.batch.gradebook import Gradebook
from attncourse.grading.batch.sanitising import sanitised
from attncourse.grading.batch.submissions import Submission
from attncourse.grading.referee import confinement
from attncourse.grading.referee.confinement import NoSandbox
from attncourse.grading.referee.judge import Nursery
from attncourse.grading.referee.notebook import NoWorker, referee
from attncourse.grading.referee.secret import SecretError, course_seed


class Submissions(NotebookExporter):
    """Reads a submission however it is broken, and puts the problem set's own cells back in."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        # Here nothing has been touched yet, and an exception ends the run. From the first
        # submission on, nbgrader would take it for that student's fault and go on to the next.
        try:
            self._problem_set = _problem_set(_directory(self))
            if Referee in _planned(self):
                Referee(parent=self).prepare()
        except (GradeError, NoSandbox, SecretError) as reason:
            advice = " (here: --Referee.sandboxed=False)" if isinstance(reason, NoSandbox) else ""
            self.log.error("Nothing was graded: %s%s", reason, advice)
            raise NbGraderException(str(reason)) from None

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
        handed_in = submissions.read(Submission(about["student"], path.parent), [path.stem])
        [source] = [each for each in self._problem_set.notebooks if each.name == path.stem]
        notebook, problem = sanitised(handed_in.notebooks[path.stem], source)
        if problem is not None:
            self.log.warning("%s, %s: %s", about["student"], path.name, problem.reason)
        metadata = {"name": path.stem, "path": str(path.parent)}
        given = {**(resources or {}), "metadata": metadata}
        return self.from_notebook_node(notebook, given, **settings)  # type: ignore[no-untyped-call]


class Referee(NbGraderPreprocessor):  # type: ignore[misc]
    """Runs the cells in a sandboxed worker, and lets the judge make the checks."""

    seconds = Float(
        90.0,
        min=1.0,
        help="The most that a cell may take, and the most that all calls of a check may take.",
    ).tag(config=True)

    total_seconds = Float(
        900.0,
        min=1.0,
        help="The most that a notebook may take, with everything that had to be run again.",
    ).tag(config=True)

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
            SecretError: the course's secret cannot be used.
        """
        course_seed(Path(_directory(self).root))
        if self.sandboxed:
            confinement.check()

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Run and judge the notebook."""
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
    with Gradebook(_RunningCourse(directory), directory.assignment_id) as gradebook:
        return gradebook.problem_set


_nurseries: dict[bool, Nursery] = {}


def _nursery(sandboxed: bool) -> Nursery:
    """The nursery of this process, started when it is first needed."""
    if sandboxed not in _nurseries:
        _nurseries[sandboxed] = Nursery(sandboxed=sandboxed)
    return _nurseries[sandboxed]


def _forget_nursery(sandboxed: bool) -> None:
    _nurseries.pop(sandboxed).close()


@atexit.register
def _close_nurseries() -> None:
    for sandboxed in list(_nurseries):
        _forget_nursery(sandboxed)
