"""The course that is graded: where nbgrader's configuration says things are, and what it limits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from traitlets import TraitError
from traitlets.config import Config

from attncourse.instructor.limits import Limits, configured_limits

CONFIG = "nbgrader_config.py"


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
    """nbgrader's configuration in `root`. Quick, since nbgrader itself is not loaded.

    Raises:
        GradeError: there is none, it fails, or nbgrader is not installed.
    """
    look_for_course(root)
    from traitlets.config.loader import PyFileConfigLoader

    try:
        return PyFileConfigLoader(CONFIG, path=str(root)).load_config()
    except Exception as error:
        raise GradeError(f"{root / CONFIG} fails: {type(error).__name__}: {error}") from None


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
