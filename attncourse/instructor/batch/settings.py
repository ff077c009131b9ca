"""What all submissions of a batch are graded under."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from attncourse.instructor.course.assignment import Assignment
from attncourse.instructor.course.private_places import Places
from attncourse.instructor.limits import Limits


@dataclass(frozen=True)
class BatchSettings:
    """What all submissions of a batch are graded under."""

    assignment: Assignment
    root: Path
    """Of the course."""
    limits: Limits
    sandboxed: bool
    private: Places
    """What students' code must not see on any machine that runs it."""
    version: str
    """A digest of all that decides on a score, but the submission: see `fingerprint.version`."""

    def key(self, digest: str) -> str:
        """The same for the same work under the same settings."""
        decisive = (digest, self.version, self.assignment, self.limits, self.sandboxed)
        return hashlib.sha256(repr(decisive).encode()).hexdigest()
