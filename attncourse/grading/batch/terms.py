"""What all submissions of a batch are graded under."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from attncourse.grading.course.problem_set import ProblemSet
from attncourse.grading.course.secret import course_seed

_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Terms:
    """What all submissions of a batch are graded under."""

    problem_set: ProblemSet
    root: Path
    """Of the course."""
    seconds: float
    """The most that a cell may take, and all calls of an item together."""
    total_seconds: float
    """The most that a notebook may take."""
    sandboxed: bool
    version: str
    """A digest of all that decides on a score, but the submission: see `version`."""

    def key(self, digest: str) -> str:
        """The same for the same work under the same terms."""
        limits = (self.seconds, self.total_seconds)
        told = (digest, self.version, self.problem_set, limits, self.sandboxed)
        return hashlib.sha256(repr(told).encode()).hexdigest()


def graders() -> str:
    """A digest of the graders and of what they are built on, as they are installed here."""
    digest = hashlib.sha256(metadata.version("torch").encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        parts = path.relative_to(_PACKAGE).parts
        if parts[0] in ("site", "visuals", "cli.py") or parts[:2] == ("grading", "batch"):
            continue
        digest.update("/".join(parts).encode() + path.read_bytes())
    return digest.hexdigest()


def version(root: Path) -> str:
    """A digest of the graders, of what they are built on, and of the course's secret."""
    told = (graders(), course_seed(root)("", ""))
    return hashlib.sha256(repr(told).encode()).hexdigest()
