"""nbgrader's gradebook: opened, and asked for an assignment."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import sqlalchemy
from nbformat import NotebookNode
from nbgrader import api  # type: ignore[import-untyped]
from nbgrader.preprocessors import (  # type: ignore[import-untyped]
    ClearHiddenTests,
    ClearMarkScheme,
)

from attncourse.instructor.course.assignment import Assignment, SourceCell, SourceNotebook
from attncourse.instructor.course.configuration import Course, GradeError
from attncourse.instructor.course.own_files import own_files
from attncourse.instructor.course.release import is_pattern, own_programs_on_path

api.app_log.addHandler(logging.NullHandler())  # it logs at length what it also raises

FAILURES = (sqlalchemy.exc.SQLAlchemyError, api.InvalidEntry)
"""Of the database: nbgrader makes its own exception of one, which is not of the same kind."""
_LOCK_TIMEOUT = 30  # seconds that SQLite waits for another program's writing; its own are 5


def database_url(course: Course) -> str:
    """The gradebook's address; where that is an SQLite file, one that is waited for."""
    url = sqlalchemy.make_url(course.directory.db_url)
    if url.get_backend_name() == "sqlite" and "timeout" not in url.query:
        url = url.update_query_dict({"timeout": str(_LOCK_TIMEOUT)})
    return url.render_as_string(hide_password=False)


def refuses_an_entry(error: Exception) -> bool:
    """Whether the database is well, and takes only this entry for a wrong one."""
    if isinstance(error, api.InvalidEntry) and isinstance(error.__context__, Exception):
        error = error.__context__
    wrong = (sqlalchemy.exc.DataError, sqlalchemy.exc.IntegrityError)
    return isinstance(error, wrong) or type(error) is sqlalchemy.exc.StatementError


@contextlib.contextmanager
def open_gradebook(course: Course) -> Iterator[api.Gradebook]:
    """The gradebook, closed in the end.

    Raises:
        GradeError: the database cannot be used, on opening it or later.
    """
    try:
        address = sqlalchemy.make_url(course.directory.db_url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        raise GradeError("nbgrader's db_url is not the address of a database") from None
    try:
        try:
            with own_programs_on_path():
                gradebook = api.Gradebook(database_url(course), course.directory.course_id)
        except ModuleNotFoundError as error:
            raise GradeError(
                f"the gradebook {address} needs {error.name}, which is not installed. For "
                "addresses that begin with postgresql+psycopg:// it is: "
                "pip install 'attncourse[postgresql]'"
            ) from None
        try:
            yield gradebook
        finally:
            gradebook.close()
    except FAILURES as error:
        raise GradeError(
            f"the gradebook {address} cannot be used: {str(error).splitlines()[0][:300]}. What has "
            "been graded stays so: once that is mended, the same command goes on where it stopped. "
            "If nbgrader was upgraded, copy the gradebook and run `nbgrader db upgrade`"
        ) from None


def read_assignment(course: Course, gradebook: api.Gradebook, name: str) -> Assignment:
    """The assignment that the gradebook knows by that name.

    Raises:
        GradeError: it knows none, or another than stands in the source folder.
    """
    try:
        assignment = gradebook.find_assignment(name)
        if not assignment.notebooks:
            raise api.MissingEntry
    except api.MissingEntry:
        place = course.folder("source", ".", name)
        first = "rename or move that folder, and then " if is_pattern(place) else ""
        why = f"nbgrader takes the [ ] * ? in {place} for a pattern: " if first else ""
        raise GradeError(
            f"the gradebook does not know {name}; {why}{first}"
            f"run `nbgrader generate_assignment {name} --force` first"
        ) from None
    return Assignment(
        name,
        tuple(
            _notebook(course, course.folder("source", ".", name) / f"{entry.name}.ipynb", entry)
            for entry in sorted(assignment.notebooks, key=lambda entry: entry.name)
        ),
        own_files(course, name),
    )


def _notebook(course: Course, path: Path, entry: Any) -> SourceNotebook:
    points = {cell.name: cell.max_score for cell in (*entry.grade_cells, *entry.task_cells)}
    graded, tasks, solutions = (
        {cell.name for cell in cells}
        for cells in (entry.grade_cells, entry.task_cells, entry.solution_cells)
    )
    cells = {
        cell.name: SourceCell(
            name=cell.name,
            cell_type=cell.cell_type,
            source=cell.source,
            released=_released(cell.source, course),
            checksum=cell.checksum,
            grade=cell.name in graded,
            solution=cell.name in solutions,
            task=cell.name in tasks,
            locked=cell.locked,
            points=points.get(cell.name),
        )
        for cell in entry.source_cells
    }
    source = _read(path)
    order = _order(source)
    if set(order) != cells.keys():
        raise GradeError(
            f"{path} and the gradebook do not have the same cells; run "
            f"`nbgrader generate_assignment {path.parent.name} --force`"
        )
    kernelspec = json.loads(entry.kernelspec) if entry.kernelspec else {}
    in_order = tuple(cells[name] for name in order)
    return SourceNotebook(entry.name, kernelspec, in_order, _language(kernelspec, source))


def _language(kernelspec: dict[str, Any], source: NotebookNode) -> str:
    """Of a notebook's kernel. Jupyter writes it down; where nobody has, the kernel's name tells."""
    told = kernelspec.get("language") or source.metadata.get("language_info", {}).get("name")
    name = " ".join(str(kernelspec.get(key, "")) for key in ("name", "display_name")).strip()
    if told or not name:
        return str(told or "python").lower()
    return "python" if "python" in name.lower() else name.lower()


def _released(source: str, course: Course) -> str:
    cell = NotebookNode(source=source, metadata={})  # type: ignore[no-untyped-call]
    for clear in (ClearHiddenTests, ClearMarkScheme):
        # Whether the cell may hold what is cleared was seen to when the problem set was generated.
        clear(config=course.config, enforce_metadata=False).preprocess_cell(cell, {}, 0)
    return str(cell.source)


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise GradeError(f"{path} cannot be read: {error}") from None


def _order(source: NotebookNode) -> list[str]:
    """Names of the cells as they stand in the source: the gradebook does not keep the order."""
    marks = (cell.metadata.get("nbgrader", {}) for cell in source.cells)
    named = ("grade", "solution", "locked", "task")
    return [mark["grade_id"] for mark in marks if any(mark.get(kind) for kind in named)]
