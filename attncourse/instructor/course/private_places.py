"""What of a course students' code must not see, whatever the sandbox shows for Python's sake."""

from __future__ import annotations

from collections.abc import Iterator

from traitlets.config import Config

from attncourse.instructor.course.configuration import (
    Course,
    configurations_in_jupyters_folders,
)

Places = tuple[tuple[str, str], ...]
"""What each of them is, and its path."""

_STEPS = ("source", "release", "submitted", "autograded", "feedback")


def private_places(course: Course, config: Config) -> Places:
    """The course, its database, and the exchange, wherever nbgrader's configuration has them.

    Args:
        config: all of it that is loaded.

    Raises:
        GradeError: a configuration fails, so that nobody knows.
    """
    root = course.root.absolute()
    found = [("the course", str(root))]
    for step in _STEPS:
        folder = root / getattr(course.directory, f"{step}_directory")
        found.append((f"the course's folder {step}", str(folder)))
    if database := _file_of(course.directory.db_url):
        found.append(("the gradebook", str(root / database)))
    for each in (config, *configurations_in_jupyters_folders()):
        found += _exchanges(each)
    return tuple(found)


def _exchanges(config: Config) -> Iterator[tuple[str, str]]:
    for section in config:
        for name in ("root", "cache") if section.startswith("Exchange") else ():
            if isinstance(place := config[section].get(name), str) and place:
                yield f"nbgrader's exchange ({section}.{name})", place


def _file_of(database: str) -> str | None:
    from sqlalchemy.engine import make_url

    url = make_url(database)
    return url.database if url.get_backend_name() == "sqlite" else None
