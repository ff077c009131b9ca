"""Enters the scores by the rules that `attncourse grade` has too: after nbgrader's own."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import SaveAutoGrades  # type: ignore[import-untyped]

from attncourse.instructor.course.scoring import enter, scores_in
from attncourse.instructor.notes import note_in


class SaveScores(SaveAutoGrades):  # type: ignore[misc]
    """nbgrader's own, and then the score by the rules that `attncourse grade` has too."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Enter the scores and comments of the notebook in the gradebook."""
        self._scores = scores_in(nb)
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Enter those of a cell."""
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in self._scores:
            place = (name, self.notebook_id, self.assignment_id, self.student_id)
            enter(self.gradebook.find_grade(*place), self._scores[name])
            self.gradebook.db.commit()
            if reason := note_in(cell, "no_score"):
                student, notebook = self.student_id, self.notebook_id
                self.log.error("%s, %s.ipynb: no score: %s", student, notebook, reason)
        return cell, resources
