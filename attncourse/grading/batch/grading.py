"""Grade one submission: bytes in, autograded notebooks and a record out. No database, no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import writes
from nbgrader.utils import (  # type: ignore[import-untyped]
    compute_checksum,
    determine_grade,
    is_grade,
    is_solution,
    is_task,
)

from attncourse.grading.batch.course import SourceNotebook, Terms
from attncourse.grading.batch.records import Graded, ItemRecord, NotebookRecord, Record
from attncourse.grading.batch.sanitising import FOREIGN, sanitised
from attncourse.grading.batch.submissions import HandedIn, Problem
from attncourse.grading.referee.judge import Nursery
from attncourse.grading.referee.notebook import referee

NO_RESPONSE = "No response."  # nbgrader's words for an answer that was left as it stood


def grade(
    handed_in: HandedIn, terms: Terms, nursery: Nursery, seed: Callable[[str, str], object]
) -> Graded:
    """Referee all notebooks of a submission.

    Args:
        seed: of a student and an item, what the item's cases are drawn from.
    """

    def run(notebook: NotebookNode) -> None:
        drawn = partial(seed, handed_in.student)
        referee(notebook, nursery, seed=drawn, seconds=terms.seconds)

    return _graded(handed_in, terms, run)


def not_graded(handed_in: HandedIn, terms: Terms, problem: Problem) -> Graded:
    """The submission with score 0 and the reason."""
    nothing = replace(handed_in, notebooks=dict.fromkeys(handed_in.notebooks, problem))
    graded = _graded(nothing, terms, lambda _: None)
    return replace(graded, record=replace(graded.record, key=terms.key(handed_in.digest)))


def _graded(handed_in: HandedIn, terms: Terms, run: Callable[[NotebookNode], None]) -> Graded:
    records, written = [], {}
    for source in terms.problem_set.notebooks:
        notebook, problem = sanitised(handed_in.notebooks[source.name], source)
        readable = problem is None or problem.kind == FOREIGN
        if readable:
            run(notebook)
        else:
            assert problem is not None
            _refuse(notebook, problem)
        notebook.metadata["attncourse"] = {"sandboxed": terms.sandboxed}
        records.append(_record(notebook, source, problem, readable))
        written[source.name] = writes(notebook)  # type: ignore[no-untyped-call]
    record = Record(
        student=handed_in.student,
        key=terms.key(handed_in.digest),
        timestamp=handed_in.timestamp,
        sandboxed=terms.sandboxed,
        notebooks=tuple(records),
    )
    return Graded(record, written)


def _refuse(notebook: NotebookNode, problem: Problem) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and is_grade(cell):
            error = {"output_type": "error", "ename": "NotGraded", "evalue": problem.reason}
            cell.outputs = [NotebookNode(error, traceback=[problem.reason])]  # type: ignore[no-untyped-call]


def _record(
    notebook: NotebookNode, source: SourceNotebook, problem: Problem | None, readable: bool
) -> NotebookRecord:
    # What nbgrader's SaveAutoGrades writes, without a database.
    scores: dict[str, float | None] = {}
    comments: dict[str, str | None] = {}
    items = []
    for cell in notebook.cells:
        if "nbgrader" not in cell.metadata:
            continue
        name = cell.metadata.nbgrader.grade_id
        if is_grade(cell):
            scores[name] = determine_grade(cell)[0] if readable else 0.0
            if cell.cell_type == "code" and not is_solution(cell):
                items.append(_item(name, cell, scores[name] or 0.0))
        elif is_task(cell):
            scores[name] = None if readable else 0.0
        if is_solution(cell) or is_task(cell):
            untouched = cell.metadata.nbgrader.checksum == compute_checksum(cell)
            comments[name] = NO_RESPONSE if untouched and not is_task(cell) else None
    return NotebookRecord(source.name, problem, scores, comments, tuple(items))


def _item(name: str, cell: NotebookNode, score: float) -> ItemRecord:
    told: dict[str, Any] = {}
    stopped = None
    for output in cell.outputs:
        told |= output.get("metadata", {}).get("attncourse", {})
        if output.output_type == "error" and output.ename == "Stopped":
            stopped = output.evalue
    points = float(cell.metadata.nbgrader.points)
    return ItemRecord(name, score, points, told.get("misconception"), stopped)
