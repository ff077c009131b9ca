"""Whatever is handed in, what is graded has the problem set's own cells in their places."""

import dataclasses
import json

import nbformat
import pytest

from attncourse.instructor.course import sanitising
from attncourse.instructor.course.assignment import SourceCell, SourceNotebook
from attncourse.instructor.course.sanitising import (
    mended_in,
    problem_with,
    sanitised,
)
from attncourse.instructor.limits import (
    MAX_CELLS,
    MAX_NESTING,
    MAX_NOTEBOOK_VALUES,
    MAX_OLD_NOTEBOOK_BYTES,
    MAX_OLD_NOTEBOOK_VALUES,
)


def source_cell(name, source, kind="locked", cell_type="code"):
    marks = {mark: mark == kind for mark in ("grade", "solution", "task")}
    points = 2.0 if kind in ("grade", "task") else None
    return SourceCell(
        name,
        cell_type,
        source,
        source.partition("SCHEME")[0],
        "sum",
        **marks,
        locked=kind != "solution",
        points=points,
    )


SOURCE = SourceNotebook(
    "book",
    {"name": "python3", "display_name": "Python 3"},
    (
        source_cell("setup", "import torch"),
        source_cell("f", "def f(): raise NotImplementedError", "solution"),
        source_cell("f_check", "check('f', f)", "grade"),
        source_cell("g", "def g(): raise NotImplementedError", "solution"),
        source_cell("g_check", "check('g', g)", "grade"),
        source_cell("essay", "Why?\nSCHEME: a reason", "task", "markdown"),
    ),
)


def cell(name, source, **changed):
    known = {each.name: each for each in SOURCE.cells}
    metadata = {"nbgrader": known[name].metadata()} if name in known else {}
    kind = known[name].cell_type if name in known else "code"
    return {"cell_type": kind, "metadata": metadata, "source": source} | changed


def as_released():
    return [cell(each.name, each.released) for each in SOURCE.cells]


def cleaned(cells):
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    notebook = sanitised(json.dumps(document).encode(), SOURCE)
    nbformat.validate(notebook)
    return notebook, problem_with(notebook)


def named(notebook):
    return [
        (each.metadata.get("nbgrader", {}).get("grade_id"), each.source) for each in notebook.cells
    ]


def test_a_notebook_as_it_should_be_is_left_as_it_is():
    cells = as_released()
    cells[1]["source"] = "def f(): return 1"
    cells.insert(2, cell(None, "f()"))
    notebook, problem = cleaned(cells)
    assert problem is None
    assert not mended_in(notebook)
    # The task has its mark scheme again, for the person who reads the answer.
    assert named(notebook) == [
        (each["metadata"].get("nbgrader", {}).get("grade_id"), each["source"])
        for each in [*cells[:-1], cell("essay", SOURCE.cells[-1].source)]
    ]
    assert notebook.metadata.kernelspec == SOURCE.kernelspec


def test_locked_cells_come_from_the_source_whatever_the_student_made_of_them():
    cells = as_released()
    cells[2] |= {"source": "2.0", "cell_type": "markdown"}
    cells[2]["metadata"]["nbgrader"] |= {"grade": False, "locked": False, "points": 100}
    check = cleaned(cells)[0].cells[3]
    assert (check.cell_type, check.source) == ("code", "check('f', f)")
    assert check.metadata.nbgrader == SOURCE.cells[2].metadata()


def test_missing_locked_cells_are_put_back_in_their_places():
    whole = as_released()
    for missing in ((0,), (2,), (4,), (5,), (2, 4, 5), (0, 2)):
        cells = [each for number, each in enumerate(whole) if number not in missing]
        notebook = cleaned(cells)[0]
        assert named(notebook)[1:] == [(each.name, each.source) for each in SOURCE.cells]
        names = ", ".join(f"`{SOURCE.cells[number].name}`" for number in missing)
        assert mended_in(notebook).endswith(
            f"were missing, and were put back as they were set: {names}."
        )
        assert notebook.cells[0].source.endswith(mended_in(notebook))


def test_a_check_is_put_back_behind_an_answer_whose_cell_lost_its_name():
    answer = cell(None, "def f(): return 1")
    cells = [as_released()[0], answer, *as_released()[3:]]
    found = [name for name, _ in named(cleaned(cells)[0])]
    assert found[1:5] == ["setup", None, "f_check", "g"]


def test_of_a_cell_that_occurs_twice_the_first_counts():
    cells = as_released()
    cells.insert(2, cell("f", "def f(): return 'the copy'"))
    found = named(cleaned(cells)[0])
    assert found[1][0] == "f"
    assert found[2] == (None, "def f(): return 'the copy'")
    assert [name for name, _ in found].count("f_check") == 1


def test_an_answer_that_a_person_is_to_read_is_put_back_too():
    own = dataclasses.replace(source_cell("own", "Write here.", "solution", "markdown"), grade=True)
    source = dataclasses.replace(SOURCE, cells=(*SOURCE.cells, own))
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": as_released()}
    notebook = sanitised(json.dumps(document).encode(), source)
    assert named(notebook)[-1] == ("own", "Write here.")
    assert "`own`" in mended_in(notebook)


def with_(number, **changed):
    cells = as_released()
    marks = changed.pop("marks", {})
    cells[number] |= changed
    cells[number]["metadata"]["nbgrader"] |= marks
    return cells


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (lambda: with_(2, source="check('f', g)"), "`f_check`"),
        (lambda: with_(0, source="import torch, builtins"), "`setup`"),
        (lambda: with_(5, source="Why? Because."), "`essay`"),
        (lambda: with_(2, cell_type="markdown"), "`f_check`"),
        (lambda: with_(2, marks={"points": 100}), "`f_check`"),
        (lambda: with_(5, marks={"points": None}), "`essay`"),
    ],
)
def test_a_check_or_locked_cell_that_was_changed_is_told(cells, told):
    notebook, problem = cleaned(cells())
    assert problem is None
    expected = f"These had changed, and were put back as they were set: {told}."
    assert mended_in(notebook) == expected
    assert notebook.cells[0].source.endswith(expected)


def test_a_check_or_locked_cell_that_occurs_twice_is_told_once():
    again = [cell("f_check", "100.0"), cell("f_check", "100.0"), cell("essay", "Because.")]
    notebook, _ = cleaned([*as_released(), *again])
    expected = "Of these, which occurred twice, the first counts: `f_check`, `essay`."
    assert mended_in(notebook) == expected


@pytest.mark.parametrize(
    "cells",
    [
        lambda: with_(0, source="import torch\r\n"),
        lambda: with_(2, source=["check(", "'f', f)"]),
        lambda: with_(5, source="\nWhy?  \r\nSCHEME: a reason\t\n"),
        lambda: with_(2, id="of-its-own", outputs=[], execution_count=7),
        lambda: with_(2, metadata=as_released()[2]["metadata"] | {"trusted": True, "tags": ["a"]}),
        lambda: with_(2, marks={"checksum": "another", "schema_version": 1, "points": 2}),
        lambda: with_(5, source=SOURCE.cells[5].source),
        lambda: with_(1, source="def f(): return 1", cell_type="code"),
        lambda: [*as_released(), cell("f", "def f(): return 'a copy'")],
        lambda: [each for each in as_released() if each["source"] != SOURCE.cells[1].source],
    ],
    ids=[
        *("line endings", "a list of lines", "blanks", "id and outputs", "cell metadata"),
        *("nbgrader's own marks", "the mark scheme", "an answer", "an answer twice"),
        "no answer",
    ],
)
def test_what_programs_and_answers_change_is_not_told(cells):
    notebook, problem = cleaned(cells())
    assert problem is None
    assert not mended_in(notebook)
    assert "mended" not in notebook.cells[0].source


def test_of_a_notebook_that_cannot_be_read_only_that_is_told():
    notebook = sanitised(b"{", SOURCE)
    assert problem_with(notebook).kind == "broken"
    assert not mended_in(notebook)
    assert len(notebook.cells) == 1 + len(SOURCE.cells) - 2  # all but the answers


@pytest.mark.parametrize("cells", [[], [cell(None, "def f(): return 1")]])
def test_a_notebook_without_any_cell_of_the_problem_set_is_told_and_has_all_checks(cells):
    notebook, problem = cleaned(cells)
    assert problem.kind == "foreign"
    found = [name for name, _ in named(notebook)]
    assert found == [None] * (1 + len(cells)) + ["setup", "f_check", "g_check", "essay"]


@pytest.mark.parametrize(
    "strange",
    [
        {"metadata": 1},
        {"metadata": {"nbgrader": "x"}},
        {"metadata": {"nbgrader": {"grade_id": ["f"]}}},
        {"metadata": {"nbgrader": {"grade_id": "unheard-of", "grade": True}}},
        {"source": 5},
        {"source": [1, 2]},
        {"source": "half a character: \ud800"},
        {"cell_type": ["code"]},
        {"cell_type": "heading"},
        {"id": 7},
        {"id": "a b"},
        {"id": "cell-0"},
        {"outputs": "x", "execution_count": "x", "collapsed": True},
        {"cell_type": "markdown", "attachments": {"a.png": {"image/png": 1}, "b": 2}},
        {"cell_type": "markdown", "attachments": "x"},
    ],
)
def test_strange_cells_make_a_valid_notebook_that_is_graded_as_ever(strange):
    odd = {"cell_type": "code", "metadata": {}, "source": "1"} | strange
    notebook, problem = cleaned([odd, *as_released(), odd, {}])
    assert problem is None
    found = [name for name, _ in named(notebook) if name is not None]
    assert found == [each.name for each in SOURCE.cells]
    assert cleaned([odd, *as_released(), odd, {}])[0] == notebook
    json.dumps(notebook).encode()


def test_a_notebook_of_an_older_format_is_read():
    worksheet = {
        "cells": [{"cell_type": "code", "input": "1", "language": "python", "outputs": []}]
    }
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [worksheet]}
    notebook = sanitised(json.dumps(old).encode(), SOURCE)
    assert problem_with(notebook).kind == "foreign"
    assert notebook.cells[1].source == "1"


def old(source, *outputs):
    cell = {"cell_type": "code", "input": source, "language": "python", "outputs": outputs}
    worksheets = [{"cells": [cell]}]
    document = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": worksheets}
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: old("x" * MAX_OLD_NOTEBOOK_BYTES), "is of an old format and has 4,194,"),
        (lambda: old("x", *[0] * MAX_OLD_NOTEBOOK_VALUES), "more than 100,000 values"),
        (lambda: old("x").replace(b'"nbformat": 3', b'"nbformat": 5') + b" " * (4 << 20), "old"),
    ],
    ids=["bytes", "values", "a format to come"],
)
def test_an_older_notebook_that_would_take_long_to_convert_is_refused(content, why, monkeypatch):
    monkeypatch.setattr("nbformat.convert", None)
    notebook = sanitised(content(), SOURCE)
    assert problem_with(notebook).kind == "too large"
    assert why in problem_with(notebook).reason
    assert why in notebook.cells[0].source


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" + b"0," * MAX_NOTEBOOK_VALUES + b"0]", "more than 1,000,000 values"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "nested more than 100 deep"),
    ],
    ids=["values", "nesting"],
)
def test_a_notebook_that_would_take_much_to_parse_is_refused_before(content, why, monkeypatch):
    monkeypatch.setattr("json.loads", None)
    notebook = sanitised(content, SOURCE)
    assert problem_with(notebook).kind == "too large"
    assert why in problem_with(notebook).reason
    assert why in notebook.cells[0].source


def test_a_locked_cell_of_ever_so_many_lines_is_told_without_reading_them(monkeypatch):
    cells = with_(0, source="import torch" + "\n" * 2000 + "import os")
    seen = []
    compare = sanitising._to_compare
    monkeypatch.setattr(sanitising, "_to_compare", lambda s: seen.append(len(s)) or compare(s))
    assert "`setup`" in mended_in(cleaned(cells)[0])
    assert max(seen) < 1000


def test_pictures_of_an_answer_are_kept_and_can_be_stored():
    pictures = {"\ud800.png": {"image/png": "AA\udfff"}, "a.png": {"image/png": "AAAA"}}
    notebook, _ = cleaned(
        [*as_released(), cell("", "", cell_type="markdown", attachments=pictures)]
    )
    found = notebook.cells[-1].attachments
    assert found == {"?.png": {"image/png": "AA?"}, "a.png": {"image/png": "AAAA"}}
    nbformat.writes(notebook).encode()


def test_a_notebook_of_too_many_cells_is_refused_and_one_of_many_is_not():
    empty = {"cell_type": "code", "metadata": {}, "source": ""}
    released = as_released()
    assert cleaned([*released, *[empty] * (MAX_CELLS - len(released))])[1] is None
    notebook, problem = cleaned([*released, *[empty] * (MAX_CELLS + 1 - len(released))])
    assert problem.kind == "too large"
    assert "2,001 cells" in problem.reason
    assert len(notebook.cells) < 10
