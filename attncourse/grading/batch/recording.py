"""What a graded submission gave, by nbgrader's own rules; its `SaveAutoGrades` has a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

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
from attncourse.grading.course.scoring import scores_in
from attncourse.grading.noting import noted

_NAMED = 3  # of the cells that one cause cut short
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
        misconception=noted(cell, "misconception"),
        needs_a_person=noted(cell, "needs_a_person"),
    )


def _stopped(cells: list[NotebookNode]) -> Iterator[str]:
    """Once for each cause: where a notebook's time is over, every cell after that is cut short."""
    names: dict[str, list[str]] = defaultdict(list)
    for number, cell in enumerate(cells, 1):
        if why := noted(cell, "stopped"):
            name = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {number}")
            names[why].append(name)
    for why, named in names.items():
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        yield f"{', '.join(named[:_NAMED])}{more}: {why}"
