"""A digest of all that decides on a score but the submission: when it changes, a batch regrades."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from attncourse.dependencies import PACKAGE, digest, used_files
from attncourse.instructor.course.secret import course_seed

# The judge's side with the rules of scoring, and the worker's side.
_CODE = ("attncourse.instructor.batch.records", "attncourse.instructor.referee.nursery")


def code_fingerprint(*also: str) -> str:
    """A digest of the code that grades and of what it is built on, as installed here.

    Args:
        also: further modules that it shall cover, with what they are built on.
    """
    files = [(PACKAGE, file) for file in used_files((*_CODE, *also))]
    return digest(files, metadata.version("torch"))


def version(root: Path, *, groupshared: bool = False) -> str:
    """A digest of the code that grades, of what it is built on, and of the course's secret."""
    decisive = (code_fingerprint(), course_seed(root, groupshared=groupshared)("", ""))
    return hashlib.sha256(repr(decisive).encode()).hexdigest()
