"""The course that is graded: where nbgrader's configuration says things are, and what it limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from traitlets import TraitError
from traitlets.config import Config

from attncourse.instructor.limits import Limits, configured_limits

_NAME = "nbgrader_config"
CONFIG = f"{_NAME}.py"


class GradeError(Exception):
    """The problem set cannot be graded; the message says why and what to do."""


def look_for_course(root: Path) -> None:
    """See quickly that there is something to begin with.

    Raises:
        GradeError: there is no configuration, or nbgrader is not installed.
    """
    if not (root / CONFIG).is_file():
        raise GradeError(f"there is no {CONFIG} in {root}; run this from the course's root folder")
    if find_spec("nbgrader") is None:
        raise GradeError(
            "nbgrader is not installed; install this package with its instructor tools: "
            "pip install 'attncourse[instructor]'"
        )


def read_configuration(root: Path) -> Config:
    """nbgrader's configuration for the course in `root`. Quick, since nbgrader is not loaded.

    As its own commands have it there: Jupyter's folders first, and the course's file over them.

    Raises:
        GradeError: there is none, it fails, or nbgrader is not installed.
    """
    look_for_course(root)
    merged = Config()
    for each in (*configurations_in_jupyters_folders(), *_read(root, _NAME)):
        merged.merge(each)
    return merged


def configurations_in_jupyters_folders() -> Iterator[Config]:
    """Those that every nbgrader command reads, whatever the course: the later ones count.

    Raises:
        GradeError: one of them fails.
    """
    from jupyter_core.paths import jupyter_config_path

    # The most particular folder comes first there, and is read last.
    folders = [Path(each) for each in reversed(jupyter_config_path())]
    for name in ("jupyter_config", _NAME):
        for folder in folders:
            yield from _read(folder, name)


def _read(folder: Path, name: str) -> Iterator[Config]:
    from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

    for loader, ending in ((PyFileConfigLoader, "py"), (JSONFileConfigLoader, "json")):
        file = folder / f"{name}.{ending}"
        # Not one in a folder that is closed to us: nbgrader cannot read it either.
        if os.path.exists(file):
            try:
                # The whole path: in one to be looked in, traitlets takes `$NAME` for a variable.
                yield loader(str(file.absolute()), path=str(folder)).load_config()
            except Exception as error:
                raise GradeError(f"{file} fails: {type(error).__name__}: {error}") from None


def limits_in(config: Config) -> Limits:
    """The limits that the configuration sets.

    Raises:
        GradeError: one of them cannot be set so.
    """
    try:
        return configured_limits(config)
    except TraitError as error:
        raise GradeError(f"{CONFIG}: {error}") from None


class Course:
    """The folders, the database and the limits of nbgrader's configuration."""

    def __init__(self, root: Path) -> None:
        """Read the configuration in `root`.

        Raises:
            GradeError: there is none, it fails, or nbgrader is not installed.
        """
        config = read_configuration(root)
        from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]

        if "root" not in config.CourseDirectory:
            config.CourseDirectory.root = str(root)
        self.config = config
        self.directory = CourseDirectory(config=config)
        self.root = Path(self.directory.root)
        self.limits = limits_in(config)

    @property
    def creates_students(self) -> bool:
        """Whether who has handed in is entered in the gradebook, where nobody has done so."""
        return bool(self.config.Autograde.get("create_student", True))

    def folder(self, step: str, student: str, problem_set: str) -> Path:
        """Where nbgrader keeps `student`'s work at a step, such as `"submitted"`."""
        name = getattr(self.directory, f"{step}_directory")
        return Path(self.directory.format_path(name, student, problem_set))
