"""The referee in the place of nbgrader's own `Execute`."""

from __future__ import annotations

import atexit
import functools
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor  # type: ignore[import-untyped]
from traitlets import Bool

from attncourse.instructor.course.own_files import own_files
from attncourse.instructor.course.private_places import private_places
from attncourse.instructor.course.sanitising import can_be_run, problem_with, refuse
from attncourse.instructor.course.secret import course_seed
from attncourse.instructor.limits import Limits, LimitSettings
from attncourse.instructor.pipeline.running_course import RunningCourse, course_directory
from attncourse.instructor.referee.notebook import NoWorker, grade_notebook
from attncourse.instructor.referee.sandbox import require_hidden
from attncourse.instructor.referee.workers import Nursery


class Referee(NbGraderPreprocessor, LimitSettings):  # type: ignore[misc]
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
            NoSandbox: students' code cannot be confined here, or would see what it must not.
            GradeError: a configuration of nbgrader's fails.
            RuntimeError: the nursery does not start, for any other reason.
            SecretError: the course's secret cannot be used.
        """
        directory = course_directory(self)
        course_seed(Path(directory.root), groupshared=directory.groupshared)
        if self.sandboxed:
            course = RunningCourse(self)
            require_hidden(private_places(course, course.config))
        _nursery(self.limits(), self.sandboxed)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Run and judge the notebook."""
        problem = problem_with(nb)
        if problem is not None and not can_be_run(nb):
            refuse(nb, problem)
            return nb, resources
        seed = functools.partial(
            course_seed(Path(course_directory(self).root)), resources["nbgrader"]["student"]
        )
        try:
            self._grade(nb, seed)
        except NoWorker:  # the nursery has died, which no student has brought about
            _forget_nursery(self.limits(), self.sandboxed)
            self._grade(nb, seed)
        return nb, resources

    def _grade(self, nb: NotebookNode, seed: functools.partial[str]) -> None:
        limits = self.limits()
        workers = _nursery(limits, self.sandboxed)
        grade_notebook(nb, workers, seed=seed, limits=limits, files=self._files())

    def _files(self) -> dict[str, bytes]:
        """Those that the instructor has laid beside the notebook, by path."""
        course = RunningCourse(self)
        found = own_files(course, course.directory.assignment_id)
        return {file.path: file.content for file in found}


_nurseries: dict[tuple[Limits, bool], Nursery] = {}


def _nursery(limits: Limits, sandboxed: bool) -> Nursery:
    """The nursery of this process, started when it is first needed."""
    if (limits, sandboxed) not in _nurseries:
        nursery = Nursery(limits, sandboxed=sandboxed)
        nursery.ready()
        _nurseries[limits, sandboxed] = nursery
    return _nurseries[limits, sandboxed]


def _forget_nursery(limits: Limits, sandboxed: bool) -> None:
    _nurseries.pop((limits, sandboxed)).close()


@atexit.register
def _close_nurseries() -> None:
    for settings in list(_nurseries):
        _forget_nursery(*settings)
