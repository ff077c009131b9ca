"""What the referee notes in a cell, for whoever records the scores.

It stands in the metadata of an output. Those of a student's own outputs are not kept, while in an
error's name or text a student can write whatever the referee can.
"""

from __future__ import annotations

from typing import Any, Literal

from nbformat import NotebookNode

from attncourse.grading.verdict import STOPPED

Outputs = list[dict[str, Any]]
Note = Literal["misconception", "stopped", "needs_a_person"]
"""Which mistake was recognised, why a cell or a call was cut short, why a person has to look."""

_PLACE = "attncourse"


def stopped(reason: str, line: str) -> Outputs:
    """What stands in a cell that was cut short.

    Args:
        line: the reason with what else a reader wants to know.
    """
    said = "The referee stopped this cell. The cells after it run as if it had not been there."
    return [error(STOPPED, reason, line), noting({"text/plain": said}, stopped=reason)]


def judge_failed(reason: str) -> Outputs:
    """What stands in a graded cell where the judge itself failed."""
    said = {"text/plain": "A person has to look at this answer."}
    return [error("JudgeFailed", reason, reason), noting(said, needs_a_person=reason)]


def error(name: str, reason: str, line: str) -> dict[str, Any]:
    """An output that nbgrader takes for a score of 0."""
    return {"output_type": "error", "ename": name, "evalue": reason, "traceback": [line]}


def noting(shown: dict[str, str], **notes: str | None) -> dict[str, Any]:
    """An output that shows something, by MIME type, with notes, each under a name of `Note`."""
    return {"output_type": "display_data", "data": shown, "metadata": {_PLACE: notes}}


def noted(cell: NotebookNode, what: Note) -> str | None:
    """What the referee noted in a cell; None if it is nothing."""
    for output in cell.get("outputs", ()):
        if told := output.get("metadata", {}).get(_PLACE, {}).get(what):
            return str(told)
    return None
