"""A digest of all that decides on a score but the submission: when it changes, a batch regrades.

And what a machine of a cluster has to have in common with this one.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from attncourse.dependencies import PACKAGE, digest, used_files
from attncourse.instructor.course.secret import course_seed

# The judge's side with the rules of scoring, and the worker's side.
_CODE = ("attncourse.instructor.batch.records", "attncourse.instructor.referee.nursery")


_GRADING = ("attncourse", frozenset({"cluster", "instructor"}))  # and the extras that grade
_NAMED = 5


@dataclass(frozen=True)
class Installed:
    """What a machine grades with."""

    package: str
    """A digest of all of this package: a student's cells may import any of it."""
    python: str
    libraries: Mapping[str, str]
    """What this package is built on, by name, in its version."""

    def unlike(self, other: Installed) -> str:
        """What is not the same there, in words; empty if all is."""
        found = []
        if self.package != other.package:
            found.append("another version of attncourse")
        if self.python != other.python:
            found.append(f"Python {other.python} instead of {self.python}")
        libraries = [
            f"{name} {other.libraries.get(name, 'not at all')} instead of {version}"
            for name, version in self.libraries.items()
            if other.libraries.get(name) != version
        ]
        more = f" and {len(libraries) - _NAMED} more" if len(libraries) > _NAMED else ""
        return ", ".join([*found, *libraries[:_NAMED]]) + more


def installed() -> Installed:
    """What this machine grades with."""
    files = [(PACKAGE, file) for file in sorted(PACKAGE.rglob("*.py"))]
    python = ".".join(platform.python_version_tuple()[:2])
    return Installed(digest(files), python, dict(sorted(_libraries())))


def _libraries() -> Iterator[tuple[str, str]]:
    waiting, seen = [_GRADING], set()
    while waiting:
        name, extras = waiting.pop()
        name = re.sub(r"[-_.]+", "-", name).lower()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if name != _GRADING[0]:
            yield name, distribution.version
        for text in distribution.requires or ():
            needed = Requirement(text)
            environments: list[dict[str, str]] = [{"extra": extra} for extra in ("", *extras)]
            if needed.marker is None or any(map(needed.marker.evaluate, environments)):
                waiting.append((needed.name, frozenset(needed.extras)))


def code_fingerprint() -> str:
    """A digest of the code that grades and of what it is built on, as installed here."""
    files = [(PACKAGE, file) for file in used_files(_CODE)]
    return digest(files, metadata.version("torch"))


def version(root: Path, *, groupshared: bool = False) -> str:
    """A digest of the code that grades, of what it is built on, and of the course's secret."""
    decisive = (code_fingerprint(), course_seed(root, groupshared=groupshared)("", ""))
    return hashlib.sha256(repr(decisive).encode()).hexdigest()
