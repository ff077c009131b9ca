"""What the instructor lays beside the notebooks of a problem set, for students' code to read."""

from __future__ import annotations

import hashlib

from attncourse.instructor.course.assignment import OwnFile
from attncourse.instructor.course.configuration import Course, GradeError
from attncourse.instructor.course.files_beside import copying
from attncourse.instructor.course.telling import tells


def own_files(course: Course, problem_set: str) -> tuple[OwnFile, ...]:
    """The files that nbgrader would copy to a submission, and hands out with the notebooks.

    No notebook is among them, nor what an editor has left behind, so no solution.

    Raises:
        GradeError: one looks like a solution, or is too large to be copied.
    """
    source = course.folder("source", ".", problem_set)
    rules = copying(course.directory, source)
    found = []
    for name in sorted(rules.ours):
        path = source / name
        if not path.is_file():
            continue
        if (size := path.stat().st_size) > rules.most:
            raise GradeError(
                f"{path} has {size:,} bytes, and nbgrader copies no file of more than "
                f"{rules.most:,}. Make it smaller, or set c.CourseDirectory.max_file_size (in kB) "
                "in nbgrader_config.py"
            )
        content = path.read_bytes()
        if tells(name, content):
            raise GradeError(
                f"{path} looks like a solution or a mark scheme, by its name or by what is in it, "
                "and students' code is shown what lies beside the notebook. Take it out of that "
                "folder"
            )
        found.append(OwnFile(name, hashlib.sha256(content).hexdigest(), content))
    return tuple(found)
