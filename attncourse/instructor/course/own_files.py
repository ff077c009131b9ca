"""What the instructor lays beside the notebooks of a problem set, for students' code to read."""

from __future__ import annotations

import hashlib

from attncourse.instructor.course.assignment import OwnFile
from attncourse.instructor.course.configuration import Course
from attncourse.instructor.course.files_beside import copying


def own_files(course: Course, problem_set: str) -> tuple[OwnFile, ...]:
    """The files that nbgrader would copy to a submission, and hands out with the notebooks.

    No notebook is among them, so no solution.
    """
    source = course.folder("source", ".", problem_set)
    rules = copying(course.directory, source)
    found = []
    for name in sorted(rules.ours):
        path = source / name
        if path.is_file() and path.stat().st_size <= rules.most:
            content = path.read_bytes()
            found.append(OwnFile(name, hashlib.sha256(content).hexdigest(), content))
    return tuple(found)
