"""What the referee notes in a cell, for the code that records the scores.

It stands in the metadata of an output. Those of a student's own outputs are not kept, while in an
error's name or text a student can write whatever the referee can.
"""

from __future__ import annotations

from typing import Any, Literal

from nbformat import NotebookNode

Outputs = list[dict[str, Any]]
NoteName = Literal["misconception", "stopped", "needs_a_person", "no_score"]
"""Which mistake was recognised, why a cell or a call was cut short, why a person has to look, and
why there is no score at all."""

_PLACE = "attncourse"
STOPPED = "Stopped"
"""The error that stands in a cell that was cut short, and in a call of a check that was."""


def stopped_outputs(reason: str, line: str) -> Outputs:
    """What stands in a cell that was cut short.

    Args:
        line: the reason with what else a reader wants to know.
    """
    notice = "The referee stopped this cell. The cells after it run as if it had not been there."
    return [
        error_output(STOPPED, reason, line),
        display_with_notes({"text/plain": notice}, stopped=reason),
    ]


def killed_outputs(reason: str) -> Outputs:
    """What stands in a graded cell whose score is what it is because of the machine."""
    notice = {"text/plain": f"A person has to look at this score. {reason}."}
    return [display_with_notes(notice, needs_a_person=reason)]


def judge_failed_outputs(reason: str) -> Outputs:
    """What stands in a graded cell where the judge itself failed."""
    notice = {"text/plain": "A person has to look at this answer."}
    return [
        error_output("JudgeFailed", reason, reason),
        display_with_notes(notice, needs_a_person=reason),
    ]


def no_score_outputs(reason: str) -> Outputs:
    """What stands in a graded cell of the instructor's that ended in what can be no score."""
    notice = {"text/plain": "A person has to score this cell."}
    return [
        error_output("NoScore", reason, reason),
        display_with_notes(notice, no_score=reason, needs_a_person=reason),
    ]


def error_output(name: str, reason: str, line: str) -> dict[str, Any]:
    """An output that nbgrader takes for a score of 0."""
    return {"output_type": "error", "ename": name, "evalue": reason, "traceback": [line]}


def display_with_notes(data: dict[str, str], **notes: str | None) -> dict[str, Any]:
    """An output that shows something, by MIME type, with notes, each under a `NoteName`."""
    return {"output_type": "display_data", "data": data, "metadata": {_PLACE: notes}}


def note_in(cell: NotebookNode, name: NoteName) -> str | None:
    """What the referee noted in a cell; None if it is nothing."""
    for output in cell.get("outputs", ()):
        if note := output.get("metadata", {}).get(_PLACE, {}).get(name):
            return str(note)
    return None
