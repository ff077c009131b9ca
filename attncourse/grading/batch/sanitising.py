"""A notebook that can be graded, out of whatever was handed in and the problem set's own cells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode

from attncourse.grading.batch.course import SourceCell, SourceNotebook
from attncourse.grading.batch.submissions import Problem

FOREIGN = "foreign"
"""The kind of problem for which a notebook is run all the same: its cells lost their names."""
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def sanitised(
    content: bytes | Problem, source: SourceNotebook
) -> tuple[NotebookNode, Problem | None]:
    """The notebook to be graded, and what was wrong with the one handed in, if anything was.

    Cells that are locked in the problem set, the graded ones among them, are the problem set's
    own; what is missing of them is put back in. The student's are kept. Of a cell that occurs
    twice the first counts, and the second is an ordinary cell. What cannot be read is taken for
    a notebook without cells. The same content always gives the same notebook.
    """
    problem, cells = (content, []) if isinstance(content, Problem) else _read(content)
    known = {cell.name: cell for cell in source.cells}
    made: list[NotebookNode] = []
    seen: set[str] = set()
    for cell in cells:
        name = _name(cell)
        wanted = known.get(name) if name is not None and name not in seen else None
        if wanted is not None:
            seen.add(wanted.name)
        made.append(_clean(cell, wanted))
    if problem is None and not seen:
        problem = Problem(FOREIGN, "No cell of this problem set is in the notebook.")
    if problem is not None:
        made.insert(0, _notice(problem))
    _restore(made, source, seen)
    for number, cell in enumerate(_with_free_ids(made)):
        cell.id = f"cell-{number}"
    metadata = {"kernelspec": source.kernelspec} if source.kernelspec else {}
    return _node(nbformat=4, nbformat_minor=5, metadata=metadata, cells=made), problem


def _read(content: bytes) -> tuple[Problem | None, list[Any]]:
    try:
        document = json.loads(content)
        if not isinstance(document, dict) or not isinstance(document.get("nbformat"), int):
            return Problem("no notebook", "The file is no Jupyter notebook."), []
        if document["nbformat"] != 4:
            old = nbformat.from_dict(document)  # type: ignore[no-untyped-call]
            document = nbformat.convert(old, 4)  # type: ignore[no-untyped-call]
        cells = document.get("cells")
        return (
            (None, cells)
            if isinstance(cells, list) and all(isinstance(cell, dict) for cell in cells)
            else (Problem("no notebook", "The notebook has no list of cells."), [])
        )
    except (ValueError, RecursionError, MemoryError) as error:
        return Problem("broken", f"The file cannot be read as a notebook: {str(error)[:200]}."), []
    except Exception as error:  # of the conversion from an older format: of any kind
        reason = f"The notebook is of an old format and broken: {type(error).__name__}."
        return Problem("broken", reason), []


def _name(cell: dict[str, Any]) -> str | None:
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return name if isinstance(name, str) else None


def _clean(cell: dict[str, Any], wanted: SourceCell | None) -> NotebookNode:
    """The student's cell with only what a notebook may have, as the problem set wants it."""
    kind, source = cell.get("cell_type"), cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if wanted is not None:
        kind = wanted.cell_type
        source = wanted.source if wanted.locked else source
    made = _cell(
        kind if kind in ("code", "raw") else "markdown",
        _storable(source) if isinstance(source, str) else "",
        wanted,
    )
    cell_id = cell.get("id")
    if isinstance(cell_id, str) and _CELL_ID.fullmatch(cell_id):
        made.id = cell_id
    attached = cell.get("attachments")
    if made.cell_type == "markdown" and isinstance(attached, dict):  # pictures of an answer
        made.attachments = {
            name: {"image/png": bundle["image/png"]}
            for name, bundle in attached.items()
            if isinstance(bundle, dict) and isinstance(bundle.get("image/png"), str)
        }
    return made


def _storable(text: str) -> str:
    """Without halves of characters, which JSON allows and no file in UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _cell(kind: str, source: str, wanted: SourceCell | None) -> NotebookNode:
    metadata: dict[str, Any] = {}
    if wanted is not None:
        metadata["nbgrader"] = wanted.metadata()
        if wanted.locked:
            metadata |= {"deletable": False, "editable": False}
    cell = _node(cell_type=kind, id="", metadata=metadata, source=source)
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell


def _notice(problem: Problem) -> NotebookNode:
    text = f"**This submission could not be graded as it was handed in.** {problem.reason}"
    return _cell("markdown", text, None)


def _restore(cells: list[NotebookNode], source: SourceNotebook, seen: set[str]) -> None:
    """Put back the locked cells that are missing, each before the cell that follows it."""
    place = len(cells)
    places = {
        cell.metadata.nbgrader.grade_id: number
        for number, cell in enumerate(cells)
        if "nbgrader" in cell.metadata
    }
    # From the end, so that an answer whose cell has lost its name stands before its check.
    for wanted in reversed(source.cells):
        if wanted.name in seen:
            place = places[wanted.name]
        elif wanted.locked:
            cells.insert(place, _cell(wanted.cell_type, wanted.source, wanted))
            places = {name: at + (at >= place) for name, at in places.items()}


def _with_free_ids(cells: list[NotebookNode]) -> Iterator[NotebookNode]:
    """The cells whose id is missing or taken."""
    seen: set[str] = set()
    for cell in cells:
        if not cell.id or cell.id in seen or cell.id.startswith("cell-"):
            yield cell
        seen.add(cell.id)


def _node(**content: Any) -> NotebookNode:
    return nbformat.from_dict(content)  # type: ignore[no-untyped-call]
