"""What nbgrader's gradebook is told of a graded notebook, whichever way it was graded.

The rules are those of nbgrader's `SaveAutoGrades`, and three more. What could not be read has no
points from the checks, but what is for a person to read stays so, unless there is nothing to be
read. And where the judge failed, a person has to look, whatever the score; where a graded cell
ended in what can be no score, there is none until a person gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import (  # type: ignore[import-untyped]
    determine_grade,
    is_grade,
    is_solution,
    is_task,
)

from attncourse.instructor.course.sanitising import can_be_run, problem_with
from attncourse.instructor.notes import note_in


@dataclass(frozen=True)
class Score:
    """What is known of a cell that gives points."""

    points: float | None
    """None where a person has to give them."""
    needs_a_person: bool
    """Whether one has to look, although there are points."""
    task: bool


def scores_in(notebook: NotebookNode) -> dict[str, Score]:
    """By name, the score of each cell of a graded notebook that gives points."""
    problem = problem_with(notebook)
    for_nobody = problem is not None and problem.leaves_nothing_to_read
    found = {}
    for cell in notebook.cells:
        if not (is_grade(cell) or is_task(cell)):
            continue
        if cell.cell_type == "code" and not is_solution(cell):
            points = _of_check(cell) if can_be_run(notebook) else 0.0
        elif problem is None and is_grade(cell):
            points = determine_grade(cell)[0]
        else:  # of an answer that was put back as it was set, nbgrader would say that it is none
            points = 0.0 if for_nobody else None
        name = cell.metadata.nbgrader.grade_id
        found[name] = Score(points, note_in(cell, "needs_a_person") is not None, is_task(cell))
    return found


def _of_check(cell: NotebookNode) -> float | None:
    """None where a graded cell of the instructor's ended in what can be no score."""
    return None if note_in(cell, "no_score") else determine_grade(cell)[0]


def enter(grade: Any, score: Score) -> None:
    """Put a score into the gradebook's entry of the cell.

    What a person gave stays, and is to be looked at again, as nbgrader has it.
    """
    before, grade.auto_score = grade.auto_score, score.points
    if score.task and before is grade.auto_score is None:
        return  # nbgrader too leaves it to the person who read it
    grade.needs_manual_grade = (
        score.needs_a_person or grade.manual_score is not None or score.points is None
    )
