"""The course of the nbgrader command that is running, for the parts that stand in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]

from attncourse.instructor.course.assignment import Assignment
from attncourse.instructor.course.configuration import Course
from attncourse.instructor.course.gradebook import open_gradebook, read_assignment


class RunningCourse(Course):
    """The course that a converter works on, with what its command line set.

    Args:
        configurable: the converter, or something that belongs to it.
    """

    def __init__(self, configurable: Any) -> None:
        self.directory = course_directory(configurable)
        self.root = Path(self.directory.root)
        # Not the directory's: nbgrader makes that before it has read the files.
        self.config = configurable.config


def course_directory(configurable: Any) -> Any:
    """The folders of the course that a converter, or something that belongs to one, works on."""
    while not isinstance(getattr(configurable, "coursedir", None), CourseDirectory):
        configurable = configurable.parent
    return configurable.coursedir


def running_assignment(configurable: Any) -> Assignment:
    """The assignment that the command grades.

    Raises:
        GradeError: the gradebook cannot be used, or does not know it as it stands in the source.
    """
    course = RunningCourse(configurable)
    with open_gradebook(course) as gradebook:
        return read_assignment(course, gradebook, course.directory.assignment_id)
