"""What a graded submission gave, by nbgrader's own rules; its `SaveAutoGrades` has a database."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import reads
from nbgrader.utils import (  # type: ignore[import-untyped]
    compute_checksum,
    is_grade,
    is_solution,
    is_task,
)

from attncourse.grading.batch.grading import Graded, GradedNotebook
from attncourse.grading.batch.records import ItemRecord, NotebookRecord, Record
from attncourse.grading.course.sanitising import mended_in, problem_with
from attncourse.grading.course.scoring import scores_in, why_a_person
from attncourse.grading.verdict import STOPPED

NO_RESPONSE = "No response."  # nbgrader's words for an answer that was left as it stood


def recorded(graded: Graded, *, sandboxed: bool) -> Record:
    """The record of a submission that has been graded and is not written yet."""
    notebooks = tuple(map(_recorded, graded.notebooks))
    return Record(graded.student, graded.key, graded.timestamp, sandboxed, notebooks)


def _recorded(graded: GradedNotebook) -> NotebookRecord:
    # Not nbformat.reads, which validates: whoever wrote this a moment ago has made it valid.
    notebook = reads(graded.text)  # type: ignore[no-untyped-call]
    scores = scores_in(notebook)
    comments: dict[str, str | None] = {}
    items, stopped = [], []
    for number, cell in enumerate(notebook.cells, 1):
        if why := _why_stopped(cell):
            name = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {number}")
            stopped.append(f"{name}: {why}")
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
        stopped=tuple(stopped),
    )


def _item(name: str, cell: NotebookNode, score: float) -> ItemRecord:
    points = float(cell.metadata.nbgrader.points)
    return ItemRecord(name, score, points, _told(cell, "misconception"), why_a_person(cell))


def _why_stopped(cell: NotebookNode) -> str | None:
    for output in cell.get("outputs", ()):
        if output.output_type == "error" and output.ename == STOPPED:
            return str(output.evalue)
    return _told(cell, "stopped")


def _told(cell: NotebookNode, what: str) -> str | None:
    """What the referee noted of a check, beside the verdict."""
    told: dict[str, Any] = {}
    for output in cell.get("outputs", ()):
        told |= output.get("metadata", {}).get("attncourse", {})
    return told.get(what)
