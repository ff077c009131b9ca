"""Grade one submission: bytes in, autograded notebooks out. No database, no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from nbformat import NotebookNode
from nbformat.v4 import writes

from attncourse.grading.batch.terms import Terms
from attncourse.grading.course.sanitising import can_be_run, problem_with, refuse, sanitised
from attncourse.grading.course.submissions import HandedIn, Problem, Submission, read

if TYPE_CHECKING:
    from attncourse.grading.referee.judge import Workers

TURNS = 2
"""That a submission gets before its grading counts as failed."""
FAILED = "grading failed"
"""The kind of problem that is no matter of the submission alone."""


@dataclass(frozen=True)
class GradedNotebook:
    """One notebook of a submission with its outputs and verdicts."""

    name: str
    text: str
    """The notebook as JSON."""


@dataclass(frozen=True)
class Graded:
    """A graded submission, before it is written anywhere."""

    student: str
    key: str
    """A digest of the submission and of all that decides on its score."""
    timestamp: str | None
    notebooks: tuple[GradedNotebook, ...]


def grade(
    handed_in: HandedIn, terms: Terms, workers: Workers, seed: Callable[[str, str], object]
) -> Graded:
    """Referee all notebooks of a submission.

    Args:
        seed: of a student and an item, what the item's cases are drawn from.
    """
    # Here, since this loads torch and the items: whoever only writes down what others have graded
    # imports this module too.
    from attncourse.grading.referee.notebook import referee

    def run(notebook: NotebookNode) -> None:
        drawn = partial(seed, handed_in.student)
        referee(
            notebook,
            workers,
            seed=drawn,
            seconds=terms.seconds,
            total_seconds=terms.total_seconds,
        )

    return _graded(handed_in, terms, run)


def failed(submission: Submission, terms: Terms, reason: str) -> Graded:
    """A submission whose grading failed: 0 from the checks, and the reason in every notebook."""
    handed_in = read(submission, terms.problem_set.names)
    return not_graded(handed_in, terms, Problem(FAILED, reason))


def not_graded(handed_in: HandedIn, terms: Terms, problem: Problem) -> Graded:
    """The submission with the reason in every notebook, and nothing run."""
    nothing = replace(handed_in, notebooks=dict.fromkeys(handed_in.notebooks, problem))
    graded = _graded(nothing, terms, lambda _: None)
    return replace(graded, key=terms.key(handed_in.digest))


def _graded(handed_in: HandedIn, terms: Terms, run: Callable[[NotebookNode], None]) -> Graded:
    done = []
    for source in terms.problem_set.notebooks:
        notebook = sanitised(handed_in.notebooks[source.name], source)
        notebook.metadata["attncourse"]["sandboxed"] = terms.sandboxed
        if can_be_run(notebook):
            run(notebook)
        elif problem := problem_with(notebook):
            refuse(notebook, problem, our_fault=problem.kind == FAILED)
        text = writes(notebook)  # type: ignore[no-untyped-call]
        done.append(GradedNotebook(source.name, text))
    return Graded(handed_in.student, terms.key(handed_in.digest), handed_in.timestamp, tuple(done))
