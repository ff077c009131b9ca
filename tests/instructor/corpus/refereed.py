"""A submission of the corpus on the referee's way, from the file to the scores."""

from __future__ import annotations

from pathlib import Path

import nbformat
from instructor.corpus.base import ordinary
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from attncourse.instructor.batch.grading import grade
from attncourse.instructor.batch.records import record_of
from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.course.assignment import Assignment, SourceCell, SourceNotebook
from attncourse.instructor.course.submissions import Submission, read
from attncourse.instructor.limits import Limits
from attncourse.instructor.referee.workers import Nursery

SECONDS = 5  # that a cell has, and all calls of an item together


def refereed(submitted: Path, nursery: Nursery) -> tuple[dict[str, float | None], NotebookNode]:
    """Points of each item, and the notebook that the instructor sees.

    Args:
        submitted: the folder that is handed in.
    """
    handed_in = read(Submission("student", submitted), ["similarity"])
    limits = Limits(seconds=SECONDS, total_seconds=10 * SECONDS)
    settings = BatchSettings(Assignment("ps1", (_source(),)), submitted, limits, True, (), "")
    done = grade(handed_in, settings, nursery, lambda student, item: f"a seed for {item}")
    (record,) = record_of(done, sandboxed=True).notebooks
    scores = {name.removesuffix("_check"): each.points for name, each in record.scores.items()}
    return scores, nbformat.reads(done.notebooks[0].text, as_version=4)


def _source() -> SourceNotebook:
    """The problem set as a gradebook would have it."""
    notebook = ordinary()
    cells = [
        SourceCell(
            name=cell.metadata.nbgrader.grade_id,
            cell_type=cell.cell_type,
            source=cell.source,
            released=cell.source,
            checksum=compute_checksum(cell),
            grade=cell.metadata.nbgrader.grade,
            solution=cell.metadata.nbgrader.solution,
            task=False,
            locked=cell.metadata.nbgrader.locked,
            points=cell.metadata.nbgrader.get("points"),
        )
        for cell in notebook.cells
    ]
    return SourceNotebook("similarity", dict(notebook.metadata.kernelspec), tuple(cells))
