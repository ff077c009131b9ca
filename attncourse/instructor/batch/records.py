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
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import reads
from nbgrader.utils import (  # type: ignore[import-untyped]
    compute_checksum,
    is_grade,
    is_solution,
    is_task,
)

from attncourse.instructor.batch.grading import Graded, GradedNotebook
from attncourse.instructor.course.sanitising import mended_in, problem_with
from attncourse.instructor.course.scoring import Score, scores_in
from attncourse.instructor.course.sharing import share_file, share_folder
from attncourse.instructor.course.submissions import Problem
from attncourse.instructor.notes import note_in

FOLDER = ".grade"
NO_RESPONSE = "No response."  # nbgrader's words for an answer that was left as it stood
_NAMED_CELLS = 3  # that one cause cut short


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


def record_of(graded: Graded, *, sandboxed: bool) -> Record:
    """The record of a submission that has been graded and is not written yet.

    By nbgrader's own rules: its `SaveAutoGrades` would need a database.
    """
    notebooks = tuple(map(_notebook_record, graded.notebooks))
    return Record(graded.student, graded.key, graded.timestamp, sandboxed, notebooks)


def _notebook_record(graded: GradedNotebook) -> NotebookRecord:
    # Not nbformat.reads, which validates: it was made valid a moment ago.
    notebook = reads(graded.text)  # type: ignore[no-untyped-call]
    scores = scores_in(notebook)
    comments: dict[str, str | None] = {}
    items = []
    for cell in notebook.cells:
        if "nbgrader" not in cell.metadata:
            continue
        name = cell.metadata.nbgrader.grade_id
        if is_grade(cell) and cell.cell_type == "code" and not is_solution(cell):
            items.append(_item(name, cell, scores[name].points or 0.0))
        if is_solution(cell) or is_task(cell):
            untouched = cell.metadata.nbgrader.checksum == compute_checksum(cell)
            comments[name] = NO_RESPONSE if untouched and not is_task(cell) else None
    return NotebookRecord(
        name=graded.name,
        problem=problem_with(notebook),
        mended=mended_in(notebook),
        scores=scores,
        comments=comments,
        items=tuple(items),
        stopped=tuple(_stopped(notebook.cells)),
    )


def _item(name: str, cell: NotebookNode, score: float) -> ItemRecord:
    return ItemRecord(
        cell=name,
        score=score,
        points=float(cell.metadata.nbgrader.points),
        misconception=note_in(cell, "misconception"),
        needs_a_person=note_in(cell, "needs_a_person"),
    )


def _stopped(cells: list[NotebookNode]) -> Iterator[str]:
    """Once for each cause: where a notebook's time is over, every cell after that is cut short."""
    names: dict[str, list[str]] = defaultdict(list)
    for number, cell in enumerate(cells, 1):
        if why := note_in(cell, "stopped"):
            name = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {number}")
            names[why].append(name)
    for why, named in names.items():
        more = f" and {len(named) - _NAMED_CELLS} more" if len(named) > _NAMED_CELLS else ""
        yield f"{', '.join(named[:_NAMED_CELLS])}{more}: {why}"


class Records:
    """The records of a problem set."""

    def __init__(self, root: Path, problem_set: str, *, groupshared: bool = False) -> None:
        self._folder, self._groupshared = root / FOLDER / problem_set, groupshared

    def __getitem__(self, student: str) -> Record | None:
        """The student's record; None if there is none that can be read."""
        try:
            kept = json.loads(self._path(student).read_text(encoding="utf-8"))
            kept["notebooks"] = tuple(map(_loaded_notebook, kept["notebooks"]))
            return Record(**kept | {"written": dict(kept["written"])})
        except Exception:  # whatever shape it has
            return None

    def __setitem__(self, student: str, record: Record) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._groupshared:
            share_folder(self._folder)
        text = json.dumps(asdict(record), indent=1)
        write_safely(self._path(student), text, groupshared=self._groupshared)

    def __delitem__(self, student: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path(student).unlink()

    def _path(self, student: str) -> Path:
        # By digest: a name of 128 characters may be too long for a file, or differ only in case.
        return self._folder / f"{hashlib.sha256(student.encode()).hexdigest()[:32]}.json"


def write_safely(path: Path, text: str, *, groupshared: bool = False) -> None:
    """Write a file so that a reader finds all of it, or what was there before."""
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if groupshared:
        share_file(aside)
    aside.replace(path)


def _loaded_notebook(kept: dict[str, object]) -> NotebookRecord:
    problem, items, scores = kept["problem"], kept["items"], kept["scores"]
    kept["problem"] = Problem(**problem) if isinstance(problem, dict) else None
    assert isinstance(items, list)
    assert isinstance(scores, dict)
    kept["stopped"] = tuple(kept["stopped"])  # type: ignore[arg-type]
    kept["items"] = tuple(ItemRecord(**item) for item in items)
    kept["scores"] = {name: Score(**score) for name, score in scores.items()}
    return NotebookRecord(**kept)  # type: ignore[arg-type]
