"""When a person has to look at a cell that the checks have scored."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from attncourse.instructor.course.sanitising import refuse
from attncourse.instructor.course.scoring import scores_in
from attncourse.instructor.course.submissions import Problem


@pytest.mark.parametrize("our_fault", [True, False])
def test_a_person_has_to_look_where_grading_failed_and_not_where_a_file_is_broken(our_fault):
    marks = {"grade": True, "solution": False, "grade_id": "a", "points": 2}
    notebook = new_notebook(cells=[new_code_cell("", metadata={"nbgrader": marks})])
    refuse(notebook, Problem("some kind", "It is so."), our_fault=our_fault)
    score = scores_in(notebook)["a"]
    assert (score.points, score.needs_a_person) == (0, our_fault)
