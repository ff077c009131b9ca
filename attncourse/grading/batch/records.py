"""What is known of each graded submission, kept beside the course: how a batch resumes.

A record is written last of all, after the autograded notebook and the gradebook. Whatever moment
a batch is killed at, a submission whose record is missing or no longer true is graded again, and
gets the same score, because the cases are drawn from the course's secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from attncourse.grading.course.scoring import Score
from attncourse.grading.course.submissions import Problem

FOLDER = ".grade"


@dataclass(frozen=True)
class ItemRecord:
    """What one graded cell gave."""

    cell: str
    score: float
    points: float
    misconception: str | None
    needs_a_person: str | None
    """Why a person has to look, if the judge failed."""


@dataclass(frozen=True)
class NotebookRecord:
    """What one notebook of a submission gave."""

    name: str
    problem: Problem | None
    mended: str
    """What was put right in it before it was graded; empty if nothing was."""
    scores: dict[str, Score]
    """Of each cell that gives points."""
    comments: dict[str, str | None]
    items: tuple[ItemRecord, ...]
    stopped: tuple[str, ...]
    """Of every cell and check that was cut short, which it is and why."""


@dataclass(frozen=True)
class Record:
    """What one submission gave."""

    student: str
    key: str
    """A digest of the submission and of all that decides on its score."""
    timestamp: str | None
    sandboxed: bool
    notebooks: tuple[NotebookRecord, ...]
    written: Mapping[str, str] = field(default_factory=dict)
    """Digests of the autograded notebooks."""

    @property
    def score(self) -> float:
        """The points that the checks gave."""
        return sum(each.points or 0.0 for book in self.notebooks for each in book.scores.values())


class Records:
    """The records of a problem set."""

    def __init__(self, root: Path, problem_set: str) -> None:
        self._folder = root / FOLDER / problem_set

    def __getitem__(self, student: str) -> Record | None:
        """The student's record; None if there is none that can be read."""
        try:
            kept = json.loads(self._path(student).read_text(encoding="utf-8"))
            kept["notebooks"] = tuple(map(_notebook, kept["notebooks"]))
            return Record(**kept | {"written": dict(kept["written"])})
        except Exception:  # whatever shape it has
            return None

    def __setitem__(self, student: str, record: Record) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_safely(self._path(student), json.dumps(asdict(record), indent=1))

    def __delitem__(self, student: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path(student).unlink()

    def _path(self, student: str) -> Path:
        # By digest: a name of 128 characters may be too long for a file, or differ only in case.
        return self._folder / f"{hashlib.sha256(student.encode()).hexdigest()[:32]}.json"


def write_safely(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds all of it, or what was there before."""
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _notebook(kept: dict[str, object]) -> NotebookRecord:
    problem, items, scores = kept["problem"], kept["items"], kept["scores"]
    kept["problem"] = Problem(**problem) if isinstance(problem, dict) else None
    assert isinstance(items, list)
    assert isinstance(scores, dict)
    kept["stopped"] = tuple(kept["stopped"])  # type: ignore[arg-type]
    kept["items"] = tuple(ItemRecord(**item) for item in items)
    kept["scores"] = {name: Score(**score) for name, score in scores.items()}
    return NotebookRecord(**kept)  # type: ignore[arg-type]
