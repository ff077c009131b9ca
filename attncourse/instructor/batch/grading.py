"""Grade one submission: bytes in, autograded notebooks out. No database, no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from nbformat import NotebookNode
from nbformat.v4 import writes

from attncourse.instructor.batch.settings import BatchSettings
from attncourse.instructor.course.sanitising import can_be_run, problem_with, refuse, sanitised
from attncourse.instructor.course.submissions import HandedIn, Problem, Submission, read

if TYPE_CHECKING:
    from attncourse.instructor.referee.workers import Workers

MAX_ATTEMPTS = 2
"""That a submission gets before its grading counts as failed."""
FAILED = "grading failed"
"""The kind of problem that is not of the submission's own making."""


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


@dataclass(frozen=True)
class CannotGrade:
    """Nothing can be graded: on this machine, or of this assignment."""

    reason: str


@dataclass(frozen=True)
class AttemptFailed:
    """Grading a submission failed; another attempt may not."""

    reason: str


@dataclass(frozen=True)
class Ready:
    """A job has workers, and can be given submissions."""


Message = Ready | CannotGrade | AttemptFailed | Graded
"""What a job answers."""


def in_short(error: BaseException) -> str:
    """An error as a part of a reason."""
    return f"{type(error).__name__}: {str(error)[:300]}"


def grade(
    handed_in: HandedIn,
    settings: BatchSettings,
    workers: Workers,
    seed: Callable[[str, str], object],
) -> Graded:
    """Referee all notebooks of a submission.

    Args:
        seed: of a student and an item, what the item's cases are drawn from.
    """
    # Here, since this loads torch and the items: the writer, which needs neither, imports this
    # module too.
    from attncourse.instructor.referee.notebook import grade_notebook

    def run(notebook: NotebookNode) -> None:
        drawn = partial(seed, handed_in.student)
        files = {file.path: file.content for file in settings.assignment.files}
        grade_notebook(notebook, workers, seed=drawn, limits=settings.limits, files=files)

    return _graded(handed_in, settings, run)


def failed(submission: Submission, settings: BatchSettings, reason: str) -> Graded:
    """A submission whose grading failed: 0 from the checks, and the reason in every notebook."""
    handed_in = read(submission, settings.assignment.names)
    return not_graded(handed_in, settings, Problem(FAILED, reason))


def not_graded(handed_in: HandedIn, settings: BatchSettings, problem: Problem) -> Graded:
    """The submission with the reason in every notebook, and nothing run."""
    nothing = replace(handed_in, notebooks=dict.fromkeys(handed_in.notebooks, problem))
    graded = _graded(nothing, settings, lambda _: None)
    return replace(graded, key=settings.key(handed_in.digest))


def _graded(
    handed_in: HandedIn, settings: BatchSettings, run: Callable[[NotebookNode], None]
) -> Graded:
    done = []
    for source in settings.assignment.notebooks:
        notebook = sanitised(handed_in.notebooks[source.name], source, handed_in.beside)
        notebook.metadata["attncourse"]["sandboxed"] = settings.sandboxed
        if can_be_run(notebook):
            run(notebook)
        elif problem := problem_with(notebook):
            refuse(notebook, problem, our_fault=problem.kind == FAILED)
        text = writes(notebook)  # type: ignore[no-untyped-call]
        done.append(GradedNotebook(source.name, text))
    return Graded(
        handed_in.student, settings.key(handed_in.digest), handed_in.timestamp, tuple(done)
    )
