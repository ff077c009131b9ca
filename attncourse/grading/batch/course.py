"""The course that is graded: where nbgrader's configuration says things are, and what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from attncourse.grading.referee.secret import course_seed

CONFIG = "nbgrader_config.py"
_PACKAGE = Path(__file__).resolve().parents[2]


class GradeError(Exception):
    """The problem set cannot be graded; the message says why and what to do."""


@dataclass(frozen=True)
class SourceCell:
    """A cell of the problem set that nbgrader knows by name."""

    name: str
    cell_type: str
    source: str
    checksum: str | None
    grade: bool
    solution: bool
    task: bool
    locked: bool
    points: float | None

    def metadata(self) -> dict[str, Any]:
        """What nbgrader keeps in the cell."""
        kept = {
            "schema_version": 3,
            "grade_id": self.name,
            "cell_type": self.cell_type,
            "checksum": self.checksum,
            "grade": self.grade,
            "solution": self.solution,
            "task": self.task,
            "locked": self.locked,
        }
        return kept | ({} if self.points is None else {"points": self.points})


@dataclass(frozen=True)
class SourceNotebook:
    """A notebook of the problem set as it was generated."""

    name: str
    kernelspec: dict[str, Any]
    cells: tuple[SourceCell, ...]
    """In the order of the notebook."""


@dataclass(frozen=True)
class ProblemSet:
    """What every submission of a problem set is graded against."""

    name: str
    notebooks: tuple[SourceNotebook, ...]


@dataclass(frozen=True)
class Terms:
    """What all submissions of a batch are graded under."""

    problem_set: ProblemSet
    root: Path
    """Of the course."""
    seconds: float
    """The most that a cell may take, and all calls of an item together."""
    sandboxed: bool
    version: str
    """A digest of all that decides on a score, but the submission: see `version`."""

    def key(self, digest: str) -> str:
        """The same for the same work under the same terms."""
        told = (digest, self.version, self.problem_set, self.seconds, self.sandboxed)
        return hashlib.sha256(repr(told).encode()).hexdigest()


def version(root: Path) -> str:
    """A digest of the graders, of what they are built on, and of the course's secret."""
    told = (metadata.version("torch"), course_seed(root)("", ""))
    digest = hashlib.sha256(repr(told).encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        parts = path.relative_to(_PACKAGE).parts
        if parts[0] in ("site", "visuals", "cli.py") or parts[:2] == ("grading", "batch"):
            continue
        digest.update("/".join(parts).encode() + path.read_bytes())
    return digest.hexdigest()


class Course:
    """The folders, the database and the time limit of nbgrader's configuration."""

    def __init__(self, root: Path) -> None:
        """Read the configuration in `root`.

        Raises:
            GradeError: there is none, it fails, or nbgrader is not installed.
        """
        if not (root / CONFIG).is_file():
            raise GradeError(
                f"there is no {CONFIG} in {root}; run this from the course's root folder"
            )
        try:
            from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]
        except ImportError:
            raise GradeError(
                "nbgrader is not installed; install this package with its instructor tools: "
                "pip install 'attncourse[instructor]'"
            ) from None
        from traitlets.config.loader import PyFileConfigLoader

        try:
            config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
        except Exception as error:
            raise GradeError(f"{root / CONFIG} fails: {type(error).__name__}: {error}") from None
        if "root" not in config.CourseDirectory:
            config.CourseDirectory.root = str(root)
        self.root, self.config = root, config
        self.directory = CourseDirectory(config=config)
        self.seconds = float(config.Execute.get("timeout", 30))

    def folder(self, step: str, student: str, problem_set: str) -> Path:
        """Where nbgrader keeps `student`'s work at a step, such as `"submitted"`."""
        name = getattr(self.directory, f"{step}_directory")
        return Path(self.directory.format_path(name, student, problem_set))
