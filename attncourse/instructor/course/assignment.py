"""What every submission is graded against: nbgrader's assignment, a problem set as it was set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class Assignment:
    """A problem set as the gradebook knows it: every cell with a name, in order."""

    name: str
    notebooks: tuple[SourceNotebook, ...]

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
