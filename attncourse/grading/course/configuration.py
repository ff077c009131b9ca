"""The course that is graded: where nbgrader's configuration says things are."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from traitlets import Float, TraitError, validate
from traitlets.config import Config, Configurable

CONFIG = "nbgrader_config.py"
_A_DAY = 86_400.0


class GradeError(Exception):
    """The problem set cannot be graded; the message says why and what to do."""


class Referee(Configurable):
    """How long things may take: `c.Referee.seconds`, say, in nbgrader's configuration.

    The class bears the name of the section, and is a part of `autograding.Referee`: so both ways
    of grading read the same settings.
    """

    seconds = Float(
        90.0,
        min=1.0,
        max=_A_DAY,
        help="The most that a cell may take, and the most that all calls of a check may take.",
    ).tag(config=True)

    total_seconds = Float(
        900.0,
        min=1.0,
        max=_A_DAY,
        help="The most that a notebook may take, with everything that had to be run again.",
    ).tag(config=True)

    @validate("seconds", "total_seconds")
    def _is_a_number(self, proposal: dict[str, Any]) -> float:
        value = float(proposal["value"])
        if math.isnan(value):  # neither below the least nor above the most
            raise TraitError(f"{proposal['trait'].name} must be a number, not nan")
        return value


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


class Course:
    """The folders, the database and the time limits of nbgrader's configuration."""

    def __init__(self, root: Path) -> None:
        """Read the configuration in `root`.

        Raises:
            GradeError: there is none, it fails, or nbgrader is not installed.
        """
        look_for_course(root)
        from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]
        from traitlets.config.loader import PyFileConfigLoader

        try:
            config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
        except Exception as error:
            raise GradeError(f"{root / CONFIG} fails: {type(error).__name__}: {error}") from None
        if "root" not in config.CourseDirectory:
            config.CourseDirectory.root = str(root)
        self.config = config
        self.directory = CourseDirectory(config=config)
        self.root = Path(self.directory.root)
        self.limits = _limits(config)

    def folder(self, step: str, student: str, problem_set: str) -> Path:
        """Where nbgrader keeps `student`'s work at a step, such as `"submitted"`."""
        name = getattr(self.directory, f"{step}_directory")
        return Path(self.directory.format_path(name, student, problem_set))


def _limits(config: Config) -> Referee:
    try:
        return Referee(config=config)
    except TraitError as error:
        raise GradeError(f"{CONFIG}: {error}") from None
