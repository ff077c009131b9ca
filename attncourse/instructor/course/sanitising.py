"""A notebook that can be graded, out of whatever was handed in and the problem set's own cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import nbformat
from nbformat import NotebookNode

from attncourse.instructor import bounded_json, limits
from attncourse.instructor.course.assignment import SourceCell, SourceNotebook
from attncourse.instructor.course.files_beside import PICTURES, FileBeside, remark
from attncourse.instructor.course.submissions import Problem
from attncourse.instructor.notes import error_output, judge_failed_outputs

_FOREIGN = "foreign"  # it is run all the same: it may be that its cells only lost their names
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def sanitised(
    content: bytes | Problem, source: SourceNotebook, beside: Iterable[FileBeside] = ()
) -> NotebookNode:
    """The notebook to be graded.

    Cells that are locked in the problem set are the problem set's own; what is missing of them,
    and of those that give points, is put back in. The student's are kept. Of a cell that occurs
    twice the first counts, and the second is an ordinary cell. What cannot be read is taken for
    a notebook without cells. The same content always gives the same notebook.

    What was wrong with the one handed in stands in a cell at the top, and in the metadata:
    `problem_with` and `mended_in` find it there.

    Args:
        beside: what lies beside the notebook. What is not kept as it is stands there too.
    """
    problem, cells = (content, []) if isinstance(content, Problem) else _read(content)
    known = {cell.name: cell for cell in source.cells}
    made: list[NotebookNode] = []
    seen: set[str] = set()
    changed: list[SourceCell] = []
    doubled: list[SourceCell] = []
    for cell in cells:
        wanted = known.get(_name(cell) or "")
        if wanted is not None and wanted.name in seen:
            doubled.append(wanted)
            wanted = None
        if wanted is not None:
            seen.add(wanted.name)
            if _is_kept(wanted) and _has_changed(cell, wanted):
                changed.append(wanted)
        made.append(_clean(cell, wanted))
    missing = [cell for cell in source.cells if _is_kept(cell) and cell.name not in seen]
    _restore(made, source, seen)
    mended = remark(beside)
    if problem is None and not seen:
        problem = Problem(_FOREIGN, "No cell of this problem set is in the notebook.")
    if problem is not None:
        made.insert(0, _notice(_NOT_AS_IT_WAS, f"{problem.reason} {mended}".strip()))
    else:
        doubled = [cell for cell in doubled if _is_kept(cell)]
        mended = f"{_mended(missing, changed, doubled)} {mended}".strip()
        if mended:
            made.insert(0, _notice(_MENDED, mended))
    for number, cell in enumerate(_with_free_ids(made)):
        cell.id = f"cell-{number}"
    metadata: dict[str, Any] = {"kernelspec": source.kernelspec} if source.kernelspec else {}
    metadata["attncourse"] = {
        **({"problem": asdict(problem)} if problem is not None else {}),
        **({"mended": mended} if mended else {}),
    }
    return _node(nbformat=4, nbformat_minor=5, metadata=metadata, cells=made)


def problem_with(notebook: NotebookNode) -> Problem | None:
    """What was wrong with the file that a sanitised notebook was made of, if anything was."""
    problem = notebook.metadata.get("attncourse", {}).get("problem")
    return Problem(**problem) if problem else None


def mended_in(notebook: NotebookNode) -> str:
    """What was put right in a sanitised notebook, in a sentence or two; empty if nothing was."""
    return str(notebook.metadata.get("attncourse", {}).get("mended", ""))


def can_be_run(notebook: NotebookNode) -> bool:
    """Whether there is anything of the student's in a sanitised notebook."""
    problem = problem_with(notebook)
    return problem is None or problem.kind == _FOREIGN


def refuse(notebook: NotebookNode, problem: Problem, *, our_fault: bool = False) -> None:
    """Say in every check why it was not made; for a notebook that is not run."""
    reason = problem.reason
    outputs = (
        judge_failed_outputs(reason) if our_fault else [error_output("NotGraded", reason, reason)]
    )
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"):
            cell.outputs = [_node(**output) for output in outputs]


def _read(content: bytes) -> tuple[Problem | None, list[Any]]:
    try:
        document = _parsed(content, limits.MAX_NOTEBOOK_VALUES)
        if not isinstance(document, dict) or not isinstance(document.get("nbformat"), int):
            return Problem("no notebook", "The file is not a Jupyter notebook."), []
        if document["nbformat"] != 4:
            document = _converted(content)
        cells = document.get("cells")
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            return Problem("no notebook", "The notebook has no list of cells."), []
        if len(cells) > limits.MAX_CELLS:
            reason = f"The notebook has {len(cells):,} cells; {limits.MAX_CELLS:,} are the most."
            return Problem("too large", reason), []
        return None, cells
    except _TooLarge as error:
        return Problem("too large", str(error)), []
    except (ValueError, RecursionError, MemoryError) as error:
        return Problem("broken", f"The file cannot be read as a notebook: {str(error)[:200]}."), []
    except Exception as error:  # of the conversion from an older format: of any kind
        reason = f"The notebook is of an old format and broken: {type(error).__name__}."
        return Problem("broken", reason), []


class _TooLarge(Exception):
    """To read the notebook would take more than it may."""


def _parsed(content: bytes, values: int) -> Any:
    try:
        return bounded_json.loads(content, values=values, depth=limits.MAX_NESTING)
    except bounded_json.TooMuch as reason:
        raise _TooLarge(f"The notebook is too large to be read: {reason}.") from None


def _converted(content: bytes) -> Any:
    """A notebook of another format than 4, which every part of it goes through several times."""
    if len(content) > limits.MAX_OLD_NOTEBOOK_BYTES:
        raise _TooLarge(
            f"The notebook is of an old format and has {len(content):,} bytes; of these formats "
            f"{limits.MAX_OLD_NOTEBOOK_BYTES:,} are the most. Jupyter saves it in the new one."
        )
    old = nbformat.from_dict(  # type: ignore[no-untyped-call]
        _parsed(content, limits.MAX_OLD_NOTEBOOK_VALUES)
    )
    return nbformat.convert(old, 4)  # type: ignore[no-untyped-call]


def _name(cell: dict[str, Any]) -> str | None:
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return name if isinstance(name, str) else None


def _clean(cell: dict[str, Any], wanted: SourceCell | None) -> NotebookNode:
    """The student's cell with only what a notebook may have, as the problem set wants it."""
    kind, source = cell.get("cell_type"), _source(cell)
    if wanted is not None:
        kind = wanted.cell_type
        source = wanted.source if wanted.locked else source
    made = _cell(
        kind if kind in ("code", "raw") else "markdown",
        _storable(source),
        wanted,
    )
    cell_id = cell.get("id")
    if isinstance(cell_id, str) and _CELL_ID.fullmatch(cell_id):
        made.id = cell_id
    attached = cell.get("attachments")
    if made.cell_type == "markdown" and isinstance(attached, dict):  # pictures of an answer
        made.attachments = {
            _storable(name): pictures
            for name, bundle in attached.items()
            if isinstance(bundle, dict) and (pictures := _pictures(bundle))
        }
    return made


def _pictures(bundle: dict[str, Any]) -> dict[str, str]:
    """Those of an attachment's forms that a browser shows and does not run."""
    return {kind: _storable(text) for kind in PICTURES if (text := _text(bundle.get(kind)))}


def _source(cell: dict[str, Any]) -> str:
    return _text(cell.get("source"))


def _text(value: Any) -> str:
    """As a notebook's file may have it: a string, or its lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "".join(value)
    return value if isinstance(value, str) else ""


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


_NOT_AS_IT_WAS = "This submission could not be graded as it was handed in."
_MENDED = "This notebook was mended before it was graded."


def _notice(what: str, reason: str) -> NotebookNode:
    return _cell("markdown", f"**{what}** {reason}", None)


def _is_kept(cell: SourceCell) -> bool:
    """Whether the notebook has to have the cell: it is locked, or gives points."""
    return cell.locked or cell.grade


def _has_changed(cell: dict[str, Any], wanted: SourceCell) -> bool:
    """Whether somebody has made another cell of it than an answer, which no saving does."""
    points = cell["metadata"]["nbgrader"].get("points")
    if cell.get("cell_type") != wanted.cell_type:
        return True
    if wanted.points is not None and points != wanted.points:
        return True
    # An instructor's own copy has the mark scheme in it.
    known, source = (wanted.released, wanted.source), _source(cell)
    # No program adds so much, and it may be millions of lines.
    longer = len(source.strip()) > 2 * max(map(len, known)) + limits.MAX_LONGER
    return wanted.locked and (longer or _to_compare(source) not in map(_to_compare, known))


def _to_compare(source: str) -> list[str]:
    """The lines, whatever ends them: programs differ in that, and in blanks at the end."""
    return [line.rstrip() for line in source.strip().splitlines()]


def _mended(missing: list[SourceCell], changed: list[SourceCell], doubled: list[SourceCell]) -> str:
    repairs = (
        ("These were missing, and were put back as they were set", missing),
        ("These had changed, and were put back as they were set", changed),
        ("Of these, which occurred twice, the first counts", doubled),
    )
    # By name once each, however often it occurred.
    named = [(what, dict.fromkeys(f"`{cell.name}`" for cell in cells)) for what, cells in repairs]
    return " ".join(f"{what}: {', '.join(names)}." for what, names in named if names)


def _restore(cells: list[NotebookNode], source: SourceNotebook, seen: set[str]) -> None:
    """Put back the missing cells that have to be there, each before the cell that follows it."""
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
        elif _is_kept(wanted):
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
