"""What every submission is graded against: nbgrader's assignment, a problem set as it was set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from attncourse.instructor import limits
from attncourse.instructor.course.configuration import GradeError


@dataclass(frozen=True)
class SourceCell:
    """A cell that nbgrader knows by name."""

    name: str
    cell_type: str
    source: str
    released: str
    """The source as students get it: without hidden tests and mark scheme."""
    checksum: str | None
    grade: bool
    solution: bool
    task: bool
    locked: bool
    points: float | None

    def metadata(self) -> dict[str, Any]:
        """What nbgrader keeps in the cell."""
        kept = {
            "schema_version": 3,
            "grade_id": self.name,
            "cell_type": self.cell_type,
            "checksum": self.checksum,
            "grade": self.grade,
            "solution": self.solution,
            "task": self.task,
            "locked": self.locked,
        }
        return kept | ({} if self.points is None else {"points": self.points})


@dataclass(frozen=True)
class SourceNotebook:
    """A notebook of the assignment as it was generated."""

    name: str
    kernelspec: dict[str, Any]
    cells: tuple[SourceCell, ...]
    """In the order of the notebook."""
    language: str = "python"
    """Of its kernel, in lower case."""


@dataclass(frozen=True)
class OwnFile:
    """A file that the instructor has laid beside the notebooks."""

    path: str
    """Below the problem set's folder, with `/` between its parts."""
    digest: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Assignment:
    """A problem set as the gradebook knows it: every cell with a name, in order."""

    name: str
    notebooks: tuple[SourceNotebook, ...]
    files: tuple[OwnFile, ...] = ()
    """What students' code finds beside the notebook."""

    @property
    def names(self) -> list[str]:
        """Of the notebooks."""
        return [notebook.name for notebook in self.notebooks]

    @property
    def checks(self) -> Iterator[tuple[str, SourceCell]]:
        """Every cell that gives points without a person, and where it stands."""
        for notebook in self.notebooks:
            for cell in notebook.cells:
                if cell.grade and not cell.solution and cell.cell_type == "code":
                    yield f"{notebook.name}.ipynb, cell {cell.name}", cell

    @property
    def points(self) -> float:
        """The most that the checks give."""
        return sum(cell.points or 0.0 for _, cell in self.checks)


def require_gradable(assignment: Assignment) -> None:
    """Before the first submission: afterwards it would look like a student's fault.

    Raises:
        GradeError: the referee cannot run a notebook, or show what lies beside it.
    """
    name = assignment.name
    for notebook in assignment.notebooks:
        if notebook.language not in ("python", "python3", "ipython"):
            raise GradeError(
                f"{notebook.name}.ipynb of {name} has a kernel for {notebook.language}, and the "
                "referee runs Python alone. Choose a kernel of Python for it in the source folder, "
                f"save it, and run `nbgrader generate_assignment {name} --force`; or grade "
                "without the referee"
            )
    size = sum(len(file.content) for file in assignment.files)
    if size > limits.FILE_BYTES:
        raise GradeError(
            f"the files beside the notebooks of {name} have {size:,} bytes together, and students' "
            f"code can be shown {limits.FILE_BYTES:,}. Make them smaller, or let the notebook make "
            "what it needs"
        )
